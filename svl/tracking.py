"""The W&B run of a fit: its axes and names, the table of arms, and the results at the end.

The metrics and their names are those of :mod:`svl.results.arm_means`. W&B makes a section of the first word of a name;
the bounds of intervals and the means over all arms are left out of its automatic charts. Every row has both x-axes,
``step`` (the default) and ``samples``.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import pandas as pd
from lightning.pytorch.loggers import WandbLogger

from svl.compat.wandb import without_launch
from svl.errors import SettingError
from svl.results import history, summary
from svl.results.arm_label import arm_label
from svl.results.arm_means import MEAN, SUCCESS, intervals
from svl.results.arms import Arm, references
from svl.results.quantity import setting
from svl.results.run_directory import CONFIG, FIGURE, RunDirectory
from svl.sweeps import agent

_PATIENCE = 30.0
"""Seconds to wait for an unreachable server, once at the start and once at the end."""
_GIVEN = Path("wandb") / "agent.json"


@runtime_checkable
class Tracker(Protocol):
    """A logger of Lightning that a fit has started, and that is given its results at the end."""

    def keep_results(self, run: RunDirectory) -> None:
        """Add the results of a finished fit."""

    def end(self, run: RunDirectory, is_trained: bool) -> None:
        """End it, whether or not the fit has reached its last step."""


@dataclass
class Tracking:
    """Weights & Biases.

    Args:
        mode: ``auto`` is online when a user is logged in and offline otherwise.
        project: W&B project.
        entity: W&B team.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "svl"
    entity: str | None = None


def tracker(
    run: RunDirectory,
    tracking: Tracking,
    config: dict[str, Any],
    arms: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
) -> WandbTracker | None:
    """Start the fit's W&B run; a resumed fit continues its run.

    The run's id is the run directory's name, followed by random letters where a user chose that name, since other users
    may have chosen it too. Under ``wandb agent`` the run is the agent's. An id that differs from the directory's name
    is stored in the directory, with the agent's project and team.

    Where the mode is ``auto``, ``WANDB_MODE`` decides, else ``wandb disabled`` or ``wandb offline``; ``WANDB_PROJECT``,
    ``WANDB_NAME``, ``WANDB_RUN_GROUP`` and ``WANDB_JOB_TYPE`` decide where svl has only a default. If the server cannot
    be reached, the run is an offline one, which ``wandb sync`` uploads later.

    Args:
        run: the run directory; W&B writes its own files below it.
        config: the resolved config, which is uploaded completely.
        arms: settings of each arm.
        metrics: names of all metrics that the fit measures.
    """
    mode: Any = _mode(tracking)
    if mode == "disabled":
        return None
    import wandb

    # svl prints its own messages; capturing the terminal would break the progress bar.
    settings = wandb.Settings(
        silent=True, console="off", init_timeout=_PATIENCE, finish_timeout=_PATIENCE, finish_timeout_raises=False
    )
    swept = agent.settings()
    # Hidden from W&B, which would let them override the config.
    os.environ.pop(agent.VARIABLE, None)
    stored = wandb.setup(wandb.Settings(silent=True)).settings.mode
    if mode == "auto" and stored != "online":
        mode = stored  # by `wandb offline` or `wandb disabled`
        if mode == "disabled":
            return None
    given = run.path / _GIVEN
    if not run.is_dated and not given.exists():
        given.parent.mkdir(exist_ok=True)
        given.write_text(json.dumps({"id": f"{run.id}-{secrets.token_hex(3)}"}), encoding="utf-8")
    options: dict[str, Any] = {
        "name": os.environ.get("WANDB_NAME") or f"{config['experiment']}/{run.id}",
        "id": run.id,
        "resume": "allow",
        "dir": str(run.path),
        "project": _project(tracking),
        "entity": tracking.entity,
        "group": os.environ.get("WANDB_RUN_GROUP") or config["experiment"],
        "job_type": os.environ.get("WANDB_JOB_TYPE") or "fit",
        # W&B's sweep panels look for the agent's dotted names; where one of them names a whole group, the config wins.
        "config": swept | config,
        "settings": settings,
        **(json.loads(given.read_text(encoding="utf-8")) if given.exists() else {}),
    }
    try:
        if mode == "auto":
            mode = "online" if wandb.login(prompt=False) else "offline"
        with without_launch():
            experiment = wandb.init(mode=mode, **options)
    except Exception as error:  # of W&B, of its service, or of the disk
        reason = " ".join(str(error).split())
        print(f"W&B: {reason}; this run is kept offline: upload it later with wandb sync", file=sys.stderr)
        # W&B's own process is still busy with the first attempt and holds the id.
        wandb.teardown()
        wandb.setup(wandb.Settings(silent=True))
        try:
            experiment = wandb.init(mode="offline", **options)
        except Exception as again:
            print(f"W&B: {' '.join(str(again).split())}; this fit has no W&B run", file=sys.stderr)
            return None
    if experiment.sweep_id:
        agents = {"id": experiment.id, "project": experiment.project, "entity": experiment.entity or None}
        given.write_text(json.dumps(agents), encoding="utf-8")
    logged = experiment.summary.get("step", -1)
    experiment.define_metric("step")
    experiment.define_metric("samples")
    experiment.define_metric("*", step_metric="step")
    # One call per name: W&B does not document which of two patterns wins.
    bounds = (bound for arm in arms for metric in (*metrics, SUCCESS) for bound in intervals(metric, arm_label(arm)))
    for hidden in (*bounds, *(f"{MEAN}/{metric}" for metric in metrics)):
        experiment.define_metric(hidden, step_metric="step", hidden=True)
    with _uploading(run, "the table of arms"):
        experiment.log({"arms": _table(arms)})
    return WandbTracker(experiment, logged)


