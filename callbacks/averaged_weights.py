"""What a network does with an average of its weights in place of the weights."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.errors import SettingError
from svl.interventions.on_weights import WeightIntervention
from svl.training.replica_module import ReplicaModule
from svl.training.validation import Validation


class AveragedWeights(Measurement):
    """The metrics of the test set with averaged weights, as ``ema/val/loss`` for an average that is called ``ema``.

    An average is an intervention that keeps other weights, such as ``EMA``; it is called as in ``model.interventions``.
    All else that a network has, such as the running statistics of BatchNorm, is that of the trained network.

    Cost: for each average, that of one measurement on the test set.

    Raises:
        SettingError: for a fit that averages no weights.
    """

    def names(self, module: ReplicaModule) -> Sequence[str]:
        averages = _averages(module)
        if not averages:
            allowed = "fits with an average of the weights: model.interventions: {ema: {class_path: EMA}}"
            raise SettingError("trainer.callbacks", "AveragedWeights", allowed)
        metrics = [name for name in module.metric_names if name.startswith("val/")]
        return [f"{average}/{metric}" for average in averages for metric in metrics]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack = module.stack
        validation = Validation(stack, module.further_metrics)
        columns: dict[str, Float[Tensor, "replica"]] = {}
        for average, intervention in _averages(module).items():
            row = intervention.averages(stack.state.memory[average])
            assert row is not None
            with stack.having(row):
                validation.update()
            columns |= {f"{average}/{metric}": value for metric, value in validation.compute().items()}
        return columns


def _averages(module: ReplicaModule) -> dict[str, WeightIntervention]:
    """The interventions that keep other weights, by name."""
    state = module.stack.state
    interventions = module.stack.spec.weight_interventions.items()
    return {name: part for name, part in interventions if part.averages(state.memory[name]) is not None}
