"""The W&B run of a fit: its axes and names, the table of arms, and the results at the end.

A metric is logged per arm as ``<metric>/<arm>`` (``val/accuracy/size=4096, lr=0.3``), its 95 % interval as
``low/<metric>/<arm>`` and ``high/<metric>/<arm>``, the share of seeds that have passed the target as ``success/<arm>``.
``mean/<metric>`` is over the replicas of all arms: one number a run, for a sweep to maximise.
W&B makes a section of the first word, and leaves the bounds and this mean out of its automatic charts.

Every row has both x-axes, ``step`` (the default) and ``samples``. Arms can have processed different numbers of samples
at one step (full batches of different sizes), but a chart has one x-axis; so a measurement is one row for each number
of samples, with the arms that have processed as many. Where the batch size is the same for all, that is a single row.
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
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Bool, Float
from lightning.pytorch.loggers import WandbLogger
from numpy import ndarray
from scipy import special

from svl.results import history, statistics, summary
from svl.results.arms import Arm, references, short_names
from svl.results.quantity import setting
from svl.results.run_directory import CONFIG, FIGURE, RunDirectory

LOW, HIGH, SUCCESS, MEAN = "low", "high", "success", "mean"
_PATIENCE = 30.0
"""Seconds to wait for an unreachable server, once at the start and once at the end."""
_GIVEN = Path("wandb") / "agent.json"


@dataclass
class Tracking:
    """Weights & Biases.

    Args:
        mode: ``auto`` is online when somebody is logged in and offline otherwise.
        project: W&B project.
        entity: W&B team.
    """

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "svl"
    entity: str | None = None


def arm_name(arm: Mapping[str, Any]) -> str:
    """An arm's settings by their short names: ``size=4096, lr=0.3``."""
    named = zip(short_names(list(arm)), arm.values(), strict=True)
    return ", ".join(f"{name}={setting(value)}" for name, value in named) or "all"


def rows(
    frame: pd.DataFrame, metrics: Sequence[str], arms: Sequence[Mapping[str, Any]], reached: Bool[ndarray, "replica"]
) -> list[dict[str, float]]:
    """What is logged of one measurement: a row for each number of samples processed, fewest first.

    Intervals are Student's, mean +- t s / sqrt(n) over the finite seeds: a bootstrap of hundreds of columns would cost
    more than their measurement. Those of success are Wilson's. The samples of an arm are the median over its seeds.

    Args:
        frame: the history's rows of the measurement, one per replica, arm by arm.
        metrics: columns to log; what is NaN for all seeds of an arm is left out.
        arms: settings of each arm.
        reached: whether the replica has passed the target.
    """
    values = frame[list(metrics)].to_numpy(np.float64).reshape(len(arms), -1, len(metrics))
    means, half = student(values)
    bounds = {"": means, f"{LOW}/": means - half, f"{HIGH}/": means + half}
    samples = np.median(frame["samples"].to_numpy().reshape(len(arms), -1), axis=1)
    found: dict[float, dict[str, float]] = {count: {"samples": count} for count in np.sort(samples).tolist()}
    for place, (arm, passed) in enumerate(zip(arms, reached.reshape(len(arms), -1), strict=True)):
        name, row = arm_name(arm), found[samples[place]]
        for prefix, table in bounds.items():
            pairs = zip(metrics, table[place].tolist(), strict=True)
            row |= {f"{prefix}{metric}/{name}": value for metric, value in pairs if np.isfinite(value)}
        row |= zip(
            [f"{SUCCESS}/{name}", *intervals(SUCCESS, name)], _success(int(passed.sum()), passed.size), strict=True
        )
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        overall = np.where(finite, values, 0).sum((0, 1)) / finite.sum((0, 1))
    last = next(reversed(found.values()))
    last |= {
        f"{MEAN}/{name}": value for name, value in zip(metrics, overall.tolist(), strict=True) if np.isfinite(value)
    }
    return [{"step": int(frame["step"].iloc[0]), **row} for row in found.values()]


