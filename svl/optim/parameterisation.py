"""The base class of parameterisations: factors on the initial values and learning rates of each parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from svl.optim.rule import UpdateRule


@dataclass
class Factors:
    """Factors that multiply the settings of one parameter: numbers, or tensors with one number for each replica.

    Attributes:
        scale: factor on its initial values.
        lr: factor on its learning rate.
        weight_decay: factor on its weight decay.
    """

    scale: float | Float[Tensor, "replica"] = 1.0
    lr: float | Float[Tensor, "replica"] = 1.0
    weight_decay: float | Float[Tensor, "replica"] = 1.0


class Parameterisation(ABC):
    """How the initial values and learning rates of each parameter depend on its place in the network.

    A subclass stores the arguments of its constructor in attributes of the same names.

    Attributes:
        per_replica: names of the arguments that can differ by replica.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def factors(
        self,
        network: nn.Module,
        make: Callable[..., nn.Module],
        rule: UpdateRule,
        numbers: Mapping[str, Float[Tensor, "replica"]],
    ) -> dict[str, Factors]:
        """Factors by parameter name; a parameter that is left out keeps its settings.

        Args:
            network: the network of one replica.
            make: builds the network again with some of its settings replaced, such as ``make(width=64)``.
            rule: the optimizer.
            numbers: the values of the arguments in ``per_replica``, by name.
        """


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that have a weight matrix, by name, in the network's order."""
    modules = ((name, module, getattr(module, "weight", None)) for name, module in network.named_modules())
    return {name: module for name, module, weight in modules if isinstance(weight, Tensor) and weight.dim() >= 2}
