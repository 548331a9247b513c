import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.tasks.table import Table


def keys(*seeds):
    return random.key(torch.tensor(seeds))


@pytest.fixture
def columns():
    generator = np.random.default_rng(0)
    return generator.normal(size=(11, 2, 3)), generator.integers(0, 9, 11)


@given(st.lists(st.lists(st.integers(0, 2**62), min_size=3, max_size=3), min_size=1, max_size=4))
def test_rows_are_those_of_the_columns_modulo_their_number(index):
    columns = np.arange(66).reshape(11, 2, 3), -np.arange(11)
    table = Table(*map(torch.from_numpy, columns))
    assert len(table) == 11
    for found, column in zip(table[torch.tensor(index)], columns, strict=True):
        np.testing.assert_array_equal(found, column[np.array(index) % 11])


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1009])
def test_an_order_is_a_permutation_of_each_key_and_repeats(size):
    table, index = Table(torch.zeros(size)), torch.arange(size).expand(3, -1)
    order = table.shuffled(keys(0, 1, 2**40), index)
    np.testing.assert_array_equal(order.sort(dim=1).values, index)
    np.testing.assert_array_equal(table.shuffled(keys(0, 1, 2**40), index + 5 * size), order)
    for row, seed in enumerate((0, 1, 2**40)):
        np.testing.assert_array_equal(table.shuffled(keys(seed), index[:1].flip(1)).flip(1)[0], order[row])
    if size >= 100:
        z = np.corrcoef([*order.numpy(), range(size)])[np.triu_indices(4, 1)] * np.sqrt(size)
        assert np.abs(z).max() < 4


def test_a_trace_gives_the_same_rows_for_other_keys_and_counters(columns):
    table, index = Table(*map(torch.from_numpy, columns)), torch.arange(12).view(2, 6)

    def rows(key, index):
        return table[table.shuffled(key, index)]

    graph = make_fx(rows, tracing_mode="fake")(keys(0, 1), index)
    found = graph(keys(5, 6), index + 3)
    for one, other in zip(found, rows(keys(5, 6), index + 3), strict=True):
        assert torch.equal(one, other)


def test_what_a_trace_copies_to_another_device_is_real(columns):
    table = Table(*map(torch.from_numpy, columns))
    make_fx(lambda index: table[index.to("meta")], tracing_mode="fake")(torch.arange(3))
    copied = table._columns[torch.device("meta")]
    assert [(type(column), column.shape) for column in copied] == [(torch.Tensor, c.shape) for c in columns]
    for found, column in zip(copy.deepcopy(table)[torch.arange(11)], columns, strict=True):
        np.testing.assert_array_equal(found, column)
