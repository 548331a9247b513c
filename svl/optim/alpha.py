"""Alpha-scaling of the initial values: a smaller first layer and a larger last layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from svl.errors import SettingError
from svl.optim.parameterisation import Factors, Parameterisation, layers
from svl.optim.rule import UpdateRule


class Alpha(Parameterisation):
    """Alpha-scaling: divides the initial values of the first layer by alpha and multiplies those of the last by alpha.

    Weights and biases are scaled alike; the layers between keep their initial values.

    Source: Liu et al. 2026, section 5.2.1, figures 7 and 23.

    Args:
        alpha: the factor, above 0; 1 changes nothing. Can differ by replica.

    Raises:
        SettingError: for an ``alpha`` out of range, or a network of one layer.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"alpha"})

    def __init__(self, alpha: float = 1.0) -> None:
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
            raise SettingError("alpha", alpha, "a number above 0")
        self.alpha = float(alpha)

    def factors(
        self,
        network: nn.Module,
        make: Callable[..., nn.Module],
        rule: UpdateRule,
        numbers: Mapping[str, Float[Tensor, "replica"]],
    ) -> dict[str, Factors]:
        names, alpha = list(layers(network)), numbers["alpha"]
        if len(names) < 2:
            raise SettingError("", "Alpha", "networks of two or more layers")
        scales = {names[0]: 1 / alpha, names[-1]: alpha}
        parameters = ((name, name.rpartition(".")[0]) for name, _ in network.named_parameters())
        return {name: Factors(scale=scales[layer]) for name, layer in parameters if layer in scales}
