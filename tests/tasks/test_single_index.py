from math import factorial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.losses.names import LOSSES
from svl.tasks.single_index import LINKS, SingleIndex

ORDERS = range(1, 6)
COUNT = 100_000


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def fitting(task):
    return {name for name, loss in LOSSES.items() if loss().fits(task)}


def drawn(task, seed=0, count=COUNT):
    """Inputs, labels and their projections on the teacher, in float64 by NumPy."""
    key = keys(seed)
    inputs, labels = task.examples(key, torch.arange(count)[None])
    inputs, teacher = inputs[0].numpy().astype(float), task.teacher(key)[0].numpy().astype(float)
    return inputs, labels[0].numpy().astype(float), inputs @ teacher


def z_score(samples, mean):
    return (samples.mean() - mean) / samples.std() * np.sqrt(len(samples))


@pytest.mark.parametrize("order", ORDERS)
def test_hermite_links_are_the_probabilists_polynomials(order):
    z = np.linspace(-6.8, 6.8, 501)
    expected = hermite_e.hermeval(z, [0] * order + [1])
    np.testing.assert_allclose(LINKS[f"he{order}"](torch.tensor(z)), expected, rtol=1e-10, atol=1e-10)


def test_hermite_links_are_orthogonal_under_a_gaussian():
    nodes, weights = hermite_e.hermegauss(12)
    values = np.stack([LINKS[f"he{order}"](torch.tensor(nodes)).numpy() for order in ORDERS])
    gram = (values * weights) @ values.T / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(gram, np.diag([factorial(order) for order in ORDERS]), atol=1e-9)


def test_other_links_are_what_their_names_say():
    z = np.array([-30.0, -1.5, 0.0, 0.25, 30.0])
    for name, values in {"relu": np.maximum(z, 0), "sigmoid": 1 / (1 + np.exp(-z)), "sign": np.sign(z)}.items():
        np.testing.assert_allclose(LINKS[name](torch.tensor(z)), values, rtol=1e-12)


def test_inputs_are_independent_standard_gaussians():
    inputs, _, along = drawn(SingleIndex(dim=40), count=20_000)
    assert stats.kstest(inputs.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(along, "norm").pvalue > 1e-3
    z = np.sqrt(len(inputs)) * (inputs.T @ inputs / len(inputs))[np.triu_indices(40, 1)]
    assert stats.kstest(z, "norm").pvalue > 1e-3


@pytest.mark.parametrize("link", LINKS)
def test_labels_are_the_link_of_the_projection_on_the_teacher(link):
    _, labels, along = drawn(SingleIndex(dim=9, link=link), count=2000)
    far = np.abs(along) > 1e-5  # the sign's jump
    expected = LINKS[link](torch.tensor(along)).numpy()
    np.testing.assert_allclose(labels[far], expected[far], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_labels_have_mean_0_variance_k_factorial_and_only_degree_k(order):
    _, labels, along = drawn(SingleIndex(dim=10, link=f"he{order}"), seed=order, count=4 * COUNT)
    assert abs(z_score(labels, 0)) < 4
    assert abs(z_score(labels**2, factorial(order))) < 4
    for other in ORDERS:
        component = labels * hermite_e.hermeval(along, [0] * other + [1])
        assert abs(z_score(component, factorial(order) * (other == order))) < 4


def test_teachers_are_uniform_on_the_sphere():
    dim, count = 6, 20_000
    teacher = SingleIndex(dim=dim).teacher(random.key(torch.arange(count))).numpy().astype(float)
    np.testing.assert_allclose(np.linalg.norm(teacher, axis=1), 1, rtol=1e-6)
    # a coordinate of a uniform direction, squared, is Beta(1/2, (dim - 1)/2); so is one of any rotated frame
    frame = stats.ortho_group.rvs(dim, random_state=1)
    for coordinate in (*teacher.T, *(teacher @ frame).T):
        assert stats.kstest(coordinate**2, "beta", (0.5, (dim - 1) / 2)).pvalue > 1e-3
        assert abs(z_score(coordinate, 0)) < 4
    second = np.sqrt(count * dim * (dim + 2)) * (teacher.T @ teacher / count)[np.triu_indices(dim, 1)]
    assert np.abs(second).max() < 4


def test_noise_is_gaussian_independent_of_the_example_and_leaves_inputs_alone():
    inputs, noisy, along = drawn(SingleIndex(dim=5, noise=0.5))
    same_inputs, clean, _ = drawn(SingleIndex(dim=5))
    np.testing.assert_array_equal(inputs, same_inputs)
    noise = (noisy - clean) / 0.5
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    assert abs(z_score(noise**2, 1)) < 4
    for statistic in (*inputs.T, along, along**2 - 1, clean):
        assert abs(z_score(noise * statistic, 0)) < 4


@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
@settings(max_examples=20)
def test_an_example_does_not_depend_on_its_batch(order, size):
    task, key = SingleIndex(dim=7, noise=0.1), keys(4)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, labels = task.examples(key, index.sort().values[None])
    batches = [task.examples(key, index[None, start : start + size]) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0] for batch in batches], 1), inputs[:, order])
    assert torch.equal(torch.cat([batch[1] for batch in batches], 1), labels[:, order])


