import numpy as np
import torch

from svl.data import Online, Subset
from svl.tasks import Parity


def test_examples_are_counted_through_and_never_repeat(lab):
    stream = lab.Rule(Online(Parity(128, 3), batch_size=7), seeds=2).stream(40)
    np.testing.assert_array_equal(stream, [np.arange(280)] * 2)


def test_the_inputs_of_a_large_task_never_repeat_either(lab):
    inputs, _ = lab.Rule(Online(Parity(128, 3), batch_size=500), seeds=2).inputs(range(10))
    assert len(inputs.flatten(0, 1).unique(dim=0)) == 10_000


def test_steps_far_beyond_32_bits_go_on_counting(lab):
    rule = lab.Rule(Online(Parity(128, 3), batch_size=128))
    assert torch.equal(rule.at(2**40), 2**47 + torch.arange(128)[None])
    assert len(torch.cat([rule.batch(step)[0][0] for step in (0, 2**25, 2**40, 2**50)]).unique(dim=0)) == 512


def test_online_is_the_subset_that_has_no_end(lab):
    one, other = Online(Parity(20, 6), batch_size=16), Subset(Parity(20, 6), "online", batch_size=16)
    x, y = lab.Rule(one, seeds=3).inputs([0, 5])
    x2, y2 = lab.Rule(other, seeds=3).inputs([0, 5])
    assert torch.equal(x, x2)
    assert torch.equal(y, y2)


def test_the_samples_processed_are_steps_times_batch(lab):
    rule = lab.Rule(Online(Parity(), batch_size=48), seeds=2)
    assert rule.data.samples(rule.settings, rule.state, 0, 10).tolist() == [480, 480]
