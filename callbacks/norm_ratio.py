"""The norm of the output layer divided by the norm of the input layer."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from svl.callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule


class NormRatio(Measurement):
    """The norm of the last weight matrix a divided by that of the first, W: ``norm_ratio`` = |a|_F / |W|_F.

    Source: Liu et al. 2026, figures 4 and 12.

    Cost: one pass over two matrices for each measurement, which is negligible.

    Args:
        first: name of W, or a glob pattern that only one weight matrix matches. If left out, the first weight matrix
            of a layer: a parameter of the network itself, such as the positions of a Transformer, is taken only where
            no layer has any.
        last: the same of a; the last weight matrix if left out. Tied parameters can be named by each of their names.

    Raises:
        SettingError: for a network without weight matrices, or a pattern that does not match one of them.
    """

    metrics: ClassVar[tuple[str, ...]] = ("norm_ratio",)

    def __init__(self, first: str | None = None, last: str | None = None) -> None:
        self.first, self.last = first, last

    def names(self, module: ReplicaModule) -> Sequence[str]:
        self._matrices(module.stack.network)
        return self.metrics

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        first, last = self._matrices(module.stack.network)
        return {"norm_ratio": last.flatten(1).norm(dim=1) / first.flatten(1).norm(dim=1)}

    def _matrices(self, network: nn.Module) -> tuple[Float[Tensor, "replica ..."], Float[Tensor, "replica ..."]]:
        """The first and the last weight matrix."""
        every = dict(network.named_parameters(remove_duplicate=False))
        weights = {name: parameter for name, parameter in every.items() if parameter.dim() >= 3}
        of_layers = [name for name in weights if "." in name] or list(weights)
        if not of_layers and (self.first is None or self.last is None):
            raise SettingError("trainer.callbacks", "NormRatio", "networks that have weight matrices")
        first = of_layers[0] if self.first is None else _matching("first", self.first, list(weights))
        last = of_layers[-1] if self.last is None else _matching("last", self.last, list(weights))
        return every[first].data, every[last].data


def _matching(argument: str, pattern: str, names: list[str]) -> str:
    """The one name that a pattern matches."""
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if len(matching) != 1:
        raise SettingError(f"trainer.callbacks.NormRatio.{argument}", pattern, f"one of {', '.join(names)}")
    return matching[0]
