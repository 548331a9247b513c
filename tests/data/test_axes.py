"""Pools on an axis of diversity: whose values they are, how often each comes, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl import random
from svl.data import Axis, FullBatch, Online, Subset
from svl.data.axes import Axes
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.replicas import Replicas
from svl.tasks import Facts, InContextRegression, Parity, Task

POINTS = InContextRegression(dim=2, points=3)
FACTS = Facts(subjects=30, relations=3, answers=4)


class Grid(Task):
    """An example is its own counters."""

    input_shape = (3,)
    axes = {"row": None, "column": 12}  # noqa: RUF012

    def examples(self, key, index, row=None, column=None):
        row = index if row is None else row
        column = index % 12 if column is None else column
        return torch.stack([index, row, column], -1).float(), index.float()


def places(task, axes, index, seeds=1, vary=None, step=0):
    """Each example's place on the restricted axes at a step, by name."""
    own, replicas = Axes(axes, task), Replicas(seeds, vary=vary)
    index = torch.as_tensor(index).expand(len(replicas), -1)
    settings, size = {"axes": own.prepare(replicas)}, index.shape[1]
    draw = Draw(settings, {}, replicas.key(), torch.tensor(step), torch.tensor(0), size)
    return own.indices(draw, index)


def unchecked(size):
    """An axis of a size that the shape checks would refuse first."""
    axis = Axis()
    object.__setattr__(axis, "size", size)
    return axis


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_every_value_of_a_pool_comes_equally_often(size):
    count = max(5_000, 20 * size)
    drawn = places(POINTS, {"context": Axis(size)}, torch.arange(count))["context"][0].numpy()
    hits = np.bincount(drawn, minlength=size)
    assert len(hits) == size and hits.min() > 0
    if size > 1:
        assert 1e-3 < stats.chisquare(hits).pvalue < 1 - 1e-3


def test_neighbours_and_seeds_are_independent():
    size, count = 6, 7_200
    first, second = places(POINTS, {"context": Axis(size)}, torch.arange(count), seeds=2)["context"].numpy()
    for one, other in ((first[:-1], first[1:]), (first, second)):
        table = np.zeros((size, size))
        np.add.at(table, (one, other), 1)
        assert 1e-3 < stats.chi2_contingency(table).pvalue < 1 - 1e-3


@given(st.permutations(range(15)), st.integers(1, 2**61))
@settings(max_examples=30)
def test_an_example_s_place_is_a_function_of_its_own_counter(order, size):
    index = torch.arange(15) * (2**40 + 3)
    drawn = places(POINTS, {"context": Axis(size)}, index, seeds=2)["context"]
    assert ((drawn >= 0) & (drawn < size)).all()
    torch.testing.assert_close(
        places(POINTS, {"context": Axis(size)}, index[order], seeds=2)["context"], drawn[:, order]
    )
    alone = places(POINTS, {"context": Axis(size)}, index[3:4])["context"]
    assert alone.item() == drawn[0, 3]


def test_the_values_of_a_pool_are_the_first():
    """So a larger pool contains a smaller one, whatever the two choose for an example."""
    vary = {"data.axes.context.size": [3, 10, 40]}
    drawn = places(POINTS, {}, torch.arange(2000), vary=vary)["context"]
    assert [set(row.tolist()) for row in drawn] == [set(range(3)), set(range(10)), set(range(40))]
    key = random.key(torch.tensor([0]))
    contexts = [{tuple(w) for w in POINTS.contexts(key, row[None])[0].tolist()} for row in drawn]
    assert contexts[0] < contexts[1] < contexts[2]
    assert [len(pool) for pool in contexts] == [3, 10, 40]


def test_the_whole_of_an_axis_without_end_is_a_value_for_each_example():
    index = torch.arange(50) + 2**45
    drawn = places(POINTS, {}, index, vary={"data.axes.context.size": [4, "online"]})["context"]
    assert torch.equal(drawn[1], index)
    assert drawn[0].max() < 4


def test_the_whole_of_a_finite_axis_is_uniform_over_it_and_equals_its_size():
    index = torch.arange(6000)
    vary = {"data.axes.subject.size": [5, "population", 30]}
    drawn = places(FACTS, {}, index, vary=vary)["subject"]
    assert torch.equal(drawn[1], drawn[2])
    assert stats.chisquare(np.bincount(drawn[1], minlength=30)).pvalue > 1e-3
    # What the task does by itself with no pool is the same.
    key = random.key(torch.tensor([0]))
    own, _ = FACTS.examples(key, index[None])
    restricted, _ = FACTS.examples(key, index[None], drawn[1:2])
    assert torch.equal(own, restricted)


