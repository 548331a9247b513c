"""Two-layer ReLU networks on 2-sparse parity with the logistic loss, by full-batch gradient descent in NumPy.

f(x) = sum_j a_j relu(w_j . x + b_j) + c. The first layer is one array, [replica, neuron, dim + 1], whose last column is
the bias, and inputs have a last column of ones. Every replica has data of its own or shares them with all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

BLOCK = 2**18
"""Activations that are in memory at once; replicas are trained in blocks of this size, which fit the cache."""


class Network(NamedTuple):
    """The weights of every replica.

    Attributes:
        inner: w and b of each neuron.
        outer: a.
        offset: c.
    """

    inner: Float[ndarray, "replica neuron dim+1"]
    outer: Float[ndarray, "replica neuron"]
    offset: Float[ndarray, "replica"]

    def of(self, rows: ndarray | slice) -> Network:
        """The same for some replicas."""
        return Network(*(part[rows] for part in self))

    @property
    def size(self) -> Float[ndarray, "replica"]:
        """Size of the second layer: the Euclidean norm of a, which is abs(a) for one neuron."""
        return np.sqrt(np.square(self.outer).sum(1))


class Data(NamedTuple):
    """Inputs with a column of ones, and labels; without an axis of replicas where all replicas share them."""

    x: Float[ndarray, "*replica sample dim+1"]
    y: Float[ndarray, "*replica sample"]

    def of(self, rows: ndarray | slice) -> Data:
        """The same for some replicas."""
        return self if self.y.ndim == 1 else Data(self.x[rows], self.y[rows])


class Fitted(NamedTuple):
    """How well each network did before a step: the mean logistic loss, and the share of correct signs."""

    loss: Float[ndarray, "replica"]
    accuracy: Float[ndarray, "replica"]


class Trained(NamedTuple):
    """The result of a phase for each replica: its steps, or the limit; whether it ended; the weights at the end."""

    steps: Int[ndarray, "replica"]
    ended: Bool[ndarray, "replica"]
    network: Network


Stop = Callable[[Network, Fitted], Bool[ndarray, "replica"]]
"""Says which replicas have ended a phase."""


def initial(generator: np.random.Generator, dim: int, width: int, replicas: int, scale: float) -> Network:
    """Random networks in float32: w_j uniform on the unit sphere, a_j ~ N(0, scale^2 / m), b = 0, c = 0.

    Args:
        generator: source of the weights.
        dim: d.
        width: number of neurons.
        replicas: number of networks.
        scale: s, the root mean square of the norm of a.
    """
    w = generator.standard_normal((replicas, width, dim))
    w /= np.linalg.norm(w, axis=2, keepdims=True)
    inner = np.concatenate([w, np.zeros((replicas, width, 1))], axis=2)
    outer = scale / np.sqrt(width) * generator.standard_normal((replicas, width))
    return Network(inner.astype(np.float32), outer.astype(np.float32), np.zeros(replicas, np.float32))


def _with_labels(signs: Float[ndarray, "*replica sample dim"]) -> Data:
    x = np.concatenate([signs, np.ones((*signs.shape[:-1], 1), signs.dtype)], axis=-1)
    return Data(x, x[..., 0] * x[..., 1])


def samples(generator: np.random.Generator, dim: int, count: int, replicas: int) -> Data:
    """N = ``count`` random examples for each replica, in float32."""
    return _with_labels((1 - 2 * generator.integers(2, size=(replicas, count, dim))).astype(np.float32))


def population(dim: int) -> Data:
    """All 2^d inputs, shared by all replicas, in float32."""
    bits = np.arange(2**dim)[:, None] >> np.arange(dim) & 1
    return _with_labels((1 - 2 * bits).astype(np.float32))


def step(network: Network, data: Data, rate: float) -> tuple[Network, Fitted]:
    """One step of gradient descent on the mean of log(1 + exp(-y f)), and the fit before it.

    Args:
        network: the weights.
        data: the full batch.
        rate: eta, equal for all weights.
    """
    inner, outer, offset = network
    active = data.x @ inner.swapaxes(1, 2)
    slope = (active > 0).astype(active.dtype)
    active *= slope
    margins = data.y * ((active @ outer[..., None])[..., 0] + offset[:, None])
    fitted = Fitted(np.logaddexp(0, -margins).mean(1), (margins > 0).mean(1))
    # -dL/df, which is y sigmoid(-y f) / N.
    push = data.y / (1 + np.exp(margins)) / np.array(data.y.shape[-1], active.dtype)
    to_outer = (push[:, None] @ active)[:, 0]
    slope *= push[..., None]
    to_inner = slope.swapaxes(1, 2) @ data.x * outer[..., None]
    moved = (inner + rate * to_inner, outer + rate * to_outer, offset + rate * push.sum(1))
    return Network(*(part.astype(old.dtype) for part, old in zip(moved, network, strict=True))), fitted


def train(network: Network, data: Data, rate: float, stop: Stop, limit: int) -> Trained:
    """Steps until ``stop``, for each replica on its own.

    Args:
        network: the weights at the beginning.
        data: the full batch.
        rate: eta.
        stop: the end of the phase.
        limit: largest number of steps.
    """
    count = len(network.outer)
    result = Trained(np.full(count, limit), np.zeros(count, bool), Network(*(part.copy() for part in network)))
    block = max(1, BLOCK // (data.y.shape[-1] * network.outer.shape[1]))
    for first in range(0, count, block):
        _train_block(result, np.arange(first, min(first + block, count)), network, data, rate, stop)
    return result


def _train_block(
    result: Trained, rows: Int[ndarray, "row"], network: Network, data: Data, rate: float, stop: Stop
) -> None:
    limit = int(result.steps[rows[0]])
    now, batch = network.of(rows), data.of(rows)
    for count in range(limit + 1):
        moved, fitted = step(now, batch, rate)
        done = stop(now, fitted)
        if done.any() or count == limit:
            ends = done | (count == limit)
            result.steps[rows[ends]], result.ended[rows[ends]] = count, done[ends]
            for whole, part in zip(result.network, now, strict=True):
                whole[rows[ends]] = part[ends]
            rows, moved, batch = rows[~ends], moved.of(~ends), batch.of(~ends)
            if not rows.size:
                return
        now = moved


def grown(target: float) -> Stop:
    """The end of phase 1: the norm of a is at least a*."""
    return lambda network, fitted: network.size >= target


def learned(loss: float) -> Stop:
    """The end of phase 2: the loss on the population is at most this."""
    return lambda network, fitted: fitted.loss <= loss
