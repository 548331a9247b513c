import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import Phases
from svl.errors import SettingError
from svl.tasks import Parity

BIG = Parity(128, 3)
PHASES = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 6)), min_size=1, max_size=4)


@pytest.mark.slow
@given(phases=PHASES, batch_size=st.integers(1, 40), nested=st.booleans(), unit=st.sampled_from(["steps", "epochs"]))
@settings(max_examples=30)
def test_each_phase_draws_from_its_own_set_for_its_own_time(lab, phases, batch_size, nested, unit):
    sizes, durations = [size for size, _ in phases], [duration for _, duration in phases]
    if nested:
        sizes = sorted({*sizes})
        durations = durations[: len(sizes)]
    data = Phases(BIG, sizes, durations, unit, nested, batch_size=batch_size)
    rule, step, first = lab.Rule(data), 0, 0
    for phase, (size, duration) in enumerate(zip(sizes, durations, strict=True)):
        steps = duration if unit == "steps" else duration * -(-size // batch_size)
        # the first steps of each phase are enough
        stream = rule.stream(range(step, step + min(steps, 12)))[0]
        epochs = len(stream) // size
        whole = np.sort(stream[: epochs * size].reshape(epochs, size), axis=1)
        np.testing.assert_array_equal(whole, np.tile(first + np.arange(size), (epochs, 1)))
        rest = stream[epochs * size :]
        assert len(np.unique(rest)) == len(rest)
        assert ((rest >= first) & (rest < first + size)).all()
        assert data.phase(rule.settings, {}, torch.tensor(step)).item() == phase
        assert data.phase(rule.settings, {}, torch.tensor(step + steps - 1)).item() == phase
        step, first = step + steps, first if nested else first + size
    assert data.phase(rule.settings, {}, torch.tensor(2**50)).item() == len(sizes) - 1


@pytest.mark.parametrize("durations", [[3, 4], [3, 4, 1]])
def test_the_last_phase_lasts_to_the_end_whatever_is_said_of_it(lab, durations):
    rule = lab.Rule(Phases(BIG, [4, 16, 64], durations, batch_size=8))
    assert rule.settings["starts"].tolist() == [[0, 3, 7]]
    assert rule.data.phase(rule.settings, {}, torch.tensor(10**6)).item() == 2


def test_replicas_may_have_unequal_numbers_of_phases(lab):
    arms = {
        "three": {"data.sizes": [4, 16, 64], "data.durations": [3, 2]},
        "one": {"data.sizes": [16], "data.durations": []},
        "fresh": {"data.sizes": ["online"], "data.durations": []},
    }
    rule = lab.Rule(Phases(BIG, [4], [], batch_size=8), arms=arms)
    alone = [lab.Rule(Phases(BIG, *one.values(), batch_size=8)).stream(range(8))[0] for one in arms.values()]
    for mine, own in zip(rule.stream(range(8)), alone, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_fractions_are_of_the_data_an_online_run_sees(lab):
    data = Phases(BIG, [1 / 320, 0.02, "online"], [10, 10], batch_size=128)
    rule = lab.Rule(data, total_steps=1000)
    assert rule.settings["sizes"].tolist() == [[400, 2560, 0]]


def test_nested_phases_see_the_same_examples_and_disjoint_ones_do_not(lab):
    def distinct(nested):
        inputs, _ = lab.Rule(Phases(BIG, [32, 64], [1], nested=nested, batch_size=64)).inputs([0, 1])
        return len(inputs[0].unique(dim=0))

    assert distinct(nested=True) == 64
    assert distinct(nested=False) == 96


@pytest.mark.parametrize("nested", [True, False])
def test_fresh_data_are_in_no_earlier_set(lab, nested):
    rule = lab.Rule(Phases(BIG, [5, 20, "online"], [3, 4], nested=nested, batch_size=10), seeds=2)
    fresh = rule.stream(range(7, 30))
    before = rule.stream(7)
    for replica in range(2):
        assert len(np.unique(fresh[replica])) == 230
        assert not np.isin(fresh[replica], before[replica]).any()


def test_fresh_data_between_two_sets_are_in_neither(lab):
    rule = lab.Rule(Phases(BIG, [50, "online", 70], [2, 5], nested=False, batch_size=10))
    assert set(rule.stream(range(2, 7))[0]).isdisjoint({*rule.stream(2)[0], *rule.stream(range(7, 40))[0]})


@pytest.mark.parametrize("nested", [True, False])
def test_a_phase_of_the_population_has_every_input_once_an_epoch(lab, nested):
    rule = lab.Rule(Phases(Parity(6, 3), [10, "population"], [2], nested=nested, batch_size=16), seeds=2)
    inputs, _ = rule.inputs(range(2, 6))
    assert [len(x.unique(dim=0)) for x in inputs] == [64, 64]
    first, _ = rule.inputs(range(2))
    assert all(len(x.unique(dim=0)) <= 10 for x in first)


def test_replicas_may_differ_in_sizes_and_in_durations(lab):
    sizes, durations = [[8, 64], [16, "online"]], [[2], [5]]
    data = Phases(BIG, [1, 2], [1], batch_size=8)
    together = lab.Rule(data, seeds=2, vary={"data.sizes": sizes, "data.durations": durations}).stream(12)
    for row, (size, duration) in enumerate((s, d) for s in sizes for d in durations):
        alone = lab.Rule(Phases(BIG, size, duration, batch_size=8), seeds=2).stream(12)
        np.testing.assert_array_equal(together[2 * row : 2 * row + 2], alone)


def test_the_order_of_a_phase_is_not_that_of_the_one_before(lab):
    rule = lab.Rule(Phases(BIG, [500, 501], [10], batch_size=50))
    assert (rule.stream(10) == rule.stream(range(10, 20))).sum() < 10


@pytest.mark.parametrize("durations", [[10**30, 5], [2**61, 2**61], [2**62, 2**62]])
def test_a_phase_may_be_longer_than_any_run(lab, durations):
    rule = lab.Rule(Phases(BIG, [4, 8, 16], durations, "epochs", batch_size=4)) if durations[0] <= 2**62 else None
    if rule is None:
        with pytest.raises(SettingError, match=r"^durations: got"):
            Phases(BIG, [4, 8, 16], durations, "epochs")
    else:
        assert rule.data.phase(rule.settings, {}, torch.tensor(2**40)).item() == 0


@pytest.mark.parametrize(
    ("sizes", "words"),
    [([0.001, 0.0011], "increase"), ([1000, 0.5], "increase"), ([0.1, 0.99], r"\(the whole population\)")],
)
def test_fractions_are_checked_when_the_length_of_the_run_is_known(lab, sizes, words):
    with pytest.raises(SettingError, match=words):
        lab.Rule(Phases(Parity(10, 3), sizes, [1], batch_size=64), total_steps=30)
