"""Blocks are how a stack runs, never what it computes."""

import itertools
import sysconfig

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svl.data import FullBatch, Online, Subset
from svl.models import Transformer
from svl.optim import AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import network as networks
from svl.training.blocks import partition, view
from svl.training.compilation import can_compile
from svl.training.contents import Contents
from svl.training.routes.native_steps import NativeSteps

STEPS = 10
LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=6)


@given(LENGTHS, st.integers(1, 300))
def test_blocks_cover_every_replica_once_and_never_cross_a_run(lengths, target):
    blocks = partition(lengths, target)
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(sum(lengths)))
    ends = set(itertools.accumulate(lengths))
    assert ends <= {block.stop for block in blocks}
    assert all(1 <= block.stop - block.start <= target for block in blocks)


@given(st.integers(1, 400), st.integers(1, 300))
def test_blocks_of_a_run_are_of_one_size_where_it_has_a_fitting_divisor(length, target):
    sizes = [block.stop - block.start for block in partition([length], target)]
    if any(length % size == 0 for size in range(-(-target // 2), target + 1)) or length <= target:
        assert len(set(sizes)) == 1
    # Otherwise only the last is smaller, and no more blocks are made than are needed.
    assert len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
    assert len(sizes) <= max(-(-length // target), length // max(target // 2, 1))


def test_a_view_shares_memory_with_the_stack():
    tree = {"a": torch.arange(6.0), "b": {"c": torch.zeros(6, 2)}}
    part = view(tree, slice(2, 4))
    part["a"].add_(10)
    part["b"]["c"].fill_(1)
    assert tree["a"].tolist() == [0, 1, 12, 13, 4, 5]
    assert tree["b"]["c"].sum(1).tolist() == [0, 0, 2, 2, 0, 0]


@pytest.mark.parametrize("strategy", ["subset", "full batch"])
def test_the_block_size_does_not_matter_beyond_rounding(lab, strategy):
    task = Parity(8, 3)

    def trained(block_size):
        if strategy == "subset":
            data, sizes = Subset(task, batch_size=32, test_size=100), [40, 100, "online"]
        else:
            data, sizes = FullBatch(task, 1, micro_batch_size=40, test_size=100), [40, 100, "population"]
        replicas = Replicas(2, vary={"data.size": sizes})
        stack = lab.stack(data, STEPS, rule=AdamW(1e-2), replicas=replicas, block_size=block_size)
        stack.train_steps(0, STEPS)
        return stack.parameters_by_name(), {**stack.train_metrics(), **stack.evaluate()}, stack.record["samples"]

    parameters, metrics, samples = trained(None)
    for block_size in (1, 3):
        other_parameters, other_metrics, other_samples = trained(block_size)
        torch.testing.assert_close(other_parameters, parameters, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(other_metrics, metrics, rtol=1e-4, atol=1e-5)
        assert torch.equal(other_samples, samples)


def test_the_order_of_arms_does_not_matter(lab):
    def trained(sizes, rates):
        replicas = Replicas(2, vary={"data.size": sizes, "model.optimizer.lr": rates})
        stack = lab.stack(Subset(Parity(8, 3), batch_size=32), STEPS, rule=AdamW(), replicas=replicas)
        stack.train_steps(0, STEPS)
        rows = zip(
            replicas.column("data.size", None), replicas.column("model.optimizer.lr", None), replicas.seed, strict=True
        )
        return {row: {n: p[i] for n, p in stack.parameters_by_name().items()} for i, row in enumerate(rows)}

    first, second = trained([40, 100, "online"], [1e-3, 1e-2]), trained(["online", 40, 100], [1e-2, 1e-3])
    assert list(first) != list(second) and len(first) == 12
    torch.testing.assert_close({row: second[row] for row in first}, first, rtol=1e-4, atol=1e-5)


def wide_transformer(input_shape, output_dim, kind=Transformer):
    return kind(input_shape, output_dim, width=256, heads=8)


def own_transformer(input_shape, output_dim):
    return wide_transformer(input_shape, output_dim, type("Own", (Transformer,), {}))


@pytest.mark.parametrize(
    ("network", "batch", "replicas", "threads", "sizes", "cores_for_each"),
    [
        (64, 128, 256, 2, {64}, 1),  # what a core's cache holds
        (64, 128, 64, 2, {32}, 1),  # half of them for each of two cores
        (64, 128, 8, 2, {8}, 1),  # a call takes as long as eight replicas
        (1024, 128, 64, 2, {4}, 1),
        (own_transformer, 32, 4, 2, {1}, 1),
        (own_transformer, 32, 1, 2, {1}, 2),  # work enough for both
        (wide_transformer, 32, 4, 2, {2}, 1),  # by the C++ kernel, which holds one replica's activations
        (wide_transformer, 32, 1, 2, {1}, 2),
    ],
)
def test_blocks_fit_a_core_and_occupy_all(lab, network, batch, replicas, threads, sizes, cores_for_each, monkeypatch):
    monkeypatch.setattr(NativeSteps, "obstacle", classmethod(lambda *given: "has blocks of its own"))
    network = network if callable(network) else lab.network(network)
    data = Online(Parity(20, 6), batch_size=batch, test_size=8)
    stack = lab.stack(data, network=network, replicas=Replicas(replicas), compile="always", threads=threads)
    assert {block.rows.stop - block.rows.start for block in stack.engine.blocks} == sizes
    assert stack.engine.runner._intra_op == cores_for_each


@pytest.mark.parametrize(("replicas", "threads", "size"), [(8, 2, 8), (64, 2, 32), (256, 2, 64), (4096, 2, 512)])
def test_blocks_of_the_loop_occupy_all_cores_and_grow_with_the_stack(lab, replicas, threads, size):
    data = Online(Parity(20, 6), batch_size=8, test_size=8)
    data.schedule(1000, 1000)
    vary = {"model.optimizer.lr": [0.1 / (1 + number) for number in range(max(replicas // 64, 1))]}
    stack = lab.stack(data, 1000, replicas=Replicas(min(replicas, 64), vary=vary), compile="always", threads=threads)
    assert stack.engine.plan.step_route is NativeSteps
    assert {block.replicas for block in stack.engine.plan.blocks} == {size}


def test_activations_are_what_the_layers_give(lab):
    # 64 + 1 of the layers, and the network's own output.
    assert networks.activations(lab.network(64)((20,), 1), Parity(20, 6), Contents()) == 66


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
def test_compiling_takes_a_compiler_and_the_headers_of_python(monkeypatch, tmp_path):
    from torch._inductor import cpp_builder

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "ls")
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    assert can_compile()
    (tmp_path / "Python.h").unlink()
    assert not can_compile()
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "/nonexistent/c++")
    assert not can_compile()
