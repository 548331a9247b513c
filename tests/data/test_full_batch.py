import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import FullBatch, Online, Population
from svl.tasks import Parity

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=3, unique=True)


@given(sizes=SIZES, micro_batch_size=st.integers(1, 100))
@settings(max_examples=40)
def test_the_micro_batches_cover_each_set_once_with_weights_that_sum_to_one(lab, sizes, micro_batch_size):
    data = FullBatch(Parity(20, 3), 5, micro_batch_size)
    rule = lab.Rule(data, seeds=2, vary={"data.size": sizes})
    count = data.micro_batches(rule.numbers)
    assert count == -(-max(sizes) // micro_batch_size)
    index = torch.cat([rule.at(9, micro) for micro in range(count)], 1)
    weights = torch.cat([data.weights(rule.numbers, rule.at(9, micro)) for micro in range(count)], 1)
    for replica, size in enumerate(np.repeat(sizes, 2)):
        used = weights[replica] > 0
        assert index[replica, used].tolist() == list(range(size))
        torch.testing.assert_close(weights[replica, used], torch.full((size,), 1 / size))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))


def test_all_steps_use_the_first_examples_of_the_online_run(lab):
    rule = lab.Rule(FullBatch(Parity(40, 5), 64, 64), seeds=2)
    fresh = lab.Rule(Online(Parity(40, 5), batch_size=64), seeds=2).batch(0)
    for step in (0, 17):
        inputs, targets, weights = rule.batch(step)
        assert torch.equal(inputs, fresh[0])
        assert torch.equal(targets, fresh[1])
        assert torch.equal(weights, torch.full((2, 64), 1 / 64))


def test_the_population_is_every_input_with_its_label(lab):
    data = Population(Parity(8, 3, "drawn"), 48)
    rule = lab.Rule(data, seeds=2)
    micro = range(data.micro_batches(rule.numbers))
    inputs, targets, weights = (torch.cat(parts, 1) for parts in zip(*(rule.batch(3, m) for m in micro), strict=True))
    assert len(micro) == 6
    table = 1 - 2 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    mask = data.task.support_mask(rule.key).numpy()
    for replica in range(2):
        np.testing.assert_array_equal(inputs[replica, :256], table)
        np.testing.assert_array_equal(targets[replica, :256], np.where(mask[replica], table, 1).prod(-1))
        assert weights[replica].tolist() == [1 / 256] * 256 + [0] * 32


def test_a_subset_and_the_population_in_one_fit(lab):
    rule = lab.Rule(FullBatch(Parity(6, 3), 64, 64), vary={"data.size": ["population", 64]})
    inputs, _, weights = rule.batch(0)
    assert len(inputs[0].unique(dim=0)) == 64
    assert len(inputs[1].unique(dim=0)) < 64
    assert torch.equal(inputs[1:], lab.Rule(Online(Parity(6, 3), batch_size=64)).batch(0)[0])
    assert torch.equal(weights[0], weights[1])


def test_the_samples_processed_are_steps_times_each_size(lab):
    rule = lab.Rule(FullBatch(Parity(6, 3), 10, 4), vary={"data.size": [10, 11, "population"]})
    assert rule.data.samples(rule.numbers, rule.state, 5).tolist() == [50, 55, 320]


def test_micro_batches_are_counted_for_the_replicas_asked_about(lab):
    data = FullBatch(Parity(20, 3), 10, 100)
    rule = lab.Rule(data, seeds=2, vary={"data.size": [100, 101, 1000]})
    counts = [data.micro_batches({"size": rule.numbers["size"][row : row + 1]}) for row in range(6)]
    assert counts == [1, 1, 2, 2, 10, 10]
