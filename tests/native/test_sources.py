"""What the sources make, of every width of vectors, against the tasks' own examples and a closed form."""

import ctypes

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svl import random
from svl.native.signs import encode_signs, words_of
from svl.tasks import Parity, SingleIndex
from svl.tasks.single_index import LINKS

pytestmark = pytest.mark.usefixtures("build")
bounded = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEED, FIRST, COUNT = st.integers(0, 2**63 - 1), st.integers(0, 2**62 - 200), st.integers(1, 70)


def made(task, key, index):
    """Inputs and targets by the task's source, in calls of two unequal parts."""
    source = task.source(key)
    function = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
    )(source.function)
    width = words_of(task.dim) if source.has_words else task.dim
    # One number more than there are: nothing may be written behind the end.
    inputs = torch.full((len(key), index.shape[1] * width + 1), 7, dtype=torch.int32 if source.has_words else None)
    inputs, targets = inputs if source.has_words else inputs.float(), torch.full((len(key), index.shape[1] + 1), 7.0)
    for replica in range(len(key)):
        cut = index.shape[1] // 3
        for start, stop in ((0, cut), (cut, index.shape[1])):
            counters = index[replica, start:stop].contiguous()
            function(
                ctypes.addressof(source.task), replica, stop - start, counters.data_ptr(),
                inputs[replica, start * width :].data_ptr(), targets[replica, start:].data_ptr(),
            )  # fmt: skip
    assert (inputs[:, -1] == 7).all() and (targets[:, -1] == 7).all()
    return inputs[:, :-1].view(len(key), -1, width), targets[:, :-1]


@bounded
@given(st.integers(1, 128), SEED, FIRST, COUNT, st.data())
def test_parity_has_the_tasks_bits(dim, seed, first, count, data):
    task = Parity(dim, data.draw(st.integers(1, dim)), "drawn")
    key, index = random.key(torch.tensor([seed, seed ^ 1])), first + torch.arange(2 * count).view(2, count)
    words, labels = made(task, key, index)
    inputs, targets = task.examples(key, index)
    assert torch.equal(words, encode_signs(inputs)) and torch.equal(labels, targets)


@bounded
@given(st.integers(1, 70), st.sampled_from(list(LINKS)), st.sampled_from([0.0, 0.5, None]), SEED, FIRST, COUNT)
def test_single_index_models_have_the_tasks_numbers(dim, link, noise, seed, first, count):
    task = SingleIndex(dim, link, noise or 0.0)
    if noise is None:  # differs by replica
        task = task.bind({"noise": torch.tensor([0.0, 2.0])})
    key, index = random.key(torch.tensor([seed, seed ^ 1])), first + torch.arange(2 * count).view(2, count)
    inputs, targets = made(task, key, index)
    expected_inputs, expected = task.examples(key, index)
    torch.testing.assert_close(inputs, expected_inputs, rtol=0, atol=1e-6)
    along = (expected_inputs * task.teacher(key)[:, None]).sum(-1)
    decided = along.abs() > 1e-5  # where rounding does not decide the sign
    torch.testing.assert_close(targets[decided], expected[decided], rtol=1e-4, atol=1e-4)


@bounded
@given(SEED, FIRST, st.integers(1, 9), st.integers(0, 3))
def test_gaussians_are_those_of_the_words_in_double_precision(seed, first, count, stream):
    key, index = random.key(seed), first + torch.arange(200)
    with random.kernel():
        found = random.normals(key, index, count, stream).numpy()
    for block in range(-(-count // 4)):
        words = torch.stack(random.bits(key, index, block, stream)).numpy()
        # The words as float32, as the draw is defined; all the rest in double precision.
        first = (words[::2].astype(np.float32) + np.float32(0.5)).astype(np.float64)
        radius, angle = np.sqrt(-2 * np.log(first / 2**32)), (words[1::2] >> 8) / 2**24 * 2 * np.pi
        pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(4, -1).T
        there = found[:, 4 * block : 4 * block + 4]
        np.testing.assert_allclose(there, pairs[:, : there.shape[1]], rtol=0, atol=4e-6)
