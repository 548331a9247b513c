import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl.data import Online, Subset
from svl.tasks import Parity

BIG = Parity(128, 3)


@given(size=st.integers(1, 150), batch_size=st.integers(10, 100), seed=st.integers(0, 2**40))
@settings(max_examples=40)
def test_an_epoch_has_each_example_exactly_once(lab, size, batch_size, seed):
    epochs = 3
    rule = lab.Rule(Subset(BIG, size, batch_size=batch_size), first_seed=seed)
    stream = rule.stream(-(-epochs * size // batch_size))[0, : epochs * size]
    np.testing.assert_array_equal(np.sort(stream.reshape(epochs, size), axis=1), [np.arange(size)] * epochs)


@given(size=st.integers(1, 500), batch_size=st.integers(1, 200), step=st.integers(0, 2**40))
@settings(max_examples=60)
def test_a_batch_late_in_training_is_cut_from_its_epochs(lab, size, batch_size, step):
    rule = lab.Rule(Subset(BIG, size, batch_size=batch_size))
    index = rule.at(step)[0].numpy()
    epoch = (step * batch_size + np.arange(batch_size)) // size
    for number in np.unique(epoch):
        part = index[epoch == number]
        assert len(np.unique(part)) == len(part)
        assert part.min() >= 0
        assert part.max() < size


def test_every_epoch_and_every_seed_has_its_own_order(lab):
    stream = lab.Rule(Subset(BIG, 1000, batch_size=100), seeds=3).stream(40).reshape(3 * 4, 1000)
    agreeing = (stream[:, None] == stream).sum(2)[np.triu_indices(12, 1)]
    # the agreements of two random orders are Poisson with mean 1
    assert agreeing.max() <= 6
    assert abs(agreeing.mean() - 1) < 4 / np.sqrt(66)


def test_the_place_of_an_example_within_an_epoch_is_uniform(lab):
    stream = lab.Rule(Subset(BIG, 50, batch_size=2000), seeds=40).stream(5).reshape(-1, 50)
    place = stream.argsort(1)
    assert len(place) == 8000
    for example in (0, 1, 17, 49):
        assert stats.chisquare(np.bincount(place[:, example], minlength=50)).pvalue > 1e-3


@pytest.mark.parametrize("size", [3, 100, 1021])
def test_with_replacement_is_uniform_and_independent(lab, size):
    stream = lab.Rule(Subset(BIG, size, "replacement", batch_size=2000), seeds=4, first_seed=1).stream(10)
    assert stats.chisquare(np.bincount(stream.ravel(), minlength=size)).pvalue > 1e-3
    cell = stream * 3 // size
    pair = np.bincount((cell[:, 1:] * 3 + cell[:, :-1]).ravel(), minlength=9)
    share = np.bincount(np.arange(size) * 3 // size) / size
    assert stats.chisquare(pair, np.outer(share, share).ravel() * pair.sum()).pvalue > 1e-3
    assert (stream[0] == stream[1]).mean() < 1.5 / size


def test_with_replacement_repeats_within_a_batch_as_often_as_chance(lab):
    stream = lab.Rule(Subset(BIG, 100, "replacement", batch_size=100), seeds=5).stream(100).reshape(500, 100)
    distinct = [len(np.unique(batch)) for batch in stream]
    assert abs(np.mean(distinct) - 100 * (1 - 0.99**100)) < 1


def test_the_first_examples_of_the_online_run_are_the_subset(lab):
    size = 37
    inputs, targets = lab.Rule(Subset(BIG, size, batch_size=size), seeds=2).inputs([3])
    fresh, labels = lab.Rule(Online(BIG, batch_size=size), seeds=2).inputs([0])
    index = lab.Rule(Subset(BIG, size, batch_size=size), seeds=2).at(3)
    for replica in range(2):
        assert torch.equal(inputs[replica], fresh[replica][index[replica]])
        assert torch.equal(targets[replica], labels[replica][index[replica]])


@pytest.mark.parametrize("reuse", ["epochs", "replacement"])
def test_replicas_with_sizes_of_their_own_are_as_if_alone(lab, reuse):
    sizes, task = [7, 50, "online", 64, "population"], Parity(6, 3, "drawn")
    together = lab.Rule(Subset(task, 5, reuse, batch_size=16), seeds=2, vary={"data.size": sizes})
    inputs, targets = together.inputs(range(8))
    for arm, size in enumerate(sizes):
        alone = lab.Rule(Subset(task, size, reuse, batch_size=16), seeds=2)
        rows = slice(2 * arm, 2 * arm + 2)
        np.testing.assert_array_equal(together.stream(8)[rows], alone.stream(8))
        x, y = alone.inputs(range(8))
        assert torch.equal(inputs[rows], x)
        assert torch.equal(targets[rows], y)


def test_an_epoch_of_the_population_has_every_input_once_but_one_of_as_many_draws_has_not(lab):
    rule = lab.Rule(Subset(Parity(6, 3), batch_size=16), vary={"data.size": ["population", 64]})
    inputs, _ = rule.inputs(range(4))
    assert len(inputs[0].unique(dim=0)) == 64
    # of 64 draws from 64 inputs 40 are distinct in the mean
    assert 30 <= len(inputs[1].unique(dim=0)) <= 50


def test_a_subset_may_be_huge(lab):
    stream = lab.Rule(Subset(BIG, 2**40 + 1, batch_size=5000)).stream(4)[0]
    assert len(np.unique(stream)) == 20_000
    assert stats.kstest(stream / 2**40, "uniform").pvalue > 1e-3
