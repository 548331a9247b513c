"""The norm, the growth and the updates of each layer's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule


class Norms(Measurement):
    """Three columns for every weight matrix (or kernel) W, by its name in the network.

    ``norm/<name>`` = |W|_F; ``growth/<name>`` = |W|_F / |W_0|_F with the initial weights W_0 (Liu et al. 2026, figure
    13); ``update/<name>`` = |W - W'|_F with the weights W' at the previous measurement, 0 at the first.

    Cost: two passes over the weights for each measurement, and memory for one more copy of them, also in checkpoints.

    Raises:
        SettingError: for a network without weight matrices.
    """

    def __init__(self) -> None:
        self._initial: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"initial": self._initial, "before": self._before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._initial, self._before = state_dict["initial"], state_dict["before"]

    def names(self, module: ReplicaModule) -> Sequence[str]:
        weights = _weights(module)
        if not weights:
            raise SettingError("trainer.callbacks", "Norms", "networks that have weight matrices")
        return [f"{kind}/{name}" for name in weights for kind in ("norm", "growth", "update")]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        weights = _weights(module)
        norms = {name: _norm(weight) for name, weight in weights.items()}
        self._initial = self._initial or norms
        before = self._before or weights
        columns = {}
        for name, weight in weights.items():
            columns[f"norm/{name}"] = norms[name]
            columns[f"growth/{name}"] = norms[name] / self._initial[name].to(weight.device)
            columns[f"update/{name}"] = _norm(weight - before[name].to(weight.device))
        self._before = {name: weight.clone() for name, weight in weights.items()}
        return columns


def _weights(module: ReplicaModule) -> Mapping[str, Float[Tensor, "replica ..."]]:
    return {name: p for name, p in module.stack.parameters_by_name().items() if p.dim() >= 3}


def _norm(weight: Float[Tensor, "replica ..."]) -> Float[Tensor, "replica"]:
    return weight.flatten(1).norm(dim=1)