def values(
    frame: pd.DataFrame, metrics: Sequence[str], arms: Sequence[Mapping[str, Any]], reached: Bool[ndarray, "replica"]
) -> dict[str, float]:
    """All that :func:`rows` has of one measurement, by name; NaN for what has no value.

    Args: as for :func:`rows`.
    """
    names = [f"{metric}/{arm_name(arm)}" for arm in arms for metric in metrics] + [f"{MEAN}/{name}" for name in metrics]
    found = {name: value for row in rows(frame, metrics, arms, reached) for name, value in row.items()}
    return dict.fromkeys(names, np.nan) | found


def intervals(metric: str, name: str) -> list[str]:
    """Under which names the bounds of an arm's metric are logged."""
    return [f"{LOW}/{metric}/{name}", f"{HIGH}/{metric}/{name}"]


def student(
    values: Float[ndarray, "arm seed metric"],
) -> tuple[Float[ndarray, "arm metric"], Float[ndarray, "arm metric"]]:
    """Mean over the finite seeds, and half the width of its 95 % t interval, NaN for fewer than two."""
    finite = np.isfinite(values)
    count = finite.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0).sum(1) / count
        squares = np.where(finite, values - mean[:, None], 0) ** 2
        error = np.sqrt(squares.sum(1) / (count - 1) / count)
        return mean, special.stdtrit(count - 1, statistics.HIGH) * error


@cache
def _success(reached: int, seeds: int) -> statistics.Estimate:
    return statistics.success(np.arange(seeds) < reached)


def tracker(
    run: RunDirectory,
    tracking: Tracking,
    config: dict[str, Any],
    arms: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
) -> WandbLogger | None:
    """Start the fit's W&B run, which a resumed fit goes on in.

    Its id is the run directory's name; where that was given, and others may have given it too, some letters more.

    Under ``wandb agent`` the run is the one that the agent was given. An id that is not the directory's name is kept in
    the directory, with the agent's project and team.
    ``WANDB_MODE`` decides where the mode is ``auto``. A server that cannot be reached makes the run an offline one,
    which ``wandb sync`` uploads later.

    Args:
        run: the run directory; W&B's own files go below it.
        config: the resolved config, uploaded whole.
        arms: settings of each arm.
        metrics: names of what is going to be measured.
    """
    mode: Any = os.environ.get("WANDB_MODE", "auto") if tracking.mode == "auto" else tracking.mode
    if mode == "disabled":
        return None
    import wandb

    # svl says what there is to say; capturing the terminal would break the progress bar.
    settings = wandb.Settings(
        silent=True, console="off", init_timeout=_PATIENCE, finish_timeout=_PATIENCE, finish_timeout_raises=False
    )
    swept = _swept()
    wandb.setup(wandb.Settings(silent=True))
    given = run.path / _GIVEN
    if not run.is_dated and not given.exists():
        given.parent.mkdir(exist_ok=True)
        given.write_text(json.dumps({"id": f"{run.id}-{secrets.token_hex(3)}"}))
    options: dict[str, Any] = {
        "name": f"{config['experiment']}/{run.id}",
        "id": run.id,
        "resume": "allow",
        "dir": str(run.path),
        "project": tracking.project,
        "entity": tracking.entity,
        "group": config["experiment"],
        "job_type": "fit",
        # The agent's dotted names, by which W&B's sweep panels go; where one names a whole group, the group counts.
        "config": swept | config,
        "settings": settings,
        **(json.loads(given.read_text()) if given.exists() else {}),
    }
    try:
        if mode == "auto":
            mode = "online" if wandb.login(prompt=False) else "offline"
        experiment = wandb.init(mode=mode, **options)
    except wandb.errors.Error as error:
        print(f"W&B: {' '.join(str(error).split())}; this run is kept offline, for wandb sync", file=sys.stderr)
        # W&B's own process is still at the first attempt, and lets nobody else have the id.
        wandb.teardown()
        wandb.setup(wandb.Settings(silent=True))
        experiment = wandb.init(mode="offline", **options)
    if experiment.sweep_id:
        agents = {"id": experiment.id, "project": experiment.project, "entity": experiment.entity or None}
        given.write_text(json.dumps(agents))
    logged = experiment.summary.get("step", -1)
    experiment.define_metric("step")
    experiment.define_metric("samples")
    experiment.define_metric("*", step_metric="step")
    # One by one: W&B does not say which of two patterns wins.
    bounds = (bound for arm in arms for metric in (*metrics, SUCCESS) for bound in intervals(metric, arm_name(arm)))
    for hidden in (*bounds, *(f"{MEAN}/{metric}" for metric in metrics)):
        experiment.define_metric(hidden, step_metric="step", hidden=True)
    with _uploading(run, "the table of arms"):
        experiment.log({"arms": _table(arms)})
    return _Logger(experiment, logged)