def check(tracking: Tracking) -> None:
    """Refuse what W&B would refuse, in its settings or its environment variables; an empty variable is an unset one.

    Raises:
        SettingError: naming the setting or the variable.
    """
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value]:
        del os.environ[name]
    if _mode(tracking) == "disabled":
        return
    import wandb

    settings = wandb.Settings()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        with _refusing(name, os.environ[name]):
            settings.update_from_env_vars({name: os.environ[name]})
    for name in ("project", "entity"):
        value = getattr(tracking, name)
        with _refusing(f"wandb.{name}", value):
            settings.update_from_dict({name: value})


@contextmanager
def _refusing(key: str, value: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of pydantic or of W&B
        errors = getattr(error, "errors", None)
        reason = errors()[0]["msg"] if callable(errors) else str(error)
        raise SettingError(key, value, f"what W&B accepts ({' '.join(reason.split())})") from None


def _mode(tracking: Tracking) -> str:
    """The mode by setting and environment, in today's words for it."""
    given = os.environ.get("WANDB_MODE") if tracking.mode == "auto" else tracking.mode
    return {"dryrun": "offline", "run": "online"}.get(given or "auto", given or "auto")


def _project(tracking: Tracking) -> str:
    is_default = tracking.project == Tracking.project
    return (os.environ.get("WANDB_PROJECT") if is_default else None) or tracking.project


class WandbTracker(WandbLogger):
    """Skips the steps that the server already has: a fit that resumes after a kill measures them again.

    Args:
        experiment: the W&B run.
        logged: the last step that the server has, -1 if it has none.
    """

    def __init__(self, experiment: Any, logged: int) -> None:
        super().__init__(experiment=experiment)
        self.logged = logged

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if metrics.get("step", math.inf) > self.logged:
            super().log_metrics(metrics, step)

    def keep_results(self, run: RunDirectory) -> None:
        """Add a finished fit's figure to its W&B run, and its history, summary and config as an artifact."""
        import wandb

        with _uploading(run, "the results"):
            self.experiment.log({"figures/curves": wandb.Image(str(run.path / f"{FIGURE}.png"))})
            artifact = wandb.Artifact(f"results-{run.id}", type="results")
            for name in (history.TABLE, summary.SUMMARY, CONFIG):
                artifact.add_file(str((run.path / name).resolve()))
            self.experiment.log_artifact(artifact)

    def end(self, run: RunDirectory, is_trained: bool) -> None:
        """End the W&B run; what W&B fails to do then is one line, and changes nothing in the fit."""
        with _uploading(run, "what W&B had not received"):
            self.experiment.finish(exit_code=int(not is_trained))


def _table(arms: Sequence[Mapping[str, Any]]) -> Any:
    """Each arm's name in the charts, its varied settings and its rank: 0 for the smallest, the last for the large."""
    import wandb

    all_arms = [Arm(dict(settings), pd.DataFrame()) for settings in arms]
    compared = references(all_arms)
    data = []
    for arm, reference in zip(all_arms, compared, strict=True):
        rivals = [
            rival for rival, other in zip(all_arms, compared, strict=True) if other is reference and rival is not other
        ]
        rank = len(rivals) if arm is reference else rivals.index(arm)
        data.append([arm_label(arm.settings), *map(setting, arm.settings.values()), rank])
    return wandb.Table(columns=["arm", *all_arms[0].settings, "rank"], data=data)


@contextmanager
def _uploading(run: RunDirectory, what: str) -> Iterator[None]:
    """Within the block W&B stores the files to upload in the run directory, where a later ``wandb sync`` finds them.

    A failure prints one line on standard error: W&B asks the server about every artifact before it accepts it.
    """
    kept = os.environ.get("WANDB_DATA_DIR")
    os.environ.setdefault("WANDB_DATA_DIR", str(run.path.resolve() / "wandb"))
    try:
        yield
    except Exception as error:  # W&B's errors have no class in common
        print(f"W&B: {' '.join(str(error).split())}; {what} can be found only in {run.path}", file=sys.stderr)
    finally:
        if kept is None:
            del os.environ["WANDB_DATA_DIR"]
