import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import FullBatch, Online, Population
from svl.tasks import Parity
from svl.training.blocks import view

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=3, unique=True)


@given(sizes=SIZES, micro_batch_size=st.integers(1, 100))
@settings(max_examples=40)
def test_the_micro_batches_cover_each_set_once_with_weights_that_sum_to_one(lab, sizes, micro_batch_size):
    data = FullBatch(Parity(20, 3), 5, None, micro_batch_size)
    rule = lab.Rule(data, seeds=2, vary={"data.size": sizes})
    ((first, count),) = data.micro_batches(rule.settings, rule.size)
    assert first == 0
    assert count == -(-max(sizes) // micro_batch_size)
    index = torch.cat([rule.at(9, micro) for micro in range(count)], 1)
    weights = torch.cat([rule.batch(9, micro)[2] for micro in range(count)], 1)
    for replica, size in enumerate(np.repeat(sizes, 2)):
        used = weights[replica] > 0
        assert index[replica, used].tolist() == list(range(size))
        torch.testing.assert_close(weights[replica, used], torch.full((size,), 1 / size))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))


@given(sizes=st.lists(st.integers(1, 10**5), min_size=1, max_size=4, unique=True), most=st.integers(0, 10**5))
@settings(deadline=None, max_examples=50)
def test_micro_batches_that_are_not_given_cover_the_sets_with_little_more(lab, sizes, most):
    rule = lab.Rule(FullBatch(Parity(20, 3), 5), vary={"data.size": [*sizes, "population"]})
    batch = rule.data.examples_at_once(rule.settings, most)
    assert batch <= max(sizes) and batch <= max(most, 1024)
    assert batch >= min(512, max(sizes))
    if min(sizes) >= 1024:
        assert -(-min(sizes) // batch) * batch <= min(sizes) * 1.1


def test_micro_batches_that_are_given_or_of_the_population_alone_stay(lab):
    given, population = FullBatch(Parity(20, 3), 5000, None, 100), Population(Parity(20, 3))
    for data, size in ((given, 100), (population, 1024)):
        assert data.examples_at_once(lab.Rule(data).settings, 10**6) == size


def test_all_steps_use_the_first_examples_of_the_online_run(lab):
    rule = lab.Rule(FullBatch(Parity(40, 5), 64, None, 64), seeds=2)
    fresh = lab.Rule(Online(Parity(40, 5), batch_size=64), seeds=2).batch(0)
    for step in (0, 17):
        inputs, targets, weights = rule.batch(step)
        assert torch.equal(inputs, fresh[0])
        assert torch.equal(targets, fresh[1])
        assert torch.equal(weights, torch.full((2, 64), 1 / 64))


def test_the_population_is_every_input_with_its_label(lab):
    data = Population(Parity(8, 3, "drawn"), 48)
    rule = lab.Rule(data, seeds=2)
    micro = range(data.micro_batches(rule.settings, rule.size)[0][1])
    inputs, targets, weights = (torch.cat(parts, 1) for parts in zip(*(rule.batch(3, m) for m in micro), strict=True))
    assert len(micro) == 6
    table = 1 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    mask = data.task.support_mask(rule.key).numpy()
    for replica in range(2):
        np.testing.assert_array_equal(inputs[replica, :256], table)
        np.testing.assert_array_equal(targets[replica, :256], np.where(mask[replica], table, 1).prod(-1))
        assert weights[replica].tolist() == [1 / 256] * 256 + [0] * 32


def test_a_subset_and_the_population_in_one_fit(lab):
    rule = lab.Rule(FullBatch(Parity(6, 3), 64, None, 64), vary={"data.size": ["population", 64]})
    inputs, _, weights = rule.batch(0)
    assert len(inputs[0].unique(dim=0)) == 64
    assert len(inputs[1].unique(dim=0)) < 64
    assert torch.equal(inputs[1:], lab.Rule(Online(Parity(6, 3), batch_size=64)).batch(0)[0])
    assert torch.equal(weights[0], weights[1])


def test_the_samples_processed_are_steps_times_each_size(lab):
    rule = lab.Rule(FullBatch(Parity(6, 3), 10, None, 4), vary={"data.size": [10, 11, "population"]})
    assert rule.data.samples(rule.settings, rule.state, 9, 5).tolist() == [50, 55, 320]


def test_micro_batches_are_counted_for_the_replicas_asked_about(lab):
    data = FullBatch(Parity(20, 3), 10, None, 100)
    rule = lab.Rule(data, seeds=2, vary={"data.size": [100, 101, 1000]})
    counts = [data.micro_batches(view(rule.settings, slice(row, row + 1)), rule.size) for row in range(6)]
    assert counts == [[(0, count)] for count in (1, 1, 2, 2, 10, 10)]


def test_a_phase_uses_all_of_its_own_set(lab):
    task, vary = Parity(6, 3), {"data.size": [[10, 25], 40, [7, "population"]]}
    rule = lab.Rule(FullBatch(task, [5, 6], [4], 16), vary=vary)
    for step, sizes in ((0, (10, 40, 7)), (3, (10, 40, 7)), (4, (25, 40, 64)), (10**6, (25, 40, 64))):
        x, _, weights = (torch.cat(parts, 1) for parts in zip(*(rule.batch(step, m) for m in range(4)), strict=True))
        assert (weights > 0).sum(1).tolist() == list(sizes)
        torch.testing.assert_close(weights.sum(1), torch.ones(3))
        plain = lab.Rule(FullBatch(task, 40, None, 64)).batch(0)[0][0]
        for row, size in enumerate(sizes[:2]):
            assert torch.equal(x[row, :size], plain[:size])
    assert len(x[2, :64].unique(dim=0)) == 64
    assert rule.data.micro_batches(rule.settings, rule.size) == [(0, 3), (4, 4), (2**62, 4)]
    last = view(rule.settings, slice(2, None))
    assert rule.data.micro_batches(last, rule.size) == [(0, 1), (4, 4)]
    assert rule.data.samples(rule.settings, {}, 0, 4).tolist() == [40, 160, 28]
    assert rule.data.samples(rule.settings, {}, 2, 5).tolist() == [2 * 10 + 3 * 25, 200, 2 * 7 + 3 * 64]
    assert rule.data.samples(rule.settings, {}, 5, 1).tolist() == [25, 40, 64]
