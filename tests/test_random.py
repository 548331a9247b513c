import subprocess
import sys
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svl import random

KEY = random.key(20)
WORD32, WORD64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
PI = "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small gain nothing from a second core, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(count, seed=20, **block):
    """The words of counters 0 ... count - 1 as NumPy integers, ``[word, count]``."""
    return torch.stack(random.bits(random.key(seed), torch.arange(count), **block)).numpy()


@given(
    seeds=st.lists(WORD64.map(lambda word: word - 2**63), min_size=1, max_size=4),
    first=WORD32,
    count=st.integers(1, 70),
)
@settings(deadline=None)
def test_the_kernel_draws_the_same_bits_also_for_several_steps_at_once(seeds, first, count):
    key = random.key(torch.tensor(seeds))
    index = first + torch.arange(count).expand(len(seeds), -1)

    def drawn(step):
        own = random.fold(key, step)[:, None]
        return random.normals(own, index + step, 7), random.integers(random.bits(own, index), 1000)

    steps = torch.arange(3)
    expected = [torch.stack(part) for part in zip(*map(drawn, steps), strict=True)]
    with random.kernel():
        alone = [torch.stack(part) for part in zip(*map(drawn, steps), strict=True)]
        together = torch.func.vmap(drawn)(steps)
    for normals, integers in (alone, together):
        assert torch.equal(integers, expected[1])
        torch.testing.assert_close(normals, expected[0], rtol=0, atol=1e-6)
    assert torch.equal(alone[0], together[0])


# Philox ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter_and_key", "words"),
    [
        ("00000000 " * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_a_block_equals_the_published_known_answer(counter_and_key, words):
    *counter, low, high = (int(word, 16) for word in counter_and_key.split())
    block = random.philox(tuple(counter), torch.tensor([low, high]))
    assert [f"{word.item():08x}" for word in block] == words.split()


def philox_in_integers(counter, key, multipliers, weyl, width):
    """Philox-4xW-10 in Python's unbounded integers, after equation (4) and figure 2 of the paper."""
    (l0, r0, l1, r1), (k0, k1), mask = counter, key, 2**width - 1
    for _ in range(10):
        product0, product1 = l0 * multipliers[0], l1 * multipliers[1]
        l0, r0 = product1 >> width ^ r0 ^ k0, product1 & mask
        l1, r1 = product0 >> width ^ r1 ^ k1, product0 & mask
        k0, k1 = (k0 + weyl[0]) & mask, (k1 + weyl[1]) & mask
    return [l0, r0, l1, r1]


@given(st.lists(WORD64, min_size=4, max_size=4), st.lists(WORD64, min_size=2, max_size=2))
def test_the_oracle_for_32_bits_is_numpys_generator_when_its_constants_are_those_for_64(counter, key):
    counter[0] = max(counter[0], 1)
    constants = (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B), 64
    # NumPy adds one to the counter before it draws.
    before = np.array([counter[0] - 1, *counter[1:]], np.uint64)
    drawn = np.random.Philox(counter=before, key=np.array(key, np.uint64)).random_raw(4)
    assert philox_in_integers(counter, key, *constants) == drawn.tolist()


@given(st.lists(st.tuples(*[WORD32] * 6), min_size=1, max_size=8))
def test_blocks_equal_an_oracle_in_unbounded_integers(rows):
    constants = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 32
    columns = torch.tensor(rows)
    block = torch.stack(random.philox(columns[:, :4].unbind(1), columns[:, 4:]), dim=1)
    assert block.tolist() == [philox_in_integers(row[:4], row[4:], *constants) for row in rows]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), WORD32, st.integers(0, 2**32 - 2))
