import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.replicas import replace
from svl.tasks.modular_addition import ModularAddition


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def operands(task, inputs):
    """x and z by Horner's rule."""
    digits = inputs.numpy().reshape(*inputs.shape[:-1], 2, -1)
    value = np.zeros(digits.shape[:-1], np.int64)
    for place in range(digits.shape[-1]):
        value = value * task.base + digits[..., place]
    return value[..., 0], value[..., 1]


@pytest.mark.parametrize(
    ("modulus", "numbers", "base"),
    [(2, 2, 2), (5, 8, 2), (7, 9, 2), (7, 9, 3), (11, None, 10), (3, 10, 10), (13, 5, 10)],
)
def test_the_population_is_every_pair_once_in_numpys_digits(modulus, numbers, base):
    task, count = ModularAddition(modulus, numbers, base), numbers or modulus
    assert task.population_size == count**2
    inputs, targets = task.population(keys(0, 1), torch.arange(count**2).expand(2, -1))
    width = len(np.base_repr(count - 1, base))
    table = [(x, z) for x in range(count) for z in range(count)]
    words = [np.base_repr(x, base).zfill(width) + np.base_repr(z, base).zfill(width) for x, z in table]
    expected = [[int(digit) for digit in word] for word in words]
    assert inputs.tolist() == [expected, expected]
    assert targets.tolist() == [[(x + z) % modulus for x, z in table]] * 2
    assert (task.input_shape, task.vocabulary, task.output_dim) == ((2 * width,), base, modulus)
    assert inputs.dtype == targets.dtype == torch.int64


@given(st.integers(2, 2**31), st.integers(2, 2**31), st.integers(2, 36), st.integers(0, 2**62), st.data())
def test_large_operands_are_written_and_added_exactly(modulus, numbers, base, seed, data):
    task = ModularAddition(modulus, numbers, base)
    x, z = (data.draw(st.integers(0, numbers - 1)) for _ in range(2))
    inputs, target = task.population(keys(seed), torch.tensor([[x * numbers + z]]))
    width = len(np.base_repr(numbers - 1, base))
    text = np.base_repr(x, base).zfill(width) + np.base_repr(z, base).zfill(width)
    assert inputs[0, 0].tolist() == [int(digit, 36) for digit in text]
    assert target.item() == (x + z) % modulus
    index = torch.tensor([data.draw(st.lists(st.integers(0, 2**62), min_size=1, max_size=5))])
    inputs, targets = task.examples(keys(seed), index)
    drawn_x, drawn_z = operands(task, inputs)
    assert inputs.min() >= 0
    assert inputs.max() < base
    assert max(drawn_x.max(), drawn_z.max()) < numbers
    np.testing.assert_array_equal(targets, (drawn_x + drawn_z) % modulus)


def test_operands_are_uniform_and_independent():
    task, count = ModularAddition(13, 12, 3), 40_000
    x, z = operands(task, task.examples(keys(1), torch.arange(count)[None])[0])
    pairs = np.bincount((x * 12 + z)[0], minlength=144).reshape(12, 12)
    assert pairs.shape == (12, 12)
    for table in (pairs.sum(0), pairs.sum(1), pairs.ravel()):
        assert 1e-3 < stats.chisquare(table).pvalue < 1 - 1e-3
    assert 1e-3 < stats.chi2_contingency(pairs).pvalue < 1 - 1e-3


def test_operands_below_a_large_bound_are_uniform():
    task = ModularAddition(5, 3 * 2**29, 2)
    drawn = np.concatenate(operands(task, task.examples(keys(2), torch.arange(5000)[None])[0]), axis=None)
    assert 1e-3 < stats.kstest(drawn / (3 * 2**29), "uniform").pvalue < 1 - 1e-3


@settings(max_examples=25)
@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_an_example_does_not_depend_on_its_batch_or_its_neighbours(order, size):
    task = ModularAddition(97, 10**6)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, targets = task.examples(keys(4), index.sort().values[None])
    batches = [task.examples(keys(9, 4), index[start : start + size].expand(2, -1)) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0][1] for batch in batches]), inputs[0, order])
    assert torch.equal(torch.cat([batch[1][1] for batch in batches]), targets[0, order])


def test_seeds_and_the_test_set_have_other_examples():
    task, index = ModularAddition(97, 10**6), torch.arange(500).expand(2, -1)
    train, test = task.examples(keys(0, 1), index)[0], task.test_examples(keys(0, 1), index)[0]
    words = torch.cat([train, test]).flatten(0, 1)
    # 2,000 of 10^12 pairs meet with a chance of 2e-6
    assert len(words.unique(dim=0)) == 2000


def test_a_trace_gives_the_same_examples_for_other_keys_and_counters():
    task = ModularAddition(97, 1000)
    index = torch.arange(12).view(2, 6)
    for function in (task.examples, task.test_examples, task.population):
        graph = make_fx(lambda *inputs, call=function: call(*inputs), tracing_mode="fake")(keys(0, 1), index)
        for found, expected in zip(graph(keys(5, 6), index + 3), function(keys(5, 6), index + 3), strict=True):
            assert torch.equal(found, expected)


def test_the_largest_logit_decides():
    outputs = torch.tensor([[[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [[-3.0, -2.0, -1.0], [0.0, 0.0, 1e-6]]])
    targets = torch.tensor([[1, 1], [2, 2]])
    assert ModularAddition(3).correct(outputs, targets).tolist() == [[True, False], [True, True]]


def test_the_numbers_follow_the_modulus_unless_they_are_given():
    task = ModularAddition(31, base=31)
    assert (replace(task, modulus=7).population_size, replace(task, numbers=4).population_size) == (49, 16)


@pytest.mark.parametrize(
    ("setting", "given"),
    [(name, given) for name in ("modulus", "numbers", "base") for given in (-1, 0, 1, True, 2**31 + 1)],
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        ModularAddition(**{setting: given})
    assert (error.value.key, error.value.given) == (setting, given)