def test_numbers_are_the_pools_and_0_for_the_whole_axis():
    def numbers(axes, task, vary=None):
        settings = Axes(axes, task).prepare(Replicas(2, vary=vary))
        return {f"{name} {part}": value.tolist() for name, axis in settings.items() for part, value in axis.items()}

    assert numbers({}, POINTS) == numbers({"context": Axis()}, POINTS) == {}
    assert numbers({}, FACTS) == numbers({"subject": Axis("population")}, FACTS) == {}
    assert numbers({"context": Axis(7)}, POINTS) == {"context sizes": [[7], [7]]}
    assert numbers({"subject": Axis(30)}, FACTS) == {"subject sizes": [[30], [30]]}
    vary = {"data.axes.context.size": [8, "online"]}
    assert (
        numbers({}, POINTS, vary)
        == numbers({"context": Axis(3)}, POINTS, vary)
        == {"context sizes": [[8], [8], [0], [0]]}
    )
    assert numbers({"column": Axis(5)}, Grid()) == {"column sizes": [[5], [5]]}


def test_pools_say_the_size_of_each_restricted_axis():
    axes = Axes({"row": Axis(9)}, Grid())
    pools = axes.pools({"axes": axes.prepare(Replicas(1, vary={"data.axes.column.size": [4, "population"]}))})
    assert {name: size.tolist() for name, size in pools.items()} == {"row": [9, 9], "column": [4, 0]}
    assert Axes({}, Grid()).pools({"axes": {}}) == {}


def test_every_setting_of_an_axis_can_vary():
    numbers = ("size", "durations", "exponent")
    assert Axes({}, Grid()).variable == {f"{name}.{number}" for name in ("row", "column") for number in numbers}
    assert Axes({}, Parity(5, 2)).variable == set()


def test_the_pools_of_two_axes_are_chosen_independently():
    drawn = places(Grid(), {"row": Axis(6), "column": Axis(6)}, torch.arange(7_200))
    table = np.zeros((6, 6))
    np.add.at(table, (drawn["row"][0].numpy(), drawn["column"][0].numpy()), 1)
    assert 1e-3 < stats.chi2_contingency(table).pvalue < 1 - 1e-3
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


@pytest.mark.parametrize(
    "data",
    [
        lambda axes: Online(Grid(), 20, axes=axes),
        lambda axes: Subset(Grid(), 25, "epochs", batch_size=20, axes=axes),
        lambda axes: Subset(Grid(), 25, "replacement", batch_size=20, axes=axes),
        lambda axes: FullBatch(Grid(), 25, axes=axes),
    ],
)
def test_an_example_keeps_its_place_however_it_is_reused(lab, data):
    rule = lab.Rule(data({"row": Axis(4), "column": Axis(3)}), seeds=2)
    inputs, _ = rule.inputs(range(3))
    index, row, column = inputs.long().unbind(-1)
    expected = places(Grid(), {"row": Axis(4), "column": Axis(3)}, torch.arange(4096), seeds=2)
    for replica in range(2):
        assert torch.equal(row[replica], expected["row"][replica, index[replica]])
        assert torch.equal(column[replica], expected["column"][replica, index[replica]])
    assert row.unique().tolist() == [0, 1, 2, 3]
    assert column.unique().tolist() == [0, 1, 2]


def test_test_examples_know_no_pool(lab):
    data = Online(Grid(), 20, axes={"row": Axis(4)})
    rule = lab.Rule(data)
    inputs, _ = data.test_batch(rule.settings, rule.key, 0, 30)
    assert torch.equal(inputs[0, :, 1], inputs[0, :, 0])


@pytest.mark.parametrize("size", [0, -1, 1.0, True, "everything", "population", None, [], 2**62 + 1])
def test_a_size_that_an_axis_without_end_cannot_have_is_refused(size):
    for refused, key in (
        (lambda: Online(POINTS, axes={"context": unchecked(size)}), "axes.context.size"),
        (lambda: places(POINTS, {}, [0], vary={"data.axes.context.size": [size]}), "data.axes.context.size"),
    ):
        with pytest.raises(SettingError) as error:
            refused()
        assert (error.value.key, error.value.given) == (key, size)
        assert "'online'" in error.value.allowed


@pytest.mark.parametrize("size", [0, 31, "online", 2.0, False])
def test_a_size_beyond_a_finite_axis_is_refused(size):
    for refused, key in (
        (lambda: Online(FACTS, axes={"subject": unchecked(size)}), "axes.subject.size"),
        (lambda: places(FACTS, {}, [0], vary={"data.axes.subject.size": [size]}), "data.axes.subject.size"),
    ):
        with pytest.raises(SettingError) as error:
            refused()
        assert (error.value.key, error.value.given) == (key, size)
        assert error.value.allowed == "1 to 30, 'population'"


