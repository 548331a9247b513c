import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from svl import random
from svl.errors import SettingError
from svl.tasks import Parity

SHAPES = st.integers(1, 128).flatmap(lambda dim: st.tuples(st.just(dim), st.integers(1, dim)))


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def signs_from_words(words, dim):
    """Inputs from 32-bit words ``[word, ...]``, lowest bit first, by NumPy."""
    octets = np.ascontiguousarray(np.moveaxis(words, 0, -1), "<u4").view(np.uint8)
    return 1 - 2 * np.unpackbits(octets, axis=-1, bitorder="little")[..., :dim].astype(int)


@given(SHAPES, st.integers(0, 2**62), st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=9))
def test_an_example_is_the_bits_of_its_counter_and_their_product(shape, seed, index):
    dim, degree = shape
    key, index = keys(seed), torch.tensor([index])
    inputs, labels = Parity(dim, degree).examples(key, index)
    words = torch.stack(random.bits(random.fold(key, "example")[:, None], index)).numpy()
    expected = signs_from_words(words, dim)
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(labels, expected[..., :degree].prod(-1))


@given(SHAPES, st.integers(0, 2**62))
def test_a_drawn_support_has_its_size_and_the_label_is_the_product_over_it(shape, seed):
    dim, degree = shape
    task, key = Parity(dim, degree, "drawn"), keys(seed)
    mask = task.support_mask(key)[0].numpy()
    assert mask.sum() == degree
    inputs, labels = task.examples(key, torch.arange(20)[None])
    np.testing.assert_array_equal(labels[0], np.where(mask, inputs[0], 1).prod(-1))


def test_inputs_are_unbiased_and_uncorrelated():
    count, dim = 20_000, 128
    inputs, labels = Parity(dim, 3).examples(keys(1), torch.arange(count)[None])
    columns = torch.cat([inputs[0], labels[0, :, None]], 1).numpy().astype(float)
    covariance = columns.T @ columns / count
    z = np.sqrt(count) * np.concatenate([columns.mean(0), covariance[np.triu_indices(dim + 1, 1)]])
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert np.abs(z).max() < 5.5


@pytest.mark.parametrize("dim", [1, 2, 5, 31, 32, 33, 64, 65, 96, 97, 128])
def test_dense_parity_depends_on_every_coordinate(dim):
    inputs, labels = Parity(dim, dim).examples(keys(3), torch.arange(200)[None])
    assert inputs.shape == (1, 200, dim)
    assert torch.equal(labels, inputs.prod(-1))
    assert labels.unique().tolist() == [-1, 1]


def test_supports_are_uniform_over_coordinates_and_their_pairs():
    dim, degree, count = 12, 4, 20_000
    mask = Parity(dim, degree, "drawn").support_mask(random.key(torch.arange(count))).numpy().astype(int)
    together = mask.T @ mask
    hits = np.diag(together)
    # coordinates exclude each other, which makes the plain statistic too small by this factor
    statistic = (
        ((hits - count * degree / dim) ** 2).sum() / (count * degree / dim * (1 - degree / dim)) * (dim - 1) / dim
    )
    assert 1e-3 < stats.chi2.sf(statistic, dim - 1) < 1 - 1e-3
    chance = degree * (degree - 1) / (dim * (dim - 1))
    z = (together[np.triu_indices(dim, 1)] / count - chance) / np.sqrt(chance * (1 - chance) / count)
    assert np.abs(z).max() < 4.5


def test_the_first_coordinates_are_the_support_unless_it_is_drawn():
    mask = Parity(9, 4).support_mask(keys(1, 2))
    assert mask.tolist() == [[True] * 4 + [False] * 5] * 2
    drawn = Parity(40, 6, "drawn").support_mask(random.key(torch.arange(50)))
    assert len(drawn.unique(dim=0)) == 50
    assert torch.equal(drawn[7], Parity(40, 6, "drawn").support_mask(keys(7))[0])


@pytest.mark.parametrize("support", ["first", "drawn"])
def test_the_population_holds_every_input_once_with_its_label(support):
    task, key = Parity(10, 4, support), keys(5, 6)
    inputs, labels = task.population(key, torch.arange(1024).expand(2, -1))
    table = 1 - 2 * (np.arange(1024)[:, None] >> np.arange(10) & 1)
    mask = task.support_mask(key).numpy()
    for replica in range(2):
        np.testing.assert_array_equal(inputs[replica], table)
        np.testing.assert_array_equal(labels[replica], np.where(mask[replica], table, 1).prod(-1))
    assert (len(np.unique(table, axis=0)), task.population_size) == (1024, 1024)


def test_a_population_beyond_32_bits_is_numbered_to_its_end():
    index = 2 ** torch.arange(40)
    inputs, labels = Parity(40, 40).population(keys(0), index[None])
    assert torch.equal(inputs[0], 1 - 2 * torch.eye(40))
    assert torch.equal(labels[0], -torch.ones(40))
    assert (Parity(40, 1).population_size, Parity(41, 1).population_size) == (2**40, None)


@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_an_example_does_not_depend_on_its_batch(order, size):
    task, key = Parity(70, 5, "drawn"), keys(4)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, labels = task.examples(key, index.sort().values[None])
    batches = [task.examples(key, index[None, start : start + size]) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0] for batch in batches], 1), inputs[:, order])
    assert torch.equal(torch.cat([batch[1] for batch in batches], 1), labels[:, order])


def test_a_replica_has_the_examples_that_it_has_alone():
    task, index = Parity(20, 6, "drawn"), torch.arange(60).view(3, 20)
    together = task.examples(keys(8, 9, 2**40), index)
    for row, seed in enumerate((8, 9, 2**40)):
        alone = task.examples(keys(seed), index[row : row + 1])
        assert torch.equal(together[0][row], alone[0][0])
        assert torch.equal(together[1][row], alone[1][0])


def test_seeds_have_unrelated_examples():
    inputs, _ = Parity(128, 6).examples(keys(0, 1), torch.arange(2000).expand(2, -1))
    agreeing = (inputs[0] == inputs[1]).float().mean().item()
    assert abs(agreeing - 0.5) < 4 * 0.5 / np.sqrt(2000 * 128)


def test_only_the_labels_sign_is_correct():
    outputs = torch.tensor([[2.0], [-0.1], [0.0], [1e-30], [float("nan")], [-3.0]])
    targets = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, -1.0])
    assert Parity().correct(outputs, targets).tolist() == [True, False, False, True, False, True]


@pytest.mark.parametrize(
    ("setting", "given"), [("dim", 0), ("dim", -1), ("dim", 129), ("degree", 0), ("degree", 21), ("degree", True)]
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        Parity(**{setting: given})
    assert (error.value.key, error.value.given) == (setting, given)
