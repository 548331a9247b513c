"""What a step computes is split into what never changes and the rest, without changing what it computes."""

import inspect

import pytest
import torch
from torch._inductor.exc import InductorError
from torch.fx.experimental.proxy_tensor import make_fx

from svl.data import Online
from svl.tasks import Parity
from svl.training import compilation
from svl.training.blocks import Block
from svl.training.compilation import BlockFunction, hoist


def split(function, inputs, is_constant):
    constants, rest = hoist(make_fx(function, tracing_mode="fake")(*inputs), is_constant)
    fixed = constants(*(x for x, c in zip(inputs, is_constant, strict=True) if c))
    return fixed, lambda *changing: rest(*changing, *fixed)


def test_what_depends_on_constants_alone_is_computed_once():
    def step(x, key):
        return (x + (key * 3).sin().cumsum(0),)

    x, key = torch.randn(4), torch.randn(4)
    fixed, rest = split(step, (x, key), [False, True])
    assert len(fixed) == 1
    torch.testing.assert_close(rest(x)[0], step(x, key)[0])


def test_a_tensor_that_the_step_makes_and_writes_to_is_made_anew_at_every_step():
    def step(x, key):
        total = torch.zeros(4)
        total.add_(x)
        part = torch.ones(4) * key
        part[1:3].copy_(x[1:3])
        return total + part, total

    key = torch.tensor([1.0, 2.0, 3.0, 4.0])
    _, rest = split(step, (torch.zeros(4), key), [False, True])
    for x in torch.randn(3, 4):
        for result, expected in zip(rest(x), step(x, key), strict=True):
            torch.testing.assert_close(result, expected)


def test_what_is_drawn_is_drawn_at_every_step():
    fixed, rest = split(lambda x: (x + torch.rand(8),), (torch.zeros(8),), [False])
    assert not fixed
    assert not torch.equal(rest(torch.zeros(8))[0], rest(torch.zeros(8))[0])


def test_what_hangs_on_the_last_argument_is_computed_once_for_each(monkeypatch):
    graphs = []
    monkeypatch.setattr(compilation, "_compile", lambda graph, inputs, threads: graphs.append(graph) or graph)
    function = BlockFunction(lambda tensors, x, part: (x + (tensors["key"] * part).sin(),), True, holds_last=True)
    key, parts = torch.tensor([1.0, 2.0]), list(torch.tensor([0.5, 3.0]))
    block = Block(slice(0, 2), {"key": key}, ())
    for x in torch.tensor([1.0, 5.0]):
        for part in parts:
            torch.testing.assert_close(function(block, x, part)[0], x + (key * part).sin())
    assert [[node.target for node in one.graph.nodes if node.op == "call_function"] for one in graphs] == [
        [torch.ops.aten.add.Tensor]
    ]


def refuse(monkeypatch, below):
    """A backend that can only compile fusions smaller than ``below``."""
    real, tried = torch._inductor.compile, []

    def compile(graph, inputs, options):
        tried.append(options.get("max_fusion_size"))
        if tried[-1] is None or tried[-1] >= below:
            raise InductorError(KeyError("buf15"), inspect.currentframe())
        return real(graph, inputs, options=options)

    monkeypatch.setattr(torch._inductor, "compile", compile)
    return tried


@pytest.mark.slow
def test_what_the_backend_cannot_fuse_is_compiled_with_smaller_fusions(monkeypatch):
    tried = refuse(monkeypatch, below=2)
    graph = make_fx(lambda x: (x.sin() + 1,), tracing_mode="fake")(torch.zeros(3))
    compiled = compilation._compile(graph, [torch.zeros(3)], 1)
    assert tried == [None, 4, 1]
    torch.testing.assert_close(compiled(torch.ones(3))[0], torch.ones(3).sin() + 1)


def test_what_the_backend_cannot_compile_runs_eager_and_says_so(monkeypatch):
    refuse(monkeypatch, below=0)
    graph = make_fx(lambda x: (x.sin() + 1,), tracing_mode="fake")(torch.zeros(3))
    with pytest.warns(UserWarning, match=r"could not compile the training step.*buf15"):
        compiled = compilation._compile(graph, [torch.zeros(3)], 1)
    torch.testing.assert_close(compiled(torch.ones(3))[0], torch.ones(3).sin() + 1)


def test_a_fit_that_could_not_be_compiled_does_not_say_that_it_was(lab, monkeypatch):
    refuse(monkeypatch, below=0)
    stack = lab.stack(Online(Parity(6, 3), batch_size=8, test_size=8), 4, compile="always", route="autograd")
    with pytest.warns(UserWarning, match="could not compile the training step"):
        stack.train_steps(0, 4)
    assert stack.engine.plan.is_compiled and not stack.computed_by()["is_compiled"]