class _Logger(WandbLogger):
    """Leaves out steps that the server has, from before a kill: a fit that goes on measures them again.

    Args:
        experiment: the W&B run.
        logged: the last step that the server has, -1 for none.
    """

    def __init__(self, experiment: Any, logged: int) -> None:
        super().__init__(experiment=experiment)
        self.logged = logged

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if metrics.get("step", math.inf) > self.logged:
            super().log_metrics(metrics, step)


def _swept() -> dict[str, Any]:
    """What an agent set, by its dotted names; W&B, that would put it above the config, sees it no more."""
    path = os.environ.pop("WANDB_SWEEP_PARAM_PATH", None)
    entries = yaml.safe_load(Path(path).read_text()) if path else {}
    return {key: entry["value"] for key, entry in entries.items() if isinstance(entry, dict)}


def upload(experiment: Any, run: RunDirectory) -> None:
    """Add a finished fit's figure to its W&B run, and its history, summary and config as an artifact."""
    import wandb

    with _uploading(run, "the results"):
        experiment.log({"figures/curves": wandb.Image(str(run.path / f"{FIGURE}.png"))})
        artifact = wandb.Artifact(f"results-{run.id}", type="results")
        for name in (history.TABLE, summary.SUMMARY, CONFIG):
            artifact.add_file(str((run.path / name).resolve()))
        experiment.log_artifact(artifact)


def _table(arms: Sequence[Mapping[str, Any]]) -> Any:
    """Each arm's name in the charts, its varied settings and its rank, from 0 for the smallest to that of the large."""
    import wandb

    every = [Arm(dict(arm), pd.DataFrame()) for arm in arms]
    against = references(every)
    data = []
    for arm, reference in zip(every, against, strict=True):
        rivals = [
            rival for rival, other in zip(every, against, strict=True) if other is reference and rival is not other
        ]
        rank = len(rivals) if arm is reference else rivals.index(arm)
        data.append([arm_name(arm.settings), *map(setting, arm.settings.values()), rank])
    return wandb.Table(columns=["arm", *every[0].settings, "rank"], data=data)


@contextmanager
def _uploading(run: RunDirectory, what: str) -> Iterator[None]:
    """Within the block W&B keeps files to upload in the run directory, where a later ``wandb sync`` finds them.

    It asks the server about every artifact before it takes it. A failure is one line on standard error.
    """
    kept = os.environ.get("WANDB_DATA_DIR")
    os.environ.setdefault("WANDB_DATA_DIR", str(run.path.resolve() / "wandb"))
    try:
        yield
    except Exception as error:  # W&B's errors have no class in common
        print(f"W&B: {' '.join(str(error).split())}; {what} can be had from {run.path} alone", file=sys.stderr)
    finally:
        if kept is None:
            del os.environ["WANDB_DATA_DIR"]
