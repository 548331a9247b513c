"""Ways to do the same training; each peer trains some steps and returns its replica-steps per second."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from svl.data import Online
from svl.data.reuse import ReuseDataModule
from svl.models import MLP
from svl.optim import SGD
from svl.optim.rule import UpdateRule
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.network import Build

DIM, DEGREE, WIDTH, BATCH, LR = 20, 6, 64, 128, 1
SECONDS = 0.15
JAX_PYTHON = Path(".venv-bench/bin/python")

Peer = Callable[[], float]


def plain_loop(
    network: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch: int = BATCH,
    steps: int = 1500,
    threads: int = 1,
) -> Peer:
    """A plain PyTorch loop: one network, ``torch.optim`` and fresh data.

    Args:
        network: the network; the benchmark's MLP if ``None``.
        optimizer: the optimizer; SGD if ``None``.
        batch: batch size.
        steps: steps of one timing.
        threads: threads of torch; for matrices as small as the MLP's, one is faster than two.
    """
    network = network or nn.Sequential(nn.Linear(DIM, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    optimizer = optimizer or torch.optim.SGD(network.parameters(), lr=LR)

    def run() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        began = time.perf_counter()
        for _ in range(steps):
            x = torch.randint(0, 2, (batch, DIM)).float() * 2 - 1
            y = x[:, :DEGREE].prod(1)
            optimizer.zero_grad()
            nn.functional.softplus(-y * network(x)[:, 0]).mean().backward()
            optimizer.step()
        elapsed = time.perf_counter() - began
        torch.set_num_threads(before)
        return steps / elapsed

    return run


def stack(
    replicas: int,
    steps: int | None,
    data: ReuseDataModule | None = None,
    network: Build | None = None,
    rule: UpdateRule | None = None,
    is_stepwise: bool = False,
    loss: str = "logistic",
    **engine: Any,
) -> Peer:
    """The replica stack, including data generation.

    Args:
        replicas: number of replicas.
        steps: steps of one timing; as many as take about ``SECONDS`` if ``None``.
        data: the strategy; fresh data if ``None``.
        network: the network; the benchmark's MLP if ``None``.
        rule: the optimizer; SGD if ``None``.
        is_stepwise: take the steps one by one, also where a route takes several in one call.
        loss: short name of the loss.
        engine: further settings of the stack.
    """
    data = data or Online(Parity(DIM, DEGREE), batch_size=BATCH)
    data.schedule(10**9, 1)
    seeds = min(replicas, 256)  # initialising a network takes longer than copying it
    rates = [LR / (1 + number) for number in range(replicas // seeds)]
    vary: Mapping[str, Any] = {"model.optimizer.lr": rates} if len(rates) > 1 else {}
    training = TrainingSettings(network or narrow_mlp, loss, rule or SGD(float(LR)), Replicas(seeds, vary=dict(vary)))
    trained = ReplicaStack(data, training, ExecutionSettings(**engine))
    if is_stepwise:
        trained.engine = trained.engine._replace(route=trained.engine.steps)
    position = 0

    def run() -> float:
        nonlocal position
        assert steps is not None
        began = time.perf_counter()
        trained.train_steps(position, steps)
        elapsed = time.perf_counter() - began
        position += steps
        return replicas * steps / elapsed

    trained.train_steps(0, 1)
    position = 1
    if steps is None:
        steps = 1
        steps = max(1, int(SECONDS * run() / replicas))
    return run


def narrow_mlp(input_shape: tuple[int, ...], output_dim: int) -> MLP:
    """The benchmark's network."""
    return MLP(input_shape, output_dim, width=WIDTH)


def jax_scan(
    replicas: int,
    steps: int,
    dim: int = DIM,
    degree: int = DEGREE,
    width: int = WIDTH,
    lr: float = LR,
    depth: int = 2,
    is_adamw: bool = False,
) -> Peer | None:
    """JAX's ``jit(vmap(scan))`` on the benchmark's task, or ``None`` if JAX is not installed.

    Args:
        replicas: number of replicas.
        steps: steps of one timing.
        dim: coordinates of an input.
        degree: of parity; 0 for a single-index model of Gaussian inputs, squared loss and GELU.
        width: units of a hidden layer.
        lr: learning rate.
        depth: layers of weights.
        is_adamw: AdamW instead of SGD.
    """
    sizes = (replicas, BATCH, dim, degree, width, lr, depth, int(is_adamw))
    return jax("jax_peer.py", replicas, steps, *sizes)


def jax(script: str, replicas: int, steps: int, *sizes: float) -> Peer | None:
    """A script that runs JAX in its own environment, or ``None`` if the environment does not exist.

    ``make bench`` creates the environment.

    Args:
        script: reads numbers of steps, one a line, and prints the seconds that all replicas took.
        replicas: number of replicas.
        steps: steps of one timing.
        sizes: arguments of the script.
    """
    if not JAX_PYTHON.exists():
        return None
    process = subprocess.Popen(
        [JAX_PYTHON, Path(__file__).with_name(script), *map(str, sizes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def run() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{steps}\n")
        process.stdin.flush()
        return replicas * steps / float(process.stdout.readline())

    run()
    return run


def in_rounds(peers: Mapping[str, Peer | None], rounds: int, slices: int = 1) -> dict[str, list[float]]:
    """The rate of each peer, measured once a round, so that other load on the machine affects all of them alike.

    Args:
        peers: by name; those that are ``None`` are left out.
        rounds: number of rounds.
        slices: how often a round goes through all peers. Its rates are the medians, so that a disturbance shorter than
            half a round changes no rate.
    """
    running = {name: peer for name, peer in peers.items() if peer is not None}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        passes = [{name: peer() for name, peer in running.items()} for _ in range(slices)]
        for name in running:
            rates[name].append(statistics.median(part[name] for part in passes))
    return rates
