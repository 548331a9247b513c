"""The maximal-update parameterisation (muP)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from svl.checks import check_whole
from svl.compat.torch import CONVOLUTION
from svl.errors import SettingError
from svl.optim.parameterisation import Factors, Parameterisation
from svl.optim.rule import UpdateRule

_LAYERS = (nn.Linear, CONVOLUTION)


class MuP(Parameterisation):
    """The maximal-update parameterisation: every layer's update stays of order one as the width grows.

    Source: Yang and Hu 2021; Yang et al. 2022, table 3, without multipliers in the forward pass. With r = width /
    base width, these factors multiply the learning rate and the standard deviation of an initialisation with variance
    1 / fan_in:

    ==============================  ============  ==========  =================
    parameter                       initial std   rate (SGD)  rate (Adam)
    ==============================  ============  ==========  =================
    input weights, biases, norms    1             r           1
    hidden weights                  1             1           1 / r
    output weights                  r^(-1/2)      1 / r       1 / r
    ==============================  ============  ==========  =================

    Biases of layers whose input grows with the width start r^(1/2) larger than PyTorch's, which shrink with the width.
    Weight decay is scaled such that its product with the learning rate stays the same. Attention keeps its factor
    1 / sqrt(d_head), so widen a Transformer by adding heads of the same size, or normalise queries and keys. An axis of
    a parameter counts as growing with the width if its size differs from that in the network of the base width.

    Args:
        base_width: the width at which all factors are 1.

    Raises:
        SettingError: for a base width below 1, a network without an argument ``width``, or an optimizer for which the
            table does not hold.
    """

    def __init__(self, base_width: int = 1) -> None:
        check_whole("base_width", base_width, 1)
        self.base_width = base_width

    def factors(
        self,
        network: nn.Module,
        make: Callable[..., nn.Module],
        rule: UpdateRule,
        numbers: Mapping[str, Float[Tensor, "replica"]],
    ) -> dict[str, Factors]:
        if not rule.elementwise or rule.needs_two_gradients:
            allowed = "optimizers such as SGD and AdamW, which are elementwise and take one gradient"
            raise SettingError("", "MuP", f"{allowed}; {type(rule).__name__} is not one")
        try:
            base = make(width=self.base_width)
        except SettingError as error:
            allowed = f"a width that {type(network).__name__} can have ({error.allowed})"
            raise SettingError("base_width", self.base_width, allowed) from error
        owners = {name: network.get_submodule(name.rpartition(".")[0]) for name, _ in network.named_parameters()}
        return {
            name: self._of_parameter(owners[name], name, _growth(base, network, name), base, network, rule.is_adaptive)
            for name in owners
        }

    def _of_parameter(
        self, owner: nn.Module, name: str, growth: list[float], base: nn.Module, network: nn.Module, is_adaptive: bool
    ) -> Factors:
        is_layer = isinstance(owner, _LAYERS)
        if is_layer and name.endswith("weight"):
            fan_out, fan_in = growth[0], growth[1]
            if fan_in != 1 and fan_out == 1:
                return Factors(fan_in**-0.5, 1 / fan_in, fan_in)
            rate = 1 / fan_in if is_adaptive else fan_out / fan_in
            return Factors(1.0, rate, 1 / rate)
        rate = 1.0 if is_adaptive else math.prod(growth)
        # PyTorch draws biases of size fan_in^(-1/2); under muP their size does not depend on the width.
        fan_in = _growth(base, network, name[: -len("bias")] + "weight")[1] if is_layer else 1.0
        return Factors(math.sqrt(fan_in), rate, 1 / rate)


def _growth(base: nn.Module, network: nn.Module, name: str) -> list[float]:
    """How many times larger each axis of a parameter is than at the base width."""
    wide: Any = network.get_parameter(name)
    return [w / b for w, b in zip(wide.shape, base.get_parameter(name).shape, strict=True)]
