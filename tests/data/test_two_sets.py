import numpy as np
import pytest
from scipy import stats

from svl.data import Online, TwoSets
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks import Dataset, Parity

BIG = Parity(128, 3)


def test_the_small_set_is_drawn_uniformly_with_its_probability(lab):
    stream = lab.Rule(TwoSets(BIG, 20, 0.3, batch_size=500), seeds=4).stream(20)
    small = stream[stream < 20]
    assert stats.binomtest(len(small), stream.size, 0.3).pvalue > 1e-3
    assert stats.chisquare(np.bincount(small, minlength=20)).pvalue > 1e-3


def test_what_is_not_of_the_small_set_is_never_seen_again(lab):
    stream = lab.Rule(TwoSets(BIG, 20, 0.3, batch_size=50), seeds=2).stream(200)
    for row in stream:
        fresh = row[row >= 20]
        assert len(np.unique(fresh)) == len(fresh)


def test_none_of_the_small_set_is_fresh_data_and_all_of_it_a_subset(lab):
    vary = {"data.probability": [0.0, 1.0]}
    fresh, small = lab.Rule(TwoSets(BIG, 10, batch_size=30), vary=vary).stream(8)
    online = lab.Rule(Online(BIG, batch_size=30)).stream(8)[0]
    np.testing.assert_array_equal(fresh, online + 10)
    assert set(small) == set(range(10))


def test_which_examples_are_of_the_small_set_differs_by_seed_and_is_independent_in_time(lab):
    is_small = lab.Rule(TwoSets(BIG, 10, 0.5, batch_size=1000), seeds=2).stream(20) < 10
    for a, b in ((is_small[0], is_small[1]), (is_small[0, 1:], is_small[0, :-1])):
        assert stats.chisquare(np.bincount(2 * a + b, minlength=4)).pvalue > 1e-3


def test_a_stored_dataset_must_hold_the_fresh_examples():
    data = TwoSets(Dataset("sklearn.datasets.load_digits"), 100, batch_size=100)
    data.schedule(14, 1)
    with pytest.raises(SettingError, match="1500 fresh examples are needed, Dataset has 1438"):
        data.settings_of(Replicas(1))
