"""Muon with hyperparameters that can differ by replica."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.checks import check_choice, check_flag, check_number, check_whole
from svl.errors import SettingError
from svl.optim.adamw import AdamW
from svl.optim.rule import Hyper, UpdateRule, zeros
from svl.replicas import broadcast_to

_COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic iteration, as in torch.optim.Muon
_LEAST_NORM = 1e-7


class Muon(UpdateRule):
    """Muon: matrices move by their orthogonalised momentum, all other parameters by AdamW.

    For a matrix, m <- momentum m + (1 - momentum) g; u = momentum m + (1 - momentum) g with Nesterov momentum, else m;
    p <- p (1 - lr weight_decay) - lr s NS(u), where NS is a Newton-Schulz iteration that moves all singular values
    close to 1. A convolution's kernel is the matrix of its outputs times all else. Biases, the weights of normalisation
    layers, and the matrices that ``adamw`` names are trained by :class:`AdamW`: in practice the embeddings and the
    readout (Jordan et al. 2024).

    ``torch.optim.Muon`` does the same to matrices, but it iterates in bfloat16, and its default for the factor s is
    ``original``. With ``match_rms_adamw`` an update is as large as AdamW's, so that one learning rate serves all
    parameters (Liu et al. 2025, section 2.2); with ``original``, give what AdamW trains a rate of its own by
    ``model.groups``.

    Args:
        lr: learning rate of all parameters. Can differ by replica, as can ``momentum``, ``weight_decay``, ``nesterov``
            and AdamW's numbers.
        momentum: in [0, 1).
        weight_decay: decoupled weight decay.
        nesterov: Nesterov momentum.
        adamw: glob patterns of the names of matrices that AdamW trains, such as ``[layers.2.weight]``.
        scale: the factor s: ``match_rms_adamw`` for 0.2 sqrt(max(out, in)), or ``original`` for sqrt(max(1, out / in)).
        iterations: of Newton-Schulz.
        beta1: decay of AdamW's first moment, in [0, 1).
        beta2: decay of AdamW's second moment, in [0, 1).
        eps: AdamW's, added to the square root of the second moment.

    Raises:
        SettingError: for a hyperparameter out of range, or a pattern that matches no parameter.
    """

    per_replica: ClassVar[frozenset[str]] = AdamW.per_replica | {"momentum", "nesterov"}
    is_adaptive: ClassVar[bool] = True

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        nesterov: bool = True,
        adamw: list[str] | None = None,
        scale: Literal["match_rms_adamw", "original"] = "match_rms_adamw",
        iterations: int = 5,
        beta1: float = 0.9,
        beta2: float = 0.95,
        eps: float = 1e-8,
    ) -> None:
        check_flag("nesterov", nesterov)
        check_choice("scale", scale, ("match_rms_adamw", "original"))
        check_whole("iterations", iterations, 1, 99, "1 to 99")
        self._adamw = AdamW(lr, beta1, beta2, eps, weight_decay)
        self.lr, self.beta1, self.beta2 = self._adamw.lr, self._adamw.beta1, self._adamw.beta2
        self.eps, self.weight_decay = self._adamw.eps, self._adamw.weight_decay
        self.momentum = check_number("momentum", momentum, 0, 1, open_high=True)
        self.nesterov, self.adamw, self.scale, self.iterations = nesterov, adamw, scale, iterations

    def check_names(self, names: Sequence[str]) -> None:
        for pattern in self.adamw or ():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise SettingError("adamw", pattern, f"a pattern of {', '.join(names)}")

    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        return zeros(parameter, "momentum_buffer") if parameter.dim() >= 3 else self._adamw.state(parameter)

    def state_of(self, name: str, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        is_named = any(fnmatchcase(name, pattern) for pattern in self.adamw or ())
        return self._adamw.state(parameter) if is_named else self.state(parameter)

    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        if "momentum_buffer" not in state:
            return self._adamw.update(parameter, gradient, state, hyper, step)
        share = broadcast_to(1 - hyper["momentum"], parameter)
        buffer = torch.lerp(state["momentum_buffer"], gradient, share)
        ahead = torch.lerp(buffer, gradient, share)
        direction = torch.where(broadcast_to(hyper["nesterov"], parameter) > 0, ahead, buffer).flatten(2)
        out, inputs = direction.shape[1:]
        factor = math.sqrt(max(1, out / inputs)) if self.scale == "original" else 0.2 * math.sqrt(max(out, inputs))
        move = orthogonalised(direction, self.iterations).reshape(parameter.shape)
        decayed = parameter * broadcast_to(1 - hyper["lr"] * hyper["weight_decay"], parameter)
        return decayed - broadcast_to(hyper["lr"] * factor, parameter) * move, {"momentum_buffer": buffer}


def orthogonalised(matrix: Float[Tensor, "replica out in"], iterations: int) -> Float[Tensor, "replica out in"]:
    """Each replica's matrix with all its singular values moved close to 1 (0.7 to 1.2), by Newton-Schulz iterations.

    Args:
        matrix: one for each replica.
        iterations: of the quintic x <- a x + b x^3 + c x^5 on the singular values.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrix.shape[1] > matrix.shape[2]
    x = matrix.mT if is_tall else matrix
    x = x / x.flatten(1).norm(dim=1).clamp(min=_LEAST_NORM)[:, None, None]
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