def test_bits_are_the_block_of_the_seed_and_the_counter(seed, index, block, stream):
    words = random.bits(random.key(seed), torch.tensor(index), block, stream)
    counter = (index % 2**32, index // 2**32, block, stream)
    assert words == random.philox(counter, torch.tensor([seed % 2**32, seed // 2**32]))


def test_each_bit_of_the_words_is_a_fair_coin_independent_of_the_others():
    words = draw(1 << 16)
    bit = (words[..., None] >> np.arange(32) & 1).transpose(0, 2, 1).reshape(128, -1)
    correlation = np.corrcoef(bit) * np.sqrt(bit.shape[1])
    z = [*(2 * bit.mean(1) - 1) * np.sqrt(bit.shape[1]), *correlation[np.triu_indices(128, 1)]]
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert np.abs(z).max() < 5.5


COMPILED = """
import torch
from svl import random

sizes = [1, 2, 3, 100, 1021, 4096, 10_007, 2**40]
a, b, walk = random.permutation_plan(sizes)
seed, n, index = torch.arange(8), torch.tensor(sizes), torch.arange(100) * (2**33 + 1)

def everything(seed, n, index):
    key = random.fold(random.fold(random.key(seed), "name"), seed)[:, None]
    words = random.bits(key, index, 3, 5)
    grid = a[:, None], b[:, None]
    order = random.permutation(random.round_keys(key), index % n[:, None], n[:, None], grid, walk)
    integers = random.integers(words, n[:, None]), random.integers(words, 2**61 + 5)
    return *words, *integers, order, random.uniform(words[0]), random.normals(key, index, 7)

eager = everything(seed, n, index)
compiled = torch.compile(everything, dynamic=False, fullgraph=True)(seed, n, index)
for one, other in zip(eager[:-1], compiled[:-1], strict=True):
    assert torch.equal(one, other), (one - other).abs().max()
# the compiled logarithm and cosine are others than the eager ones
torch.testing.assert_close(eager[-1], compiled[-1], rtol=1e-5, atol=1e-5)
"""


@pytest.mark.slow
def test_compiled_code_draws_the_same_numbers():
    # without the shape checks, which do not compile
    subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILED], check=True, timeout=300)


# Floats ---------------------------------------------------------------------------------------------------------------


def test_uniform_floats_are_uniform_on_a_grid_of_24_bits():
    word = draw(50_000).ravel()
    value = random.uniform(torch.from_numpy(word)).numpy()
    np.testing.assert_array_equal(value * 2.0**24, word // 2**8)
    assert stats.kstest(value, "uniform").pvalue > 1e-3
    assert random.uniform(torch.tensor([0, 2**32 - 1])).tolist() == [0, 1 - 2**-24]


def normals(count, size, seed=20, stream=0):
    return random.normals(random.key(seed), torch.arange(count), size, stream).numpy()


def test_normals_are_gaussian_to_the_tail():
    value = normals(125_000, 8).astype(float).ravel()
    assert stats.kstest(value, "norm").pvalue > 1e-3
    n = value.size
    # the first four moments and the variances of what is averaged for each
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((value**power).mean() - moment) < 4 * np.sqrt(variance / n)
    for bound in (3.0, 4.0, 4.8):
        assert stats.binomtest(int((np.abs(value) > bound).sum()), n, 2 * stats.norm.sf(bound)).pvalue > 1e-3
    assert np.abs(value).max() < 6.8


@pytest.mark.parametrize(("one", "other"), [(0, 1), (2, 3), (0, 2), (1, 3), (3, 4)])
def test_the_normals_of_one_counter_are_independent(one, other):
    value = normals(100_000, 5).astype(float)
    cell = (stats.norm.cdf(value) * 10).astype(int)
    table = np.zeros((10, 10))
    np.add.at(table, (cell[:, one], cell[:, other]), 1)
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_extreme_words_give_finite_normals():
    word = torch.tensor([0, 1, 2**31, 2**32 - 257, 2**32 - 1])
    pair = torch.stack(random.normal_pair(*torch.meshgrid(word, word, indexing="ij")))
    assert pair.isfinite().all()
    assert 6.7 < pair.abs().max() < 6.8


def test_normals_do_not_depend_on_how_many_are_drawn_or_in_what_shape():
    key, index = random.key(torch.arange(3))[:, None], torch.arange(10).view(2, 5)
    many = random.normals(key, index[:1], 9)
    assert many.shape == (3, 5, 9)
    assert torch.equal(random.normals(key, index[:1], 2), many[..., :2])
    assert torch.equal(random.normals(random.key(2), index, 9)[0], many[2])
    assert abs(np.corrcoef(normals(10_000, 1)[:, 0], normals(10_000, 1, stream=1)[:, 0])[0, 1]) < 0.04


# Integers -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(WORD32, WORD32, st.integers(1, 2**62)), min_size=1, max_size=20))
def test_the_128_bit_product_equals_that_of_unbounded_integers(rows):
    high, low, n = torch.tensor(rows).unbind(1)
    above, below = random._multiply_high(high, low, n)
    expected = [divmod((row[0] << 32 | row[1]) * row[2], 2**64) for row in rows]
    assert [(a, b % 2**64) for a, b in zip(above.tolist(), below.tolist(), strict=True)] == expected


@given(
    st.tuples(*[WORD32] * 4), st.one_of(st.integers(1, 2**62 - 1), st.integers(2**61, 2**61 + 99)), st.integers(-3, 3)
)
@settings(max_examples=300)
def test_integers_reject_exactly_the_words_that_would_bias_them(words, n, offset):
    bound = 2**64 % n
    # words whose product's low half is next to the threshold
    near = (bound + offset) * pow(n, -1, 2**64) % 2**64 if n % 2 else words[0] << 32 | words[1]
    first, second = near, words[2] << 32 | words[3]
    expected = second * n >> 64 if first * n % 2**64 < bound else first * n >> 64
    block = tuple(torch.tensor(word) for word in (first >> 32, first % 2**32, *words[2:]))
    assert random.integers(block, n).item() == expected


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 2**31 + 1, 2**40 + 12345, 3 * 2**60])
def test_integers_are_uniform(n):
    words = random.bits(random.key(7), torch.arange(200_000))
    value = random.integers(words, n).numpy()
    assert value.min() >= 0
    assert value.max() < n
    # for a large n cells whose sizes differ by one at most
    cells = min(n, 1000)
    edge = np.array([-(-cell * n // cells) for cell in range(cells + 1)], np.int64)
    count = np.bincount(np.searchsorted(edge, value, side="right") - 1, minlength=cells)
    assert n == 1 or stats.chisquare(count, np.diff(edge) / n * len(value)).pvalue > 1e-3


def test_each_replica_has_its_own_range():
    n = torch.tensor([[1], [3], [2**40]])
    words = random.bits(random.key(torch.arange(3))[:, None], torch.arange(50))
    together = random.integers(words, n)
    for row in range(3):
        alone = random.integers(tuple(word[row] for word in words), n[row].item())
        assert torch.equal(together[row], alone)


# Keys -----------------------------------------------------------------------------------------------------------------


def test_seeds_names_and_numbers_give_keys_that_all_differ():
    number = torch.cat([torch.arange(20_000), 2**32 * torch.arange(1, 1000), 2**62 + torch.arange(100)])
    names = [random.fold(KEY, f"name {i}") for i in range(300)]
    keys = torch.cat(
        [random.key(number), random.fold(KEY, number), torch.stack(names), random.fold(random.key(21), number)]
    )
    assert len(keys.unique(dim=0)) == len(keys)


def test_a_name_differs_from_the_number_it_is_hashed_to():
    assert not torch.equal(random.fold(KEY, "order"), random.fold(KEY, random._tag("order")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (random.fold(KEY, "data"), random.fold(KEY, "test")),
        (random.fold(KEY, 0), random.fold(KEY, 1)),
        (random.fold(KEY, 0), random.fold(KEY, 2**32)),
        (random.fold(KEY, "data"), KEY),
        (random.fold(KEY, 3), random.fold(random.key(21), 3)),
        (random.fold(random.fold(KEY, 1), 2), random.fold(random.fold(KEY, 2), 1)),
        (random.key(0), random.key(1)),
        (random.key(0), random.key(2**32)),
    ],
)
def test_derived_keys_have_unrelated_streams(one, other):
    count = 20_000
    a, b = (torch.stack(random.bits(key, torch.arange(count))).numpy().ravel() for key in (one, other))
    agreeing = 32 - np.array([bin(x).count("1") for x in a ^ b])
    assert abs(agreeing.mean() - 16) < 4 * np.sqrt(8 / (4 * count))
    assert np.intersect1d(a, b).size < 30  # of 80,000 words 1.5 coincide by chance
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(4 * count)


def test_a_number_folded_in_flips_half_of_the_keys_bits():
    number = torch.arange(2000)
    for bit in (0, 31, 32, 62):
        changed = (random.fold(KEY, number) ^ random.fold(KEY, number ^ (1 << bit))).numpy()
        flips = np.array([bin(low).count("1") + bin(high).count("1") for low, high in changed])
        assert abs(flips.mean() - 32) < 4 * np.sqrt(16 / 2000)
        assert flips.min() >= 10


def test_folding_is_elementwise():
    parents, number = random.key(torch.arange(4)), torch.arange(4) * 2**35
    together = random.fold(parents, number)
    assert together.tolist() == [random.fold(random.key(i), int(number[i])).tolist() for i in range(4)]
    assert random.fold(parents, "x").tolist() == [random.fold(random.key(i), "x").tolist() for i in range(4)]


# Permutations ---------------------------------------------------------------------------------------------------------


def permute(n, seed=0, position=None):
    """Images under the permutations of [0, n) that belong to ``seed``; every position if none is given."""
    a, b, walk = random.permutation_plan([n])
    position = torch.arange(n) if position is None else position
    return random.permutation(random.round_keys(random.key(seed)), position, torch.tensor(n), (a, b), walk).numpy()


@given(st.integers(1, 5000), st.integers(0, 2**62))
@settings(max_examples=150)
def test_a_permutation_is_a_bijection(n, seed):
    np.testing.assert_array_equal(np.sort(permute(n, seed)), np.arange(n))


@pytest.mark.parametrize("n", [2**16 - 15, 2**16, 10**5 + 3, 360_360])
def test_a_permutation_of_many_is_a_bijection(n):
    np.testing.assert_array_equal(np.sort(permute(n, 5)), np.arange(n))


@pytest.mark.parametrize("n", [100, 1000, 1021])
@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
def test_over_many_keys_an_element_goes_everywhere_alike(n, place):
    position = torch.tensor(int(place * (n - 1)))
    image = permute(n, torch.arange(100 * n), position)
    assert stats.chisquare(np.bincount(image, minlength=n)).pvalue > 1e-3


# Of fewer than 20 some pairs are a few per cent more frequent than others
@pytest.mark.parametrize("n", [20, 29, 76])
def test_over_many_keys_two_neighbours_go_to_all_pairs_alike(n):
    first = permute(n, torch.arange(200_000), torch.tensor(4))
    second = permute(n, torch.arange(200_000), torch.tensor(5))
    pair = Counter(zip(first.tolist(), second.tolist(), strict=True))
    assert stats.chisquare([pair[i, j] for i, j in permutations(range(n), 2)]).pvalue > 1e-3
    assert not any(pair[i, i] for i in range(n))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_over_many_keys_all_permutations_of_few_are_alike(n):
    order = permute(n, torch.arange(100_000)[:, None], torch.arange(n))
    count = Counter(map(tuple, order.tolist()))
    assert stats.chisquare([count[order] for order in permutations(range(n))]).pvalue > 1e-3


def test_a_permutation_leaves_no_serial_correlation():
    order = permute(10_007, 3).astype(float)
    assert all(abs(np.corrcoef(order[lag:], order[: len(order) - lag])[0, 1]) < 0.04 for lag in (1, 2, 100, 101))


def test_two_epochs_agree_as_often_as_two_random_orders():
    key = random.fold(random.key(3), torch.arange(400))[:, None]
    n, (a, b, walk) = 1000, random.permutation_plan([1000])
    orders = random.permutation(random.round_keys(key), torch.arange(n), torch.tensor(n), (a, b), walk).numpy()
    agreeing = (orders[:-1] == orders[1:]).sum(1)
    # the number of fixed points of a random permutation is Poisson with mean 1
    chance = [*stats.poisson.pmf(range(4), 1), stats.poisson.sf(3, 1)]
    assert stats.chisquare(np.bincount(agreeing.clip(max=4)), 399 * np.array(chance)).pvalue > 1e-3


@given(st.integers(2, 3000), st.integers(0, 2**40))
@settings(max_examples=60)
def test_cycle_walking_ends_where_an_unbounded_walk_ends(n, seed):
    a, b, walk = random.permutation_plan([n])
    keys, grid = random.round_keys(random.key(seed)), int(a * b)
    scramble = random.permutation(keys, torch.arange(grid), torch.tensor(grid), (a, b), 0).tolist()
    expected = []
    for x in range(n):
        x = scramble[x]
        while x >= n:
            x = scramble[x]
        expected.append(x)
    more_walk = random.permutation(keys, torch.arange(n), torch.tensor(n), (a, b), walk + 5)
    assert permute(n, seed).tolist() == expected == more_walk.tolist()


def test_sizes_of_several_replicas_share_one_plan():
    sizes = [1, 2, 7, 100, 1021, 4096]
    a, b, walk = random.permutation_plan(sizes)
    keys = random.round_keys(random.key(torch.arange(6))[:, None])
    n, position = torch.tensor(sizes)[:, None], torch.arange(4096)
    together = random.permutation(keys, position % n, n, (a[:, None], b[:, None]), walk).numpy()
    for row, size in enumerate(sizes):
        np.testing.assert_array_equal(together[row, :size], permute(size, row))


@given(st.one_of(st.integers(1, 10**6), st.integers(1, 2**62).map(lambda x: 2**62 + 1 - x)))
@settings(max_examples=40)
def test_the_grid_holds_the_range_with_less_than_a_side_to_spare(n):
    a, b = random.feistel_shape(n)
    assert n <= a * b < n + min(a, b) or n <= 2
    assert max(a, b) <= 2**31
    assert min(a, b) >= 2 or n <= 3 or a * b == n <= 3


@pytest.mark.parametrize("n", [2**40, 10**12 + 39, 2**61 - 1, 2**62 - 57, 2**62])
def test_a_huge_range_is_permuted_without_leaving_it(n):
    position = torch.cat([torch.arange(20_000), n - 1 - torch.arange(20_000)])
    image = permute(n, 1, position)
    assert len(np.unique(image)) == len(image)
    assert image.min() >= 0
    assert stats.kstest(image / n, "uniform").pvalue > 1e-3
