"""Arms whose seeds have all reached the target are no longer trained."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from svl.errors import SettingError
from svl.results import statistics
from svl.training.replica_module import ReplicaModule


class StopAtTarget(pl.Callback):
    """Stops each arm at the measurement at which the last of its seeds has reached the target, to save its time.

    A replica that has stopped keeps its weights. The measurement at which it stopped is the last one in its history, so
    that times to the target, speed-ups and verdicts are those of a fit without this callback; curves end there. A seed
    that has diverged is not waited for. The other arms are trained as before, and their numbers are the same.

    Time is saved where all replicas of a block have stopped (``svl fit --explain`` prints the blocks): most where arms
    have many seeds. Measurements still include all replicas.

    Args:
        monitor: the metric; ``None`` for that of the experiment's ``target``.
        value: the value that it has to pass; ``None`` for that of ``target``.
        share: of an arm's seeds that have to reach the target, above 0 and at most 1. Of an arm that stops when half
            of its seeds have reached it, the median time is known, but not the times of the later half.
    """

    def __init__(self, monitor: str | None = None, value: float | None = None, share: float = 1.0) -> None:
        if not 0 < share <= 1:
            raise SettingError("share", share, "a number above 0 and at most 1")
        if (monitor is None) != (value is None):
            raise SettingError("monitor" if monitor is None else "value", None, "both monitor and value, or neither")
        self.monitor, self.value, self.share = monitor, value, share
        self._reached: Bool[Tensor, "replica"] | None = None
        self._stopped_at: Int[Tensor, "replica"] | None = None

    def aim(self, metric: str, value: float) -> None:
        """Take the target of the experiment where this callback has none of its own."""
        if self.monitor is None:
            self.monitor, self.value = metric, value

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self._stopped_at is not None:
            pl_module.stack.stopped_at = self._stopped_at

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.is_fitting and pl_module.is_measuring:
            self._stop(pl_module, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"reached": self._reached, "stopped_at": self._stopped_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._reached, self._stopped_at = state_dict["reached"], state_dict["stopped_at"]

    def _stop(self, module: ReplicaModule, step: int) -> None:
        if self.monitor is None or self.value is None:
            allowed = "StopAtTarget(monitor, value): a plain trainer has no target"
            raise SettingError("trainer.callbacks", "StopAtTarget()", allowed)
        if self.monitor not in module.measured:
            allowed = f"one that is measured: {', '.join(sorted(module.measured))}"
            raise SettingError("StopAtTarget.monitor", self.monitor, allowed)
        values = module.measured[self.monitor].cpu()
        passed = torch.from_numpy(statistics.passes(values.numpy(), self.monitor, self.value))
        self._reached = passed if self._reached is None else self._reached | passed
        stack, arms = module.stack, module.replicas.arm
        alive = stack.record["diverged_at"].cpu() < 0
        stopped_at = stack.stopped_at.clone()
        for arm in dict.fromkeys(arms):
            rows = torch.tensor([name == arm for name in arms])
            waiting = rows & alive
            reached = int((self._reached & waiting).sum())
            if reached >= self.share * int(waiting.sum()) and waiting.any():
                stopped_at[rows & (stopped_at < 0)] = step
        stack.stopped_at = self._stopped_at = stopped_at
