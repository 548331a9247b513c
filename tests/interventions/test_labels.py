"""Labels that say nothing about the task: their law, what they keep of the true ones, in which phases they stand."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mutual_info_score

from svl.data import AutomaticPhases, FullBatch, Online, Phases, Population, Subset, TwoSets
from svl.errors import SettingError
from svl.interventions import Labels
from svl.tasks import Dataset, Facts, LinearRegression, ModularAddition, Parity, SingleIndex, Staircase

PARITY = Parity(13, 3)
SUMS = ModularAddition(7, 200)


def examples(rule, data, kind, steps, phases=None, **settings):
    """Inputs and targets of some steps with and without other labels, from the same rule."""
    both = []
    for interventions in ({}, {"labels": Labels(kind, phases)}):
        both.append(rule(data(interventions=interventions), **settings).inputs(steps))
    (x, y), (changed_x, changed_y) = both
    assert torch.equal(x, changed_x)
    return x, y, changed_y


def information(y, other):
    """Mutual information in nats, and what chance alone would exceed once in a thousand times (2 n I is chi-square)."""
    y, other = y.numpy().ravel(), other.numpy().ravel()
    freedom = (len(np.unique(y)) - 1) * (len(np.unique(other)) - 1)
    return mutual_info_score(y, other), stats.chi2.isf(1e-3, freedom) / (2 * len(y))


@pytest.mark.parametrize("kind", ["random", "permuted"])
@pytest.mark.parametrize("task", [PARITY, SUMS], ids=["parity", "modular addition"])
def test_the_new_labels_tell_nothing_about_the_true_ones(rule, task, kind):
    _, y, other = examples(rule, lambda **s: Subset(task, 4000, batch_size=4000, **s), kind, [0], seeds=3)
    for own, new in zip(y, other, strict=True):
        found, chance = information(own, new)
        assert found < chance
        assert not torch.equal(own, new)


def test_random_labels_are_uniform(rule):
    _, _, signs = examples(rule, lambda **s: Online(PARITY, 8000, **s), "random", [0])
    assert stats.chisquare(np.unique(signs, return_counts=True)[1]).pvalue > 1e-3
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    _, _, classes = examples(rule, lambda **s: Online(SUMS, 8000, **s), "random", [0])
    assert classes.dtype == torch.int64
    assert stats.chisquare(np.bincount(classes.ravel(), minlength=7)).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["random", "permuted", "teacher"])
def test_an_example_has_the_same_label_whenever_it_comes(rule, kind):
    task = Parity(10, 3, "drawn")
    one = rule(Subset(task, 60, batch_size=20, interventions={"labels": Labels(kind)}), seeds=2)
    index, (_, labels) = one.stream(9), one.inputs(range(9))
    for own, new in zip(index, labels.numpy(), strict=True):
        table = {(i, y) for i, y in zip(own, new, strict=True)}
        assert len(table) == 60


@pytest.mark.parametrize("task", [SUMS, SingleIndex(5)], ids=["modular addition", "single-index"])
def test_permuted_labels_are_the_set_s_own_in_another_order(rule, task):
    _, y, permuted = examples(rule, lambda **s: Subset(task, 500, batch_size=250, **s), "permuted", range(2))
    np.testing.assert_array_equal(np.sort(y.numpy()), np.sort(permuted.numpy()))
    assert (y != permuted).float().mean() > 0.7


def test_fresh_examples_get_the_labels_of_others(rule):
    _, y, permuted = examples(rule, lambda **s: Online(SUMS, 3000, **s), "permuted", [0])
    assert information(y, permuted)[0] < information(y, permuted)[1]
    _, y, permuted = examples(rule, lambda **s: TwoSets(SUMS, 20_000, 0.5, batch_size=3000, **s), "permuted", [0])
    assert information(y, permuted)[0] < information(y, permuted)[1]


def test_the_population_s_labels_are_permuted_among_its_inputs(rule):
    _, y, permuted = examples(rule, lambda **s: Population(Parity(9, 4), 512, **s), "permuted", [0])
    assert permuted.sum() == y.sum() == 0
    assert information(y, permuted)[0] < information(y, permuted)[1]


def test_a_random_teacher_labels_by_the_true_link(rule):
    x, y, other = examples(rule, lambda **s: Online(SingleIndex(6, "he2"), 4000, **s), "teacher", [0], seeds=2)
    for inputs, own, new in zip(x.double().numpy(), y.numpy(), other.numpy(), strict=True):
        # He_2(<w, x>) = x^T w w^T x - 1: least squares on the products finds w w^T exactly.
        products = np.stack([inputs[:, i] * inputs[:, j] for i in range(6) for j in range(6)], 1)
        teachers = []
        for labels in (own, new):
            weights = np.linalg.lstsq(products, labels + 1, rcond=None)[0].reshape(6, 6)
            np.testing.assert_allclose(products @ weights.ravel(), labels + 1, atol=1e-4)
            values, vectors = np.linalg.eigh(weights)
            np.testing.assert_allclose(values, [0, 0, 0, 0, 0, 1], atol=1e-4)
            teachers.append(vectors[:, -1])
        assert abs(teachers[0] @ teachers[1]) < 0.95


def test_a_random_teacher_of_parity_has_another_support(rule):
    x, y, other = examples(rule, lambda **s: Online(Parity(8, 3, "drawn"), 2000, **s), "teacher", [0], seeds=4)
    for inputs, own, new in zip(x.numpy(), y.numpy(), other.numpy(), strict=True):
        supports = []
        for labels in (own, new):
            subsets = [s for s in range(2**8) if bin(s).count("1") == 3]
            fits = [s for s in subsets if (labels == inputs[:, [i for i in range(8) if s >> i & 1]].prod(1)).all()]
            assert len(fits) == 1
            supports.append(fits[0])
        assert supports[0] != supports[1]


def test_a_linear_teacher_has_other_weights(rule):
    x, y, other = examples(rule, lambda **s: Online(LinearRegression(4, noise=0.0), 50, **s), "teacher", [0])
    own, new = (np.linalg.lstsq(x[0].double().numpy(), labels[0].numpy(), rcond=None) for labels in (y, other))
    assert max(own[1], new[1]) < 1e-9
    assert np.abs(own[0] - new[0]).max() > 0.1


def test_only_the_phases_named_have_other_labels(rule):
    data = lambda **s: Phases(PARITY, [40, 200, "online"], [3, 4], batch_size=64, **s)  # noqa: E731
    for phases, steps in (([1], range(3)), ([2, 3], range(3, 10)), ([3], range(7, 10)), (None, range(10))):
        _, y, other = examples(rule, data, "random", range(10), phases)
        changed = (y != other).view(10, 64).any(1)
        assert changed.tolist() == [step in steps for step in range(10)]


def test_replicas_in_phases_of_their_own(rule):
    data = AutomaticPhases(PARITY, 2, 32, 64, batch_size=16, interventions={"labels": Labels("random", [1])})
    one = rule(data, seeds=2)
    plain = rule(AutomaticPhases(PARITY, 2, 32, 64, batch_size=16), seeds=2)
    one.state = plain.state = {**one.state, "phase": torch.tensor([0, 1])}
    changed = (one.batch(0)[1] != plain.batch(0)[1]).any(1)
    assert changed.tolist() == [True, False]


def test_kinds_vary_by_replica(rule):
    task = Parity(10, 3, "drawn")
    vary = {"data.interventions.other.kind": ["task", "random", "permuted", "teacher"]}
    together = rule(FullBatch(task, 64, None, 64, interventions={"other": Labels()}), 2, vary=vary).inputs([0])[1]
    for arm, kind in enumerate(vary["data.interventions.other.kind"]):
        alone = rule(FullBatch(task, 64, None, 64, interventions={"other": Labels(kind)}), 2).inputs([0])[1]
        assert torch.equal(together[2 * arm : 2 * arm + 2], alone)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Labels("random", []), "phases"),
        (lambda: Labels("random", [0]), "phases"),
        (lambda: Online(Facts(), interventions={"a": Labels("permuted")}), "interventions.a"),
        (lambda: Online(Staircase(), interventions={"a": Labels("random")}), "data.interventions.a.kind"),
        (lambda: Online(SingleIndex(), interventions={"a": Labels("random")}), "data.interventions.a.kind"),
        (lambda: Online(PARITY, interventions={"a": Labels("teacher")}), "data.interventions.a.kind"),
        (lambda: Online(SUMS, interventions={"a": Labels("teacher")}), "data.interventions.a.kind"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, make, key):
    with pytest.raises(SettingError) as error:
        rule(make())
    assert error.value.key == key


def test_what_makes_no_sense_in_one_arm_or_phase_is_refused(rule):
    with pytest.raises(SettingError, match=r"interventions\.a\.kind: got 'teacher'"):
        rule(Online(PARITY, interventions={"a": Labels()}), vary={"data.interventions.a.kind": ["task", "teacher"]})
    with pytest.raises(SettingError, match=r"interventions\.a\.phases: got \[1, 3\]; allowed: phases 1 to 2"):
        rule(Phases(PARITY, [4, 8], [5], interventions={"a": Labels("random", [1, 3])}))


def test_the_default_kind_matters_only_where_it_is_used(rule):
    vary = {"data.interventions.a.kind": ["task", "teacher"]}
    rule(Online(SingleIndex(), interventions={"a": Labels()}), vary=vary)


def test_a_stored_dataset_can_have_other_labels(rule):
    digits = Dataset("sklearn.datasets.load_digits")
    _, y, other = examples(rule, lambda **s: Subset(digits, 1000, batch_size=1000, **s), "random", [0])
    found, chance = information(y, other)
    assert found < chance
    assert other.unique().tolist() == list(range(10))
