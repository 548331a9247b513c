"""Reused sets whose low-order statistics are the population's, to rounding, and that are still samples of the task."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl.data import AutomaticPhases, FullBatch, Online, Phases, Subset
from svl.errors import SettingError
from svl.interventions import AddedBias, BiasRemoval, LabelNoise, Labels
from svl.tasks import LinearRegression, Parity, SingleIndex, Staircase


def removed(kind):
    return {"bias": BiasRemoval(kind)}


def whole(rule, task, size, kind, seeds=2):
    """All of a reused set in the order of its indices, inputs in float64."""
    x, y = rule(FullBatch(task, size, None, size, interventions=removed(kind)), seeds).inputs([0])
    return x.double().numpy(), y.double().numpy()


@given(
    dim=st.integers(3, 14),
    support=st.sampled_from(["first", "drawn"]),
    degree=st.integers(2, 8),
    eighths=st.integers(1, 60),
    seed=st.integers(0, 50),
)
@settings(max_examples=60)
def test_signs_have_no_mean_given_any_label(rule, dim, support, degree, eighths, seed):
    task, size = Parity(dim, min(degree, dim), support), 8 * min(eighths, 2**dim // 8)
    for kind in ("mean", "class_means"):
        one = rule(FullBatch(task, size, None, size, interventions=removed(kind)), first_seed=seed)
        x, y = (part[0].double().numpy() for part in one.inputs([0]))
        assert np.abs(x.mean(0)).max() == 0
        on = np.flatnonzero(task.support_mask(one.key)[0].numpy())
        np.testing.assert_array_equal(y, x[:, on].prod(1))
        if kind == "class_means":
            assert y.mean() == 0
            assert np.abs(x[y > 0].mean(0)).max() == np.abs(x[y < 0].mean(0)).max() == 0


@pytest.mark.parametrize("kind", ["mean", "class_means"])
def test_few_signs_are_turned_and_the_rest_is_as_it_was(rule, kind):
    task = Parity(20, 6)
    x, _ = whole(rule, task, 4096, kind, 4)
    plain, _ = whole(rule, task, 4096, "none", 4)
    share = (x != plain).mean((0, 1))
    # Half the excess of a column, whose spread is sqrt(n); pairs and labels add some on the support.
    assert share.max() < 4 / np.sqrt(4096)
    own = np.abs(plain.sum(1)).mean(0)[6:] / 2 / 4096
    if kind == "mean":
        np.testing.assert_allclose(share[6:], own, rtol=1e-12)
    # Pairs of coordinates are as uncorrelated as in any sample of this size.
    for one in x:
        second = (one.T @ one / 4096)[np.triu_indices(20, 1)]
        assert stats.kstest(second * np.sqrt(4096), "norm").pvalue > 1e-3


@pytest.mark.parametrize("size", [50, 400, 3000])
def test_whitened_gaussians_have_mean_0_and_covariance_1(rule, size):
    task = SingleIndex(40, "he3")
    x, y = whole(rule, task, size, "whitening")
    for one in x:
        assert np.abs(one.mean(0)).max() < 1e-6
        assert np.abs(np.cov(one.T, bias=True) - np.eye(40)).max() < 1e-6 * (1 if size > 100 else 3)
    w = task.teacher(rule(Online(task), 2).key).double().numpy()
    z = np.einsum("rnd,rd->rn", x, w)
    np.testing.assert_allclose(y, z**3 - 3 * z, rtol=1e-4, atol=1e-4)


def test_whitening_is_the_symmetric_root_of_numpy(rule):
    plain, _ = whole(rule, SingleIndex(5), 60, "none", 1)
    x, _ = whole(rule, SingleIndex(5), 60, "whitening", 1)
    values, vectors = np.linalg.eigh(np.cov(plain[0].T, bias=True))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    np.testing.assert_allclose(x[0], (plain[0] - plain[0].mean(0)) @ root, atol=1e-5)
    centred, _ = whole(rule, SingleIndex(5), 60, "mean", 1)
    np.testing.assert_allclose(centred[0], plain[0] - plain[0].mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("task", "kind"), [(Parity(12, 4), "mean"), (Parity(12, 4), "class_means"), (SingleIndex(8), "whitening")]
)
def test_every_phase_s_set_is_without_bias_and_contains_the_one_before(rule, task, kind):
    data = Phases(task, [32, 96, 256, "online"], [1, 3, 8], batch_size=32, interventions=removed(kind))
    one = rule(data, 2)
    sets = [one.inputs(range(1)), one.inputs(range(1, 4)), one.inputs(range(4, 12))]
    for (x, y), size in zip(sets, (32, 96, 256), strict=True):
        assert x.shape[1] == size
        assert x.double().mean(1).abs().max() < 1e-6
        if kind == "class_means":
            assert y.sum() == 0 and (x * y[..., None]).sum(1).abs().max() == 0
        if kind == "whitening":
            covariance = torch.einsum("rni,rnj->rij", x.double(), x.double()) / size
            assert (covariance - torch.eye(8)).abs().max() < 1e-6
    for (small, _), (large, _) in pairwise(sets):
        for a, b in zip(small, large, strict=True):
            assert {tuple(row) for row in a.tolist()} <= {tuple(row) for row in b.tolist()}
    plain = rule(Phases(task, [32, 96, 256, "online"], [1, 3, 8], batch_size=32), 2)
    torch.testing.assert_close(one.inputs([20])[0], plain.inputs([20])[0])  # fresh data are left alone


def test_disjoint_and_automatic_phases(rule):
    task = Parity(10, 4)
    one = rule(Phases(task, [48, 16], [3], nested=False, batch_size=16, interventions=removed("mean")))
    for steps in (range(3), range(3, 4)):
        assert one.inputs(steps)[0].sum(1).abs().max() == 0
    automatic = rule(AutomaticPhases(task, 3, 16, 64, batch_size=16, interventions=removed("class_means")))
    for phase, size in enumerate((16, 32, 64)):
        automatic.state["phase"][:] = phase
        batches = []
        for step in range(size // 16):
            automatic.state["step_in_phase"][:] = step
            batches.append(automatic.batch(step)[:2])
        x, y = (torch.cat(parts, 1) for parts in zip(*batches, strict=True))
        assert x.sum(1).abs().max() == (x * y[..., None]).sum(1).abs().max() == y.sum() == 0


def test_sizes_and_kinds_vary_by_replica_and_the_population_stays(rule):
    task = Parity(6, 3)
    vary = {"data.size": [16, 32, "population"], "data.interventions.bias.kind": ["none", "mean", "class_means"]}
    together = rule(FullBatch(task, 16, None, 64, interventions=removed("mean")), vary=vary)
    x, y, weight = together.batch(0)
    arms = [(size, kind) for size in vary["data.size"] for kind in vary["data.interventions.bias.kind"]]
    for row, (size, kind) in enumerate(arms):
        interventions = {} if size == "population" else removed(kind)
        alone = rule(FullBatch(task, size, None, 64, interventions=interventions))
        inputs, targets, own = alone.batch(0)
        here = weight[row] > 0
        assert torch.equal(weight[row], own[0])
        assert torch.equal(x[row, here], inputs[0, here]) and torch.equal(y[row, here], targets[0, here])


def test_label_interventions_act_on_the_set_without_bias(rule):
    task = Parity(8, 4)
    plain = rule(FullBatch(task, 64, None, 64, interventions=removed("class_means"))).inputs([0])
    permuted = {**removed("class_means"), "labels": Labels("permuted")}
    x, y = rule(FullBatch(task, 64, None, 64, interventions=permuted)).inputs([0])
    assert torch.equal(x, plain[0]) and y.sum() == 0 and not torch.equal(y, plain[1])
    wrong = {**removed("mean"), "noise": LabelNoise(1.0)}
    x, y = rule(FullBatch(task, 64, None, 64, interventions=wrong)).inputs([0])
    assert x.sum(1).abs().max() == 0 and torch.equal(y, -x[..., :4].prod(-1))


def test_a_staircase_s_labels_follow_its_inputs(rule):
    x, y = whole(rule, Staircase(8, 3, 0.5), 64, "mean", 1)
    np.testing.assert_allclose(y, x[..., :3].prod(-1) + 0.5 * (x[..., 0] + x[..., :2].prod(-1)), rtol=1e-6)


HERE, KIND = "interventions.bias", "data.interventions.bias.kind"


@pytest.mark.parametrize(
    ("make", "key", "words"),
    [
        (
            lambda rule: Subset(LinearRegression(), 8, interventions=removed("mean")),
            "interventions.bias",
            "LinearRegression",
        ),
        (
            lambda rule: rule(Subset(Parity(), 8, interventions=removed("whitening"))),
            KIND,
            "none, mean",
        ),
        (
            lambda rule: rule(Subset(SingleIndex(), 8, interventions=removed("class_means"))),
            KIND,
            "whitening",
        ),
        (
            lambda rule: rule(Subset(Parity(5, 1), 8, interventions=removed("class_means"))),
            KIND,
            "not the parity",
        ),
        (
            lambda rule: rule(Subset(Staircase(), 8, interventions=removed("class_means"))),
            KIND,
            "not the parity",
        ),
        (
            lambda rule: Subset(Parity(), 8, interventions={"n": LabelNoise(), **removed("mean")}),
            "interventions.bias",
            "first place",
        ),
        (
            lambda rule: Subset(Parity(), 8, interventions={"a": AddedBias(4), **removed("mean")}),
            "interventions.bias",
            "first place",
        ),
        (lambda rule: rule(Online(Parity(), interventions=removed("mean"))), "data." + HERE, "reuse a set"),
        (
            lambda rule: rule(Subset(Parity(), 9, interventions=removed("mean"))),
            KIND,
            "divisible by 2",
        ),
        (
            lambda rule: rule(Subset(Parity(), 10, interventions=removed("class_means"))),
            KIND,
            "divisible by 4",
        ),
        (
            lambda rule: rule(Subset(Parity(9, 3), 12, interventions=removed("class_means"))),
            KIND,
            "divisible by 8",
        ),
        (
            lambda rule: rule(Subset(SingleIndex(40), 40, interventions=removed("whitening"))),
            KIND,
            "more than dim",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(rule, make, key, words):
    with pytest.raises(SettingError) as error:
        make(rule)
    assert error.value.key == key
    assert words in error.value.allowed
