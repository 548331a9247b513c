"""The TensorBoard log of a fit: the metrics that a W&B run has, by the same names, in ``tensorboard/`` of its run.

``tensorboard --logdir runs`` shows the runs side by side. The x-axis is the step; ``samples`` is a metric of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
from lightning.pytorch.loggers import TensorBoardLogger

from svl.config_file import dump_yaml
from svl.console import say
from svl.extras import require
from svl.results.arm_label import arm_label
from svl.results.run_directory import FIGURE, RunDirectory

FOLDER = "tensorboard"
"""Below the run directory."""


class TensorBoardTracker(TensorBoardLogger):
    """Skips the steps that are logged already: a fit that resumes after a kill measures them again.

    Args:
        run: the run directory.
        config: the resolved config, which is logged as a text.
        arms: settings of each arm, which are logged as a table.

    Raises:
        SettingError: if TensorBoard is not installed.
    """

    def __init__(self, run: RunDirectory, config: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> None:
        require("tracking", "tensorboard")
        self.logged = _last_step(run.path / FOLDER)
        super().__init__(str(run.path), name="", version=FOLDER, default_hp_metric=False)
        if self.logged < 0:
            lines = [f"    {key}: {dump_yaml(value)}" for key, value in config.items()]
            self.experiment.add_text("config", "\n".join(lines))
            self.experiment.add_text("arms", "\n".join(f"- {arm_label(settings)}" for settings in arms))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if metrics.get("step", math.inf) > self.logged:
            super().log_metrics(dict(metrics), step)

    def keep_results(self, run: RunDirectory) -> None:
        """Add the figure of a finished fit; a failure is one line."""
        try:
            picture = matplotlib.image.imread(run.path / f"{FIGURE}.png")
            self.experiment.add_image("figures/curves", picture, dataformats="HWC")
        except Exception as error:  # of the disk, of TensorBoard or of a figure that could not be written
            say(f"TensorBoard: {error}; the figure can be found only in {run.path}")

    def end(self, run: RunDirectory, is_trained: bool) -> None:
        """Write what is not yet on the disk."""
        self.experiment.close()


def _last_step(folder: Path) -> int:
    """The last step that a log has, -1 if it has none."""
    if not folder.is_dir():
        return -1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    log.Reload()
    return max((int(log.Scalars(tag)[-1].value) for tag in log.Tags()["scalars"] if tag == "step"), default=-1)
