"""What svl expects of Optuna: a trial can be continued by another process than the one that began it."""

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from svl.compat.optuna import resumed


def test_a_trial_is_continued_where_it_was():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    begun = study.ask({"lr": FloatDistribution(0, 1)})
    begun.report(0.5, 1)
    study.ask({"lr": FloatDistribution(0, 1)})
    trial = resumed(study, study.get_trials()[0])
    assert trial.number == begun.number and trial.params == begun.params
    trial.report(0.25, 2)
    study.tell(trial, 0.125)
    ended = study.get_trials()[0]
    assert (ended.state, ended.value) == (TrialState.COMPLETE, 0.125)
    assert ended.intermediate_values == {1: 0.5, 2: 0.25}
