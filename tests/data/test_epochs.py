"""The kernel of epochs' orders against the permutations that svl.random draws."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl import native, random
from svl.data.epochs import Epochs

SIZES = [1, 2, 3, 31, 32, 97, 1000, 2**14, 10**6 + 3, 2**40 + 1, 2**53 + 5, 2**61]


def both(sizes, seeds, position, batch=64):
    epochs = Epochs(sorted(set(sizes)), batch)
    key, size = random.key(torch.tensor(seeds)), torch.tensor(sizes)
    sides = torch.tensor([epochs.sides(n) for n in sizes])
    found = epochs.indices(key, size, sides, position, has_kernels=True)
    return found, epochs.indices(key, size, sides, position)


@given(
    sizes=st.lists(st.sampled_from(SIZES) | st.integers(1, 5000), min_size=1, max_size=4),
    seed=st.integers(0, 2**63 - 1),
    start=st.integers(0, 2**61),
)
@settings(max_examples=60, deadline=None)
def test_the_kernel_gives_the_same_order(sizes, seed, start):
    position = start + torch.arange(64).expand(len(sizes), -1)
    found, expected = both(sizes, [(seed + row) % 2**63 for row in range(len(sizes))], position)
    assert torch.equal(found, expected)


def test_positions_need_not_follow_each_other():
    rng = np.random.default_rng(0)
    position = torch.tensor(rng.integers(0, 10**7, (3, 64)))
    found, expected = both([10, 777, 65536], [0, 1, 2], position)
    assert torch.equal(found, expected)


def test_the_kernel_goes_through_each_epoch_once():
    size, epochs = 300, 4
    found, _ = both([size], [5], torch.arange(size * epochs)[None])
    for epoch in found.view(epochs, size).tolist():
        assert sorted(epoch) == list(range(size))
    assert len({tuple(epoch) for epoch in found.view(epochs, size).tolist()}) == epochs


def test_the_kernel_is_used_where_it_is_asked_for_alone(monkeypatch):
    calls = []

    def kernel(key, size, sides, position):
        calls.append(position)
        return position

    monkeypatch.setattr("svl.data.epochs.epoch_indices", kernel)
    position = torch.arange(64)[None]
    both([100], [0], position)
    assert len(calls) == 1
    monkeypatch.setattr(native, "is_available", lambda name: False)
    both([100], [0], position)
    assert len(calls) == 1
