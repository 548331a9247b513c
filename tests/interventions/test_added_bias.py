"""Input coordinates with the means of a few samples."""

import numpy as np
import pytest
import torch
from scipy import stats

from svl.data import Online, Population, Subset
from svl.errors import SettingError
from svl.interventions import AddedBias
from svl.tasks import ModularAddition, Parity, SingleIndex, Staircase


def biased(samples=16):
    return {"bias": AddedBias(samples)}


@pytest.mark.parametrize("samples", [1, 5, 16, 1000])
def test_coordinates_have_the_means_of_the_first_samples(rule, samples):
    task = Parity(10, 3)
    first = rule(Online(task, samples), 2).inputs([0])[0].double().mean(1)
    x, y = rule(Online(task, 2000, interventions=biased(samples)), 2).inputs(range(1, 11))
    assert set(x.unique().tolist()) == {-1.0, 1.0}
    np.testing.assert_array_equal(y, x[..., :3].prod(-1))  # a valid sample of the task
    ones = (x > 0).sum(1)
    for count, p in zip(ones.ravel().tolist(), ((1 + first) / 2).ravel().tolist(), strict=True):
        assert stats.binomtest(count, 20_000, p).pvalue > 1e-4 if 0 < p < 1 else count == 20_000 * p
    # and are independent of each other
    covariance = np.cov(x[0].double().numpy().T)
    off = covariance[~np.eye(10, dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(20_000)


def test_gaussian_coordinates_are_moved(rule):
    task = SingleIndex(6, "he2")
    mean = rule(Online(task, 20), 2).inputs([0])[0].double().mean(1)
    plain, _ = rule(Online(task, 500), 2).inputs([3])
    x, y = rule(Online(task, 500, interventions=biased(20)), 2).inputs([3])
    torch.testing.assert_close(x.double(), plain.double() + mean[:, None], rtol=0, atol=1e-6)
    w = task.teacher(rule(Online(task)).replicas.key())
    torch.testing.assert_close(y[:1], ((x[:1] * w[:, None]).sum(-1)) ** 2 - 1, rtol=1e-4, atol=1e-4)


def test_a_staircase_keeps_its_steps(rule):
    task = Staircase(8, 3, 0.5)
    x, y = rule(Online(task, 300, interventions=biased())).inputs([0])
    expected = x[..., :3].prod(-1) + 0.5 * (x[..., 0] + x[..., 0] * x[..., 1])
    torch.testing.assert_close(y, expected)


def test_the_number_of_samples_varies_by_replica(rule):
    task, vary = Parity(10, 3), {"data.interventions.bias.samples": [4, 64]}
    together = rule(Subset(task, 100, batch_size=50, interventions=biased()), 2, vary=vary).inputs([1])[0]
    for arm, samples in enumerate((4, 64)):
        alone = rule(Subset(task, 100, batch_size=50, interventions=biased(samples)), 2).inputs([1])[0]
        assert torch.equal(together[2 * arm : 2 * arm + 2], alone)


def test_what_makes_no_sense_is_refused(rule):
    with pytest.raises(SettingError, match=r"^samples: got 0"):
        AddedBias(0)
    with pytest.raises(SettingError, match="tasks whose inputs are signs or Gaussian, unlike ModularAddition"):
        Online(ModularAddition(), interventions=biased())
    with pytest.raises(SettingError, match="not the whole population"):
        rule(Population(Parity(8, 3), interventions=biased()))
