"""Parity's examples from the C++ library against those of the task, bit by bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svl import random
from svl.native.parity import parity_examples
from svl.native.signs import encode_signs
from svl.tasks import Parity


@given(
    dim=st.integers(1, 128),
    seed=st.integers(0, 2**63 - 1),
    first=st.integers(0, 2**62 - 200),
    count=st.integers(1, 150),
    data=st.data(),
)
def test_they_are_the_tasks(dim, seed, first, count, data):
    task = Parity(dim, data.draw(st.integers(1, dim)), "drawn")
    key = random.key(torch.tensor([seed, seed ^ 1]))
    index = first + torch.arange(2 * count).view(2, count)
    inputs, targets = task.examples(key, index)
    words, labels = parity_examples(random.fold(key, "example"), task.support_mask(key), index)
    assert torch.equal(words, encode_signs(inputs))
    assert torch.equal(labels, targets)


@pytest.mark.parametrize("threads", [1, 3])
def test_no_bit_depends_on_the_number_of_threads(threads):
    task, key = Parity(20, 6), random.key(torch.arange(5))
    index = torch.arange(1000).expand(5, -1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        words, labels = parity_examples(random.fold(key, "example"), task.support_mask(key), index)
    finally:
        torch.set_num_threads(before)
    inputs, targets = task.examples(key, index)
    assert torch.equal(words, encode_signs(inputs)) and torch.equal(labels, targets)
