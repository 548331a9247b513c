"""The Optuna study of an adaptive sweep, in a file that its processes and nodes share."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import optuna
import yaml
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from svl.callbacks.history import History
from svl.compat.optuna import resumed
from svl.errors import SettingError, nearest
from svl.replicas import Replicas
from svl.results import arm_means, history
from svl.results.arms import metrics, with_arms
from svl.results.files import CONFIG
from svl.sweeps.manifest import Manifest, Row, drawn
from svl.sweeps.sweep_file import Settings

_JOURNAL = "study.log"
_ROW = "row"


def open_study(manifest: Manifest, number: int = 0) -> optuna.Study:
    """Open the sweep's study, or create it.

    Args:
        manifest: the sweep's.
        number: number of the fit that opens it, which seeds the fit's draws.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep, journal = manifest.sweep, manifest.folder / _JOURNAL
    journal.parent.mkdir(parents=True, exist_ok=True)
    sampler: BaseSampler = TPESampler(seed=number) if sweep.method == "bayes" else RandomSampler(seed=number)
    halving, metric = sweep.halving, sweep.metric
    pruner: Any = optuna.pruners.NopPruner()
    if halving:
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=halving.first, reduction_factor=halving.eta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=sweep.key,
            sampler=sampler,
            pruner=pruner,
            direction="maximize" if metric and metric[1] else "minimize",
            load_if_exists=True,
        )


def trials(study: optuna.Study) -> dict[int, FrozenTrial]:
    """The last trial of each row, by the row's number."""
    every = study.get_trials(deepcopy=False)
    return {trial.user_attrs[_ROW]: trial for trial in every if _ROW in trial.user_attrs}


def begin(study: optuna.Study, manifest: Manifest, row: Row) -> tuple[Trial, Settings] | None:
    """Begin or continue the row's trial; returns it with its settings, or ``None`` if it has ended."""
    sweep = manifest.sweep
    before = trials(study).get(row.number)
    if before is None:
        distributions = {key: parameter.distribution for key, parameter in sweep.parameters.items()}
        if row.settings is None:
            trial = study.ask(distributions)
            trial.set_user_attr(_ROW, row.number)
            return trial, drawn(sweep, trial.params)
        # No distributions: all the settings are given, and nothing is drawn.
        study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs={_ROW: row.number}))
        before = trials(study)[row.number]
    if before.state.is_finished():
        return None
    settings = row.settings if row.settings is not None else drawn(sweep, before.params)
    return resumed(study, before), settings


def end(study: optuna.Study, trial: Trial, value: float, is_early: bool) -> None:
    """Record a fit's result; a value that is not finite makes the trial a failed one, though the fit has not failed."""
    if is_early:
        study.tell(trial, state=TrialState.PRUNED)
    elif math.isfinite(value):
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)


class EarlyTermination(pl.Callback):
    """Ends a fit that is among the worse ones of its sweep: successive halving over the measurements of one metric.

    Args:
        trial: the fit's trial.
        metric: its name as on W&B, e.g. ``mean/val/accuracy``.

    Attributes:
        has_ended: whether this callback has ended the fit.
    """

    def __init__(self, trial: Trial, metric: str) -> None:
        self.trial, self.metric = trial, metric
        self.has_ended = False
        self._reported = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking or not pl_module.is_measuring:
            return
        history = next(callback for callback in trainer.callbacks if isinstance(callback, History))
        measurement = pl_module.measured_steps.place(trainer.global_step)
        if measurement not in self._reported:
            self.trial.report(objective(history.values(pl_module), self.metric), measurement)
        if trainer.global_step < trainer.max_steps and self.trial.should_prune():
            self.has_ended = trainer.should_stop = True


def values(run: Path) -> dict[str, float]:
    """A fit's values at its last measurement, by name as on W&B, read from its run directory."""
    config = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    replicas, target = Replicas(**config["replicas"]), config["target"]
    vary = list(replicas.vary)
    rows = with_arms(history.read(run), vary, replicas.arm_names)
    last = rows[rows["step"] == rows["step"].max()]
    reached = arm_means.reached(rows, target["metric"], target["value"])
    return arm_means.values(last, metrics(rows, vary), replicas.named_arms, reached)


def objective(values: dict[str, float], metric: str) -> float:
    """The value of a metric at one measurement; NaN where every replica has diverged.

    Raises:
        SettingError: for a metric that is not measured.
    """
    if metric not in values:
        known = [name for name in values if name.startswith((arm_means.MEAN, arm_means.SUCCESS))]
        raise SettingError("metric.name", metric, f"{', '.join(known)}, ...{nearest(metric, values)}")
    return values[metric]