def test_an_axis_that_the_task_does_not_have_is_refused_with_its_own():
    with pytest.raises(SettingError, match=r"^axes: got 'contexts'; allowed: context \(did you mean 'context'\?\)"):
        Online(POINTS, axes={"contexts": Axis(3)})
    with pytest.raises(SettingError, match=r"^axes: got 'context'; allowed: none: Parity has no axis"):
        Online(Parity(5, 2), axes={"context": Axis(3)})


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("task", "name", "size"), [(POINTS, "context", 12), (FACTS, "subject", "population")])
def test_values_are_as_frequent_as_their_ranks_say(task, name, size, exponent):
    count, total = 20_000, 12 if size == 12 else 30
    drawn = places(task, {name: Axis(size, exponent=exponent)}, torch.arange(count))[name][0].numpy()
    hits = np.bincount(drawn, minlength=total)
    law = stats.zipfian(exponent, total, loc=-1).pmf(np.arange(total))
    assert len(hits) == total
    assert 1e-3 < stats.chisquare(hits, law * count).pvalue < 1 - 1e-3


def test_sizes_and_exponents_vary_by_replica():
    vary = {"data.axes.context.size": [3, 9, "online"], "data.axes.context.exponent": [0.0, 1.5]}
    with pytest.raises(SettingError, match=r"data\.axes\.context\.exponent: got 1\.5; allowed: 0 for a pool"):
        places(POINTS, {}, [0], vary=vary)
    vary["data.axes.context.size"].pop()
    drawn = places(POINTS, {}, torch.arange(6000), vary=vary)["context"].numpy()
    for row, (size, exponent) in zip(drawn, ((3, 0), (3, 1.5), (9, 0), (9, 1.5)), strict=True):
        weight = np.arange(1, size + 1.0) ** -exponent
        assert stats.chisquare(np.bincount(row, minlength=size), 6000 * weight / weight.sum()).pvalue > 1e-3


def test_a_uniform_arm_draws_what_it_draws_alone():
    index = torch.arange(500)
    both = places(FACTS, {}, index, vary={"data.axes.subject.exponent": [0.0, 1.0]})["subject"]
    key = random.key(torch.tensor([0]))
    assert torch.equal(FACTS.examples(key, index[None], both[:1])[0], FACTS.examples(key, index[None])[0])
    alone = places(FACTS, {"subject": Axis("population", exponent=1.0)}, index)["subject"]
    assert torch.equal(both[1:], alone)


def test_a_curriculum_has_each_pool_for_its_duration():
    axes = {"context": Axis([2, 4, "online"], [5, 10])}
    index = torch.arange(400)
    for step, size in ((0, 2), (4, 2), (5, 4), (14, 4)):
        drawn = places(POINTS, axes, index, step=step)["context"]
        assert drawn.unique().tolist() == list(range(size))
        assert torch.equal(drawn, places(POINTS, {"context": Axis(size)}, index)["context"])
    for step in (15, 16, 10**6):
        assert torch.equal(places(POINTS, axes, index, step=step)["context"][0], index)


def test_a_curriculum_with_zipf_s_law_has_it_on_every_pool():
    axes, index = {"subject": Axis([3, 10, "population"], [5, 5], exponent=1.0)}, torch.arange(6000)
    for step, size in ((0, 3), (5, 10), (10, 30)):
        hits = np.bincount(places(FACTS, axes, index, step=step)["subject"][0], minlength=size)
        weight = 1 / np.arange(1, size + 1)
        assert stats.chisquare(hits, 6000 * weight / weight.sum()).pvalue > 1e-3


def test_replicas_have_curricula_of_their_own():
    vary = {"data.axes.subject.size": [[2, 8], 5, [7, "population"]]}
    axes, index = {"subject": Axis([2, 8], [3])}, torch.arange(300)
    for step, sizes in ((2, (2, 5, 7)), (3, (8, 5, 30))):
        drawn = places(FACTS, axes, index, vary=vary, step=step)["subject"]
        assert [len(row.unique()) for row in drawn] == list(sizes)


@pytest.mark.parametrize(
    ("axis", "key"),
    [
        (Axis([4, 2], [5]), "size"),
        (Axis([4, 4], [5]), "size"),
        (Axis(["population", 4], [5]), "size"),
        (Axis([2, 4]), "durations"),
        (Axis([2, 4], [1, 2, 3]), "durations"),
        (Axis([2, 4], [0]), "durations"),
        (Axis(2, exponent=-1.0), "exponent"),
        (Axis(2, exponent=float("nan")), "exponent"),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused(axis, key):
    with pytest.raises(SettingError) as error:
        Online(FACTS, axes={"subject": axis})
    assert error.value.key == f"axes.subject.{key}"
