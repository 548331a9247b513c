"""Optuna: continuing a trial that another process began."""

from __future__ import annotations

from optuna import Study
from optuna.trial import FrozenTrial, Trial


def resumed(study: Study, trial: FrozenTrial) -> Trial:
    """A running trial of the study that was begun before, to report to and to finish."""
    return Trial(study, trial._trial_id)
