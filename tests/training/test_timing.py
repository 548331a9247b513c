"""Timing a fit before it is trained changes nothing of it."""

import pytest
import torch

from svl.compat.torch import pytree
from svl.data import FullBatch
from svl.interventions import Labels
from svl.tasks import SingleIndex
from svl.training.timing import Timing


def phases(**settings):
    labels = {"labels": Labels("teacher", phases=[1])}
    return FullBatch(SingleIndex(6), size=[16, 64], durations=[5], interventions=labels, test_size=100, **settings)


@pytest.mark.parametrize(("route", "micro_batch_size"), [("kernel", 16), ("autograd", None)])
def test_a_fit_that_was_timed_is_that_of_eager_steps(lab, route, micro_batch_size):
    settings = {"loss": "squared", "steps": 12}
    data = {"micro_batch_size": micro_batch_size}
    eager = lab.stack(phases(**data), **settings)
    timed = lab.stack(phases(**data), compile="always", route=route, **settings)
    assert Timing(timed.engine, 12).seconds(least=1e-3) > 0
    for stack in (eager, timed):
        stack.train_steps(0, 12)
    for name, parameter in eager.parameters_by_name().items():
        torch.testing.assert_close(timed.parameters_by_name()[name], parameter, rtol=1e-4, atol=1e-5)


def test_a_copy_of_a_block_has_its_layout_and_leaves_it_as_it_is(lab):
    stack = lab.stack(phases(), loss="squared", steps=12)
    (block,) = stack.engine.blocks
    # Some settings are the same for all replicas, and lie in memory once.
    assert any(0 in tensor.stride() for tensor in block.flat)
    copy = block.copy()
    assert copy.layout == block.layout
    before = [tensor.clone() for tensor in block.flat]
    stack.engine.route.advance(copy, stack._clock(0, 3))
    assert all(map(torch.equal, before, block.flat))
    moved = pytree.tree_leaves(copy.tensors["params"]), pytree.tree_leaves(block.tensors["params"])
    assert not any(map(torch.equal, *moved))


def test_code_is_compiled_for_a_layout(lab):
    stack = lab.stack(phases(), loss="squared", compile="always", route="kernel", steps=12)
    (block,) = stack.engine.blocks
    spread = type(block)(block.rows, pytree.tree_map(torch.clone, block.tensors), block.ranges)
    assert [tensor.shape for tensor in spread.flat] == [tensor.shape for tensor in block.flat]
    assert spread.layout != block.layout
    for each in (spread, block):
        stack.engine.route.advance(each, stack._clock(0, 7))
    eager = lab.stack(phases(), loss="squared", steps=12)
    eager.train_steps(0, 7)
    for each in (spread, block):
        params = (
            pytree.tree_leaves(each.tensors["params"]),
            pytree.tree_leaves(eager.engine.blocks[0].tensors["params"]),
        )
        torch.testing.assert_close(*params, rtol=1e-4, atol=1e-5)
