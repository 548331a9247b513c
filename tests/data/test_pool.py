import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl import random
from svl.data.pool import Pool, extents
from svl.tasks import Parity

SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=4)


def draw(sizes, batch_size, reuse, steps, pools=None):
    sizes = torch.tensor(sizes)
    pool = Pool(sizes if pools is None else torch.tensor(pools), batch_size, reuse)
    key, sides = random.key(torch.arange(len(sizes))), pool.sides(sizes)
    positions = [at(t, batch_size, len(sizes)) for t in steps]
    return torch.cat([pool.indices(key, sizes, sides, p, p) for p in positions], 1).numpy()


def at(step, batch_size, replicas=1):
    """Positions of a batch, each replica at its own step or all at one."""
    return torch.as_tensor(step).reshape(-1, 1).expand(replicas, 1) * batch_size + torch.arange(batch_size)


@pytest.mark.slow
@given(sizes=SIZES, others=SIZES, batch_size=st.integers(1, 60), reuse=st.sampled_from(["epochs", "replacement"]))
@settings(max_examples=30)
def test_a_pool_does_not_depend_on_the_others_in_the_fit(sizes, others, batch_size, reuse):
    together = draw(sizes, batch_size, reuse, range(5), pools=sizes + others)
    for row, size in enumerate(sizes):
        padded = [size] * (row + 1)
        np.testing.assert_array_equal(together[row], draw(padded, batch_size, reuse, range(5))[row])


@given(size=st.integers(1, 100), reuse=st.sampled_from(["epochs", "replacement"]))
@settings(max_examples=30)
def test_how_many_examples_a_step_has_does_not_change_their_order(size, reuse):
    streams = [draw([size], batch_size, reuse, range(240 // batch_size)) for batch_size in (16, 80, 240)]
    assert all((stream == streams[0]).all() for stream in streams)


def test_fresh_data_come_as_they_are_given():
    sizes = torch.tensor([0, 0, 5])
    pool = Pool(sizes, 4, "epochs")
    key, fresh = random.key(torch.arange(3)), at([3, 28, 7], 4, 3)
    index = pool.indices(key, sizes, pool.sides(sizes), at([9, 9, 0], 4, 3), fresh)
    assert index[:2].tolist() == [[12, 13, 14, 15], [112, 113, 114, 115]]
    assert index[2].max() < 5


def test_replicas_may_be_at_different_steps_of_their_pools():
    sizes = torch.tensor([30, 40])
    pool = Pool(sizes, 8, "epochs")
    key, sides = random.key(torch.arange(2)), pool.sides(sizes)
    index = pool.indices(key, sizes, sides, at([3, 11], 8, 2), at(0, 8, 2))
    for row, step in enumerate((3, 11)):
        alone = pool.indices(key, sizes, sides, at(step, 8, 2), at(0, 8, 2))
        assert torch.equal(index[row], alone[row])


@pytest.mark.parametrize("reuse", ["epochs", "replacement"])
def test_a_pool_of_one_example_has_that_alone(reuse):
    assert (draw([1], 50, reuse, range(3)) == 0).all()


def test_sizes_in_words_are_turned_into_numbers():
    assert extents([5, "online", "population"], Parity(10, 3)).tolist() == [5, 0, 1024]
