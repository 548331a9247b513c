"""What a parameterisation is: factors on each parameter's initial values and rates."""

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
    """What multiplies a parameter's settings; numbers, or one for each replica.

    Attributes:
        scale: on its initial values.
        lr: on its learning rate.
        weight_decay: on its weight decay.
    """

    scale: float | Float[Tensor, "replica"] = 1.0
    lr: float | Float[Tensor, "replica"] = 1.0
    weight_decay: float | Float[Tensor, "replica"] = 1.0


class Parameterisation(ABC):
    """Says how initial values and rates of each parameter depend on its place in the network.

    Its attributes have the names of its constructor's arguments.
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
        """Factors by parameter name; a parameter left out keeps what it has.

        Args:
            network: one plain network.
            make: makes it anew, with settings of its own replaced.
            rule: the optimizer.
            numbers: each of ``per_replica``.
        """


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that hold a weight matrix, in order, by name."""
    found = ((name, module, getattr(module, "weight", None)) for name, module in network.named_modules())
    return {name: module for name, module, weight in found if isinstance(weight, Tensor) and weight.dim() >= 2}
