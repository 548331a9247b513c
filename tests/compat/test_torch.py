"""What svl expects of PyTorch: nested containers, base classes of layers, and its compiler."""

import operator
import shutil

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from svl.compat.torch import (
    CONVOLUTION,
    DispatchMode,
    InductorError,
    OpOverload,
    compile_graph,
    cpp_compiler,
    has_hooks,
    pytree,
    schema,
    trace,
    unfused_recurrence,
    untraced,
    version,
)


def test_nested_containers_are_taken_apart_and_put_together():
    nest = {"b": [torch.zeros(1), (torch.ones(2), None)], "a": torch.zeros(3)}
    leaves, structure = pytree.tree_flatten(nest)
    assert [leaf.numel() for leaf in pytree.tree_leaves(nest) if leaf is not None] == [1, 2, 3]
    again = pytree.tree_unflatten(leaves, structure)
    assert list(again) == ["b", "a"] and again["b"][1][0] is nest["b"][1][0]
    doubled = pytree.tree_map(lambda leaf: leaf if leaf is None else 2 * leaf, nest)
    assert torch.equal(doubled["b"][1][0], torch.full((2,), 2.0))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_base_classes_of_layers(dims):
    for name in (f"Conv{dims}d", f"ConvTranspose{dims}d"):
        assert issubclass(getattr(nn, name), CONVOLUTION)


def test_other_layers_have_other_base_classes():
    for kind in (nn.Linear, nn.LayerNorm, nn.GroupNorm):
        assert not issubclass(kind, CONVOLUTION)


def test_operations_on_mapped_tensors_have_the_mapped_axis_first_below_a_context():
    class Shapes(DispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if torch.Tag.nondeterministic_seeded in func.tags:
                seen.append((func.overloadpacket, tuple(args[0].shape)))
            return func(*args, **(kwargs or {}))

    seen = []
    x = torch.ones(5, 3, 4)
    with Shapes(), torch.random.fork_rng(devices=[]):
        torch.vmap(lambda x: nn.functional.dropout(x, 0.5), in_dims=1, randomness="different")(x)
    assert seen == [(torch.ops.aten.bernoulli, (3, 5, 4))]


def test_a_tensor_s_version_grows_where_it_is_written_to():
    x = torch.zeros(2)
    before = version(x)
    _ = x + 1
    assert version(x) == before
    x[0] = 1
    assert version(x) > before


def test_recurrent_layers_can_be_mapped_where_they_are_not_fused():
    layer, x = nn.LSTM(2, 3), torch.randn(4, 5, 2)
    weights = {name: torch.stack([value, 2 * value]).detach() for name, value in layer.named_parameters()}

    def forward(weights):
        return torch.func.vjp(lambda weights: torch.func.functional_call(layer, weights, (x,))[0], weights)[0]

    with torch.no_grad(), unfused_recurrence():
        mapped = torch.vmap(forward)(weights)
    torch.testing.assert_close(mapped[0], layer(x)[0].detach())
    with torch.no_grad():
        for value in layer.parameters():
            value.mul_(2)
    torch.testing.assert_close(mapped[1], layer(x)[0].detach())


def test_hooks_are_found():
    layer = nn.Linear(1, 1)
    assert not has_hooks(layer)
    handles = [layer.register_forward_hook(lambda *_: None), layer.register_forward_pre_hook(lambda *_: None)]
    assert has_hooks(layer)
    handles[0].remove()
    assert has_hooks(layer)
    handles[1].remove()
    assert not has_hooks(layer)


def test_a_trace_computes_nothing_and_keeps_tensors_from_outside():
    total, mask = torch.zeros(2), torch.tensor([1.0, 2.0])

    def function(x):
        total.add_(0)
        return x.add_(mask)

    x = torch.zeros(2)
    graph = trace(function)(x)
    assert torch.equal(x, torch.zeros(2))
    assert torch.equal(graph(torch.ones(2)), torch.tensor([2.0, 3.0]))


def test_tensors_are_real_where_tracing_is_off():
    with FakeTensorMode():
        assert isinstance(torch.zeros(2), FakeTensor)
        with untraced():
            assert not isinstance(torch.zeros(2), FakeTensor)


def test_the_schema_of_an_operator_says_what_it_writes_to():
    writing, reading = schema(torch.ops.aten.add_.Tensor), schema(torch.ops.aten.add.Tensor)
    assert writing.is_mutable and not reading.is_mutable
    assert writing.arguments[0].alias_info.is_write
    assert reading.arguments[0].alias_info is None
    assert schema(operator.getitem) is None
    assert isinstance(torch.ops.aten.add.Tensor, OpOverload)


# The pickler behind the cache looks for names in every module that is loaded.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_graph_is_compiled_for_the_shapes_of_its_inputs():
    def function(x, y):
        return (x @ y + 1, y.sin())

    inputs = [torch.randn(3, 4), torch.randn(4, 5)]
    compiled = compile_graph(make_fx(function)(*inputs), inputs, {})
    for mine, expected in zip(compiled(*inputs), function(*inputs), strict=True):
        torch.testing.assert_close(mine, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_compiled_is_an_error_of_its_own(monkeypatch):
    from torch._inductor import graph as inductor

    def broken(*given, **named):
        raise RuntimeError("broken")

    monkeypatch.setattr(inductor.GraphLowering, "run", broken)
    inputs = [torch.randn(7)]
    with pytest.raises(InductorError, match="broken"):
        compile_graph(make_fx(lambda x: (x.cos(),))(*inputs), inputs, {"force_disable_caches": True})


def test_the_compiler_is_a_command_that_exists():
    assert shutil.which(cpp_compiler())