def test_a_replica_has_the_examples_that_it_has_alone():
    task, index = SingleIndex(noise=0.1), torch.arange(60).view(3, 20)
    together = task.examples(keys(8, 9, 2**40), index)
    for row, seed in enumerate((8, 9, 2**40)):
        alone = task.examples(keys(seed), index[row : row + 1])
        assert torch.equal(together[0][row], alone[0][0])
        assert torch.equal(together[1][row], alone[1][0])


def test_seeds_and_test_examples_are_unrelated_and_share_the_teacher_only_within_a_seed():
    task, index = SingleIndex(dim=50), torch.arange(2000).expand(2, -1)
    train, _ = task.examples(keys(0, 1), index)
    test, labels = task.test_examples(keys(0, 1), index)
    for one, other in ((train[0], train[1]), (train[0], test[0]), (test[0], test[1])):
        assert abs(z_score((one * other).numpy().astype(float).ravel(), 0)) < 4
    along = torch.einsum("rbd,rd->rb", test, task.teacher(keys(0, 1)))
    torch.testing.assert_close(labels, LINKS["he3"](along), rtol=1e-4, atol=1e-3)


def test_replicas_that_differ_in_noise_equal_separate_tasks():
    key, index, noise = keys(3, 3, 5), torch.arange(90).view(3, 30), torch.tensor([0.0, 0.3, 2.0])
    inputs, labels = SingleIndex(dim=8).bind({"noise": noise}).examples(key, index)
    for row, value in enumerate(noise.tolist()):
        alone = SingleIndex(dim=8, noise=value).examples(key[row : row + 1], index[row : row + 1])
        assert torch.equal(inputs[row], alone[0][0])
        assert torch.equal(labels[row], alone[1][0])


@pytest.mark.parametrize("link", ["he5", "sign"])
def test_examples_can_be_traced(link):
    def examples(key, index, noise):
        return SingleIndex(dim=6, link=link).bind({"noise": noise}).examples(key, index)

    traced = make_fx(examples, tracing_mode="fake")(keys(0, 1), torch.zeros(2, 9, dtype=torch.int64), torch.zeros(2))
    arguments = keys(7, 8), torch.arange(18).view(2, 9), torch.tensor([0.1, 0.2])
    for one, other in zip(traced(*arguments), examples(*arguments), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == torch.float32


def test_only_noiseless_signs_are_labels():
    _, labels = SingleIndex(link="sign").examples(keys(0), torch.arange(500)[None])
    assert labels.unique().tolist() == [-1, 1]
    assert fitting(SingleIndex(link="sign")) == {"squared", "correlation", "logistic", "hinge"}
    for task in (SingleIndex(), SingleIndex(link="sign", noise=0.1)):
        assert fitting(task) == {"squared", "correlation"}


def test_only_signs_can_be_correct():
    outputs, targets = torch.tensor([[2.0], [-0.1], [0.0], [3.0]]), torch.tensor([1.0, 1.0, 1.0, -1.0])
    assert SingleIndex(link="sign").correct(outputs, targets).tolist() == [True, False, False, False]
    assert SingleIndex(link="sign", noise=0.5).correct(outputs, 0.3 * targets).tolist() == [True, False, False, False]
    assert SingleIndex().correct(outputs, targets) is None
    assert [SingleIndex(link=link).has_accuracy for link in LINKS] == [link == "sign" for link in LINKS]


@pytest.mark.parametrize(
    ("setting", "given"),
    [("dim", 0), ("dim", -1), ("dim", True)]
    + [("link", "he0"), ("link", "HE3"), ("link", "")]
    + [("noise", given) for given in (-0.1, float("nan"), float("inf"), True)],
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        SingleIndex(**{setting: given})
    assert error.value.key == setting
    assert error.value.given is given
