"""Added bias: input coordinates get the means of a few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.interventions.on_data import Batch, DataIntervention
from svl.replicas import Replicas

if TYPE_CHECKING:
    from svl.data.draw import Settings
    from svl.data.reuse import ReuseDataModule

_CHUNK = 2**14


class AddedBias(DataIntervention):
    """Gives the coordinates of training inputs the means of the replica's first ``samples`` examples.

    A coordinate in {-1, 1} is 1 with probability (1 + mean) / 2; a Gaussian one is shifted by the mean. Labels are
    those that the task gives to the new input. Source: Liu et al. 2026, section 4.1.3, figures 3b
    and 17 (online data, 2^m samples).

    Args:
        samples: how many examples the means are taken from. Can vary by replica.

    Raises:
        SettingError: for a number below 1, or a task whose inputs are neither signs nor Gaussian.
    """

    per_replica: ClassVar[frozenset[str]] = frozenset({"samples"})
    changes_inputs = True

    def __init__(self, samples: int) -> None:
        check_whole("samples", samples, 1, 2**24, "1 to 2^24")
        self.samples = samples

    def check(self, key: str, data: ReuseDataModule) -> None:
        if data.task.input_law is None:
            allowed = f"tasks whose inputs are signs or Gaussian, unlike {type(data.task).__name__}"
            raise SettingError(key, "AddedBias", allowed)

    def prepare(self, data: ReuseDataModule, settings: Settings, replicas: Replicas, prefix: str) -> dict[str, Tensor]:
        if data.enumerates(settings):
            raise SettingError(prefix.rstrip("."), "AddedBias", "data that are drawn, not the whole population")
        samples, key = replicas.columns(prefix, self)["samples"], replicas.key()
        means = {}
        for replica, (seed, count) in enumerate(zip(replicas.seed, samples, strict=True)):
            if (seed, count) not in means:
                starts = range(0, count, _CHUNK)
                parts = [torch.arange(start, min(start + _CHUNK, count))[None] for start in starts]
                sums = [data.task.examples(key[replica][None], part)[0].double().sum(1) for part in parts]
                means[seed, count] = (sum(sums) / count)[0].float()
        return {"mean": torch.stack([means[replica] for replica in zip(replicas.seed, samples, strict=True)])}

    def apply(self, settings: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        mean, inputs = settings["mean"][:, None], batch.inputs
        if batch.task.input_law == "signs":
            # Coordinates of the other sign than the mean are flipped with probability |mean|.
            uniform = random.uniforms(random.fold(batch.key, "added bias")[:, None], batch.index, inputs.shape[-1])
            inputs = torch.where((inputs * mean < 0) & (uniform < mean.abs()), -inputs, inputs)
        else:
            inputs = inputs + mean
        return inputs, batch.task.labels(batch.key, inputs, batch.index)
