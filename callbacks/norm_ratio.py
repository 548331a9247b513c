"""The norm of the output layer divided by the norm of the input layer."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule


class NormRatio(Measurement):
    """``norm_ratio`` = |a|_F / |W|_F for the last weight matrix a and the first W (Liu et al. 2026, figures 4 and 12).

    Cost: one pass over two matrices for each measurement, which is negligible.

    Raises:
        SettingError: for a network without weight matrices.
    """

    metrics: ClassVar[tuple[str, ...]] = ("norm_ratio",)

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        weights = [p for p in module.stack.parameters_by_name().values() if p.dim() >= 3]
        if not weights:
            raise SettingError("trainer.callbacks", "NormRatio", "networks that have weight matrices")
        return {"norm_ratio": weights[-1].flatten(1).norm(dim=1) / weights[0].flatten(1).norm(dim=1)}
