import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.losses.names import LOSSES
from svl.tasks import Parity
from svl.tasks.staircase import Staircase

EPSILON = 0.0625  # a binary fraction, so that sums of it are exact


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def staircase(inputs, degree, epsilon):
    """The labels by NumPy."""
    chi = [inputs[..., :j].prod(-1) for j in range(1, degree + 1)]
    return chi[-1] + epsilon * sum(chi[:-1])


@pytest.mark.parametrize(("dim", "degree"), [(1, 1), (2, 2), (5, 1), (6, 4), (9, 9)])
def test_the_population_is_the_exhaustive_table(dim, degree):
    inputs, labels = Staircase(dim, degree, EPSILON).population(keys(0), torch.arange(2**dim)[None])
    table = 1 - 2 * (np.arange(2**dim)[:, None] >> np.arange(dim) & 1)
    np.testing.assert_array_equal(inputs[0], table)
    np.testing.assert_array_equal(labels[0], staircase(table, degree, EPSILON))
    assert Staircase(dim, degree).population_size == 2**dim


@pytest.mark.parametrize(("dim", "degree"), [(7, 1), (8, 5), (10, 6)])
def test_fourier_coefficients_are_epsilon_on_each_lower_step_and_1_on_the_top(dim, degree):
    _, labels = Staircase(dim, degree, EPSILON).population(keys(0), torch.arange(2**dim)[None])
    spectrum = linalg.hadamard(2**dim) @ labels[0].numpy() / 2**dim
    # the parity of the first j coordinates is row 2^j - 1 of Hadamard's matrix
    expected = np.zeros(2**dim)
    expected[[2**j - 1 for j in range(1, degree)]] = EPSILON
    expected[2**degree - 1] = 1
    np.testing.assert_array_equal(spectrum, expected)


@given(
    st.integers(1, 128).flatmap(lambda dim: st.tuples(st.just(dim), st.integers(1, dim))),
    st.integers(0, 2**62),
    st.floats(0, 2),
)
def test_the_staircase_only_changes_the_labels_of_parity(shape, seed, epsilon):
    key, index = keys(seed), torch.arange(40)[None]
    task, parity = Staircase(*shape, epsilon), Parity(*shape)
    inputs, labels = task.examples(key, index)
    assert torch.equal(inputs, parity.examples(key, index)[0])
    np.testing.assert_allclose(labels, staircase(inputs.numpy(), shape[1], epsilon), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**62))
@settings(max_examples=20)
def test_without_epsilon_it_is_parity(seed):
    key, index = keys(seed), torch.arange(64)[None]
    pairs = [(Staircase(20, 6), Parity(20, 6)), (Staircase(20, 6, 0.0), Parity(20, 6))]
    pairs.append((Staircase(20, 6).bind({"epsilon": torch.zeros(1)}), Parity(20, 6)))
    for task, parity in pairs:
        for name in ("examples", "population", "test_examples"):
            for one, other in zip(getattr(task, name)(key, index), getattr(parity, name)(key, index), strict=True):
                assert torch.equal(one, other)


def test_the_test_set_is_labelled_by_the_top_step_alone():
    key, index = keys(3, 4), torch.arange(500).expand(2, -1)
    inputs, labels = Staircase(20, 6, 0.5).test_examples(key, index)
    assert torch.equal(labels, inputs[..., :6].prod(-1))
    train, _ = Staircase(20, 6, 0.5).examples(key, index)
    assert abs((train == inputs).float().mean().item() - 0.5) < 4 * 0.5 / np.sqrt(2 * 500 * 20)


@pytest.mark.parametrize(("epsilon", "accurate"), [(0.19, True), (0.5, False)])
def test_who_fits_the_training_labels_has_the_stated_test_error_and_accuracy(epsilon, accurate):
    degree, index = 6, torch.arange(2**10)[None]
    task = Staircase(10, degree, epsilon)
    _, labels = task.population(keys(0), index)
    _, top = Parity(10, degree).population(keys(0), index)
    np.testing.assert_allclose((labels - top).square().mean(), epsilon**2 * (degree - 1), rtol=1e-5)
    assert task.correct(labels[..., None], top).all().item() == accurate


@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
@settings(max_examples=20)
def test_an_example_does_not_depend_on_its_batch(order, size):
    task, key = Staircase(70, 5, 0.3), keys(4)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, labels = task.examples(key, index.sort().values[None])
    batches = [task.examples(key, index[None, start : start + size]) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0] for batch in batches], 1), inputs[:, order])
    assert torch.equal(torch.cat([batch[1] for batch in batches], 1), labels[:, order])


def test_seeds_have_unrelated_examples():
    inputs, _ = Staircase(128, 6, 0.1).examples(keys(0, 1), torch.arange(2000).expand(2, -1))
    agreeing = (inputs[0] == inputs[1]).float().mean().item()
    assert abs(agreeing - 0.5) < 4 * 0.5 / np.sqrt(2000 * 128)


@pytest.mark.parametrize("name", ["examples", "population", "test_examples"])
def test_replicas_that_differ_in_epsilon_equal_separate_tasks(name):
    key, index, epsilon = keys(3, 3, 5), torch.arange(90).view(3, 30), torch.tensor([0.0, 0.1, 2.0])
    inputs, labels = getattr(Staircase(12, 6).bind({"epsilon": epsilon}), name)(key, index)
    for row, value in enumerate(epsilon.tolist()):
        alone = getattr(Staircase(12, 6, value), name)(key[row : row + 1], index[row : row + 1])
        assert torch.equal(inputs[row], alone[0][0])
        assert torch.equal(labels[row], alone[1][0])


@pytest.mark.parametrize("degree", [1, 6])
def test_examples_can_be_traced(degree):
    def examples(key, index, epsilon):
        return Staircase(20, degree).bind({"epsilon": epsilon}).examples(key, index)

    traced = make_fx(examples, tracing_mode="fake")(keys(0, 1), torch.zeros(2, 9, dtype=torch.int64), torch.zeros(2))
    arguments = keys(7, 8), torch.arange(18).view(2, 9), torch.tensor([0.1, 0.2])
    for one, other in zip(traced(*arguments), examples(*arguments), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == torch.float32


def test_its_labels_are_real_so_losses_of_signs_do_not_fit():
    assert {name for name, loss in LOSSES.items() if loss().fits(Staircase())} == {"squared", "correlation"}


@pytest.mark.parametrize(
    ("setting", "given"),
    [("dim", 0), ("dim", 129), ("dim", True), ("degree", 0), ("degree", 21), ("degree", True)]
    + [("epsilon", given) for given in (-0.1, float("nan"), float("inf"), True)],
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        Staircase(**{setting: given})
    assert error.value.key == setting
    assert error.value.given is given
