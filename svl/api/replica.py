"""One replica of a run: a plain network with its weights, and the examples that it saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from svl.cli import fit as command
from svl.data.draw import Draw
from svl.data.reuse import ReuseDataModule
from svl.data.steps import MeasuredSteps
from svl.errors import SettingError
from svl.optim.from_run import row
from svl.optim.initialisation import initial_network
from svl.results import weights
from svl.results.files import CONFIG
from svl.training import network as plain_network
from svl.training.blocks import view
from svl.training.replica_module import ReplicaModule

_MICRO_BATCH = 2**14


class Examples(NamedTuple):
    """Some examples of one replica.

    Attributes:
        inputs: ``[example, *input_shape]``.
        targets: ``[example, ...]``.
    """

    inputs: Tensor
    targets: Tensor


class RunObjects:
    """The task, the strategy and the module of a run, built from its config.

    Args:
        path: the run directory.
        steps: of the fit.

    Raises:
        SettingError: if the config names something that cannot be built any more.
    """

    def __init__(self, path: Path, steps: int) -> None:
        session = command.objects(["fit", "--config", str(path / CONFIG)])
        self.path, self.steps = path, steps
        self.module: ReplicaModule = session.model
        self.data: ReuseDataModule = session.datamodule
        self.replicas = self.module.replicas

    def network(self, arm: str | None, seed: int | None, step: int | None) -> nn.Module:
        """One replica's network; see :meth:`svl.api.run.Run.network`."""
        number, seed = self._row(arm, seed)
        network = initial_network(lambda: plain_network.make(self.module.build, self.data.task), seed)
        weights.load_into(network, weights.stacked(self.path, step), number)
        return network.eval()

    def batch(self, arm: str | None, seed: int | None, step: int) -> Examples:
        """The examples of one step; see :meth:`svl.api.run.Run.data`."""
        number, _ = self._row(arm, seed)
        if not 0 <= step < self.steps:
            raise SettingError("step", step, f"a step of the run, 0 to {self.steps - 1}")
        data, settings, key = self._prepared(number)
        if data.initial_state(settings):
            name = type(data).__name__
            raise SettingError("data", name, "a strategy whose examples do not depend on the accuracy of the training")
        size = data.examples_at_once(settings, _MICRO_BATCH)
        *_, count = (count for first, count in data.micro_batches(settings, size) if first <= step)
        parts = []
        for micro in range(count):
            draw = Draw(settings, {}, key, torch.tensor(step), torch.tensor(micro), size)
            inputs, targets, shares = data.batch(draw)
            used = slice(None) if shares is None else shares[0] > 0
            parts.append((inputs[0][used], targets[0][used]))
        return Examples(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def tests(self, arm: str | None, seed: int | None) -> Examples:
        """One replica's test set."""
        number, _ = self._row(arm, seed)
        data, settings, key = self._prepared(number)
        inputs, targets = data.test_batch(settings, key, 0, data.test_size)
        return Examples(inputs[0], targets[0])

    def _row(self, arm: str | None, seed: int | None) -> tuple[int, int]:
        """A replica's number and its seed."""
        seed = self.replicas.first_seed if seed is None else seed
        return row(self.replicas, arm, seed), seed

    def _prepared(self, number: int) -> tuple[ReuseDataModule, Any, Tensor]:
        """The strategy, and one replica's part of its settings and keys."""
        self.data.schedule(self.steps, self.steps, MeasuredSteps(self.steps, self.steps))
        one = slice(number, number + 1)
        return self.data, view(self.data.settings_of(self.replicas), one), self.replicas.key()[one]
