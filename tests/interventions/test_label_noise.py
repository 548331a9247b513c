"""Label noise: how often, whose label instead, and the same each time."""

import numpy as np
import pytest
import torch
from scipy import stats

from svl.data import Online, Subset
from svl.errors import SettingError
from svl.interventions import LabelNoise
from svl.tasks import Facts, ModularAddition, Parity, SingleIndex

PARITY, SUMS = Parity(10, 3), ModularAddition(5, 50)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("task", [PARITY, SUMS], ids=["parity", "modular addition"])
def test_the_share_of_wrong_labels_is_the_rate(rule, task, rate):
    x, y = rule(Online(task, 5000)).inputs([0])
    noisy_x, noisy = rule(Online(task, 5000, interventions={"noise": LabelNoise(rate)})).inputs([0])
    wrong = int((y != noisy).sum())
    assert torch.equal(x, noisy_x)
    assert stats.binomtest(wrong, 5000, rate).pvalue > 1e-3 if 0 < rate < 1 else wrong == 5000 * rate
    # Whether a label is wrong does not depend on what it is.
    table = [
        [int(((y == label) & (y != noisy)).sum()), int(((y == label) & (y == noisy)).sum())] for label in y.unique()
    ]
    assert (0 < rate < 1 and stats.chi2_contingency(table).pvalue > 1e-3) or rate in (0, 1)


def test_a_wrong_class_is_any_other(rule):
    y = rule(Online(SUMS, 8000)).inputs([0])[1]
    noisy = rule(Online(SUMS, 8000, interventions={"noise": LabelNoise(1.0)})).inputs([0])[1]
    shift = ((noisy - y) % 5).numpy().ravel()
    assert stats.chisquare(np.bincount(shift, minlength=5)[1:]).pvalue > 1e-3


def test_a_wrong_label_stays(rule):
    one = rule(Subset(PARITY, 50, "replacement", batch_size=100, interventions={"noise": LabelNoise(0.3)}), 2)
    for index, labels in zip(one.stream(20), one.inputs(range(20))[1].numpy(), strict=True):
        assert len(set(zip(index, labels, strict=True))) == len(set(index))


def test_rates_vary_by_replica(rule):
    vary = {"data.interventions.noise.rate": [0.0, 0.2, 1.0]}
    together = rule(Online(PARITY, 64, interventions={"noise": LabelNoise()}), vary=vary).inputs([0])[1]
    for row, rate in zip(together, (0.0, 0.2, 1.0), strict=True):
        assert torch.equal(row, rule(Online(PARITY, 64, interventions={"noise": LabelNoise(rate)})).inputs([0])[1][0])


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "0.1", True])
def test_a_rate_that_is_none_is_refused(rate):
    noise = LabelNoise()
    with pytest.raises(SettingError, match=r"^rate: got "):
        type(noise).__init__.__wrapped__(noise, rate)


@pytest.mark.parametrize("task", [Facts(), SingleIndex(5)])
def test_tasks_without_a_discrete_label_are_refused(task):
    with pytest.raises(SettingError, match=r"^interventions\.noise: got 'LabelNoise'; allowed: tasks with discrete"):
        Online(task, interventions={"noise": LabelNoise()})
