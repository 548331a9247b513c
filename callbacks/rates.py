"""The learning rates in effect."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.training.rates import rate_columns, rates_at
from svl.training.replica_module import ReplicaModule


class Rates(Measurement):
    """Learning rates of the next step, including schedules and parameterisation; 0 for frozen parameters.

    ``rate/<group>`` for each parameter group, and ``rate`` for the parameters that are not in a group. If a
    parameterisation gives the parameters of one group different rates, each has a column ``rate/<name>`` instead. The
    last measurement of a fit has the rates of its last step.

    Cost: reads one number for each group, which is negligible.

    Raises:
        SettingError: for an optimizer without a learning rate ``lr``.
    """

    def names(self, module: ReplicaModule) -> Sequence[str]:
        rule = module.stack.spec.rule
        if "lr" not in rule.per_replica:
            raise SettingError("trainer.callbacks", "Rates", f"optimizers with lr; {type(rule).__name__} has none")
        return list(map(_column, rate_columns(module.stack.spec)))

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        return {_column(name): rates for name, rates in rates_at(module.stack.spec, module.global_step).items()}


def _column(name: str) -> str:
    return f"rate/{name}".rstrip("/")
