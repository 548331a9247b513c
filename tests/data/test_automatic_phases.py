from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import AutomaticPhases
from svl.errors import SettingError
from svl.tasks import Parity, Task

BIG = Parity(128, 3)


def simulate(sizes, batch_size, accuracy, max_epochs, hits):
    """The rule in plain Python, exact: phase after each step, from the number of correct answers in each batch."""
    phase, step, correct, trajectory = 0, 0, 0, []
    for hit in hits:
        step, correct = step + 1, correct + hit
        epoch_steps = -(-sizes[phase] // batch_size)
        if step % epoch_steps == 0:
            mean = Fraction(correct, epoch_steps * batch_size)
            correct = 0
            if (mean >= accuracy or step // epoch_steps >= max_epochs) and phase + 1 < len(sizes):
                phase, step = phase + 1, 0
        trajectory.append((phase, step))
    return trajectory


def follow(rule, hits):
    """Phase and step in phase ``[replica, step, 2]`` after each step, from correct answers ``[replica, step]``."""
    trajectory = []
    for hit in torch.tensor(hits).T:
        rule.state = rule.data.advance(rule.settings, rule.state, hit / rule.data.batch_size)
        trajectory.append(torch.stack([rule.state["phase"], rule.state["step_in_phase"]], 1))
    return torch.stack(trajectory, 1).tolist()


@given(data=st.data())
@settings(max_examples=80)
def test_each_replica_advances_as_a_plain_simulation_of_it_does(lab, data):
    batch_size = data.draw(st.integers(1, 12), "batch_size")
    phases = data.draw(st.integers(2, 4), "phases")
    ends = sorted(data.draw(st.lists(st.integers(1, 50), min_size=2, max_size=2, unique=True), "ends"))
    some = {"min_size": 1, "max_size": 2, "unique": True}
    thresholds = data.draw(st.lists(st.sampled_from([0.5, 0.7, 0.75, 0.9, 1.0]), **some), "accuracy")
    epochs = data.draw(st.lists(st.integers(1, 6), **some), "max_epochs")
    strategy = AutomaticPhases(BIG, phases, *ends, batch_size=batch_size)
    rule = lab.Rule(strategy, seeds=2, vary={"data.accuracy": thresholds, "data.max_epochs": epochs})
    count = len(rule.replicas)
    hit = st.integers(batch_size // 2, batch_size)
    hits = [data.draw(st.lists(hit, min_size=40, max_size=40), "hits") for _ in range(count)]
    sizes = rule.settings["sizes"].tolist()
    accuracy, limit = (rule.replicas.column(f"data.{name}", None) for name in ("accuracy", "max_epochs"))
    expected = [
        simulate(s, batch_size, Fraction(str(a)), m, h) for s, a, m, h in zip(sizes, accuracy, limit, hits, strict=True)
    ]
    assert follow(rule, hits) == [[list(pair) for pair in replica] for replica in expected]


def test_exactly_at_the_threshold_it_advances_and_one_answer_below_it_does_not(lab):
    # an epoch of 96 examples is three batches of 32; 72 of 96 are 75 %
    data = AutomaticPhases(BIG, 3, 96, 384, batch_size=32)
    hits = [[24, 24, 24], [32, 32, 8], [0, 32, 32], [23, 24, 24]]
    phases = np.array(follow(lab.Rule(data, seeds=4), hits))[..., 0]
    assert phases.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("batch_size", [7, 10, 100, 129])
def test_thresholds_that_no_float_hits_are_met_all_the_same(lab, batch_size):
    data = AutomaticPhases(BIG, 2, 30 * batch_size, 40 * batch_size, accuracy=0.7, batch_size=batch_size)
    total = 30 * batch_size * 7 // 10
    hits = [[total // 30 + (step < total % 30) for step in range(30)]]
    assert follow(lab.Rule(data), hits)[0][-1] == [1, 0]
    hits[0][0] -= 1
    assert follow(lab.Rule(data), hits)[0][-1] == [0, 30]


def test_accuracy_counts_only_over_a_whole_epoch(lab):
    data = AutomaticPhases(BIG, 2, 64, 128, batch_size=16)
    # the second half of one epoch and the first half of the next are perfect
    assert follow(lab.Rule(data), [[0, 0, 16, 16, 16, 16, 0, 0]])[0][-1] == [0, 8]
    assert follow(lab.Rule(data), [[0, 0, 16, 16, 16, 16, 16, 16]])[0][-1] == [1, 0]


def test_after_fifty_epochs_it_advances_all_the_same_but_never_leaves_the_last_phase(lab):
    data = AutomaticPhases(BIG, 3, 32, 128, batch_size=32)
    rule = lab.Rule(data)
    assert rule.settings["sizes"].tolist() == [[32, 64, 128]]
    phases = [phase for phase, _ in follow(rule, [[16] * 1000])[0]]
    assert phases == [0] * 49 + [1] * 100 + [2] * 851
    perfect = [phase for phase, _ in follow(lab.Rule(data), [[32] * 100])[0]]
    assert perfect == [1, 1] + [2] * 98


def test_as_many_epochs_as_there_are_numbers_mean_never(lab):
    data = AutomaticPhases(BIG, 2, 64, 128, batch_size=16, max_epochs=2**62)
    assert follow(lab.Rule(data), [[8] * 100])[0][-1] == [0, 100]


def test_replicas_draw_from_their_own_phase(lab):
    data = AutomaticPhases(BIG, 3, 20, 320, batch_size=20)
    rule = lab.Rule(data, seeds=2)
    assert rule.settings["sizes"].tolist() == [[20, 80, 320]] * 2
    size, streams = [20, 20], [[], []]
    for step in range(30):
        index = rule.at(step)
        for replica in range(2):
            streams[replica].append(index[replica])
            assert index[replica].max() < size[replica]
        hit = torch.tensor([1.0, 0.0])
        rule.state = data.advance(rule.settings, rule.state, hit)
        size = [rule.settings["sizes"][r, rule.state["phase"][r]].item() for r in range(2)]
    assert size == [320, 20]
    # one epoch of the first set, then one of the second, which contains it, then one of the third
    ahead = torch.cat(streams[0])
    assert ahead[:20].sort().values.tolist() == list(range(20))
    assert ahead[20:100].sort().values.tolist() == list(range(80))
    assert ahead[100:420].sort().values.tolist() == list(range(320))
    behind = torch.stack(streams[1]).sort(1).values
    assert torch.equal(behind, torch.arange(20).expand(30, -1))


@given(first=st.integers(1, 10**6), ratio=st.integers(2, 10**4), phases=st.integers(2, 8))
def test_sizes_are_geometric_from_the_first_to_the_last(lab, first, ratio, phases):
    rule = lab.Rule(AutomaticPhases(BIG, phases, first, first * ratio))
    expected = np.geomspace(first, first * ratio, phases)
    sizes = rule.settings["sizes"][0].numpy()
    np.testing.assert_allclose(sizes, expected, atol=0.5 + 1e-3, rtol=0)
    assert (sizes[0], sizes[-1]) == (first, first * ratio)


def test_the_published_sizes_are_fractions_of_the_online_data(lab):
    sizes = lab.Rule(AutomaticPhases(BIG, batch_size=128), total_steps=100_000).settings["sizes"][0]
    assert (sizes[0].item(), sizes[-1].item()) == (40_000, 256_000)
    ratio = sizes[1:] / sizes[:-1]
    torch.testing.assert_close(ratio, torch.full((5,), 6.4**0.2), rtol=1e-4, atol=0)


def test_first_above_last_is_refused_when_the_length_of_the_run_is_known(lab):
    with pytest.raises(SettingError, match="increase"):
        lab.Rule(AutomaticPhases(BIG, 3, 1000, 1 / 50), total_steps=10)


def test_a_task_without_accuracy_is_refused():
    class Regression(Task):
        input_shape = (1,)

        def examples(self, key, index):
            raise NotImplementedError

    with pytest.raises(SettingError, match=r"^task: got 'Regression'"):
        AutomaticPhases(Regression(), 3, 10, 100)
