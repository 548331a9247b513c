"""The C++ kernel for Transformers, of every width of vectors, against autograd in double precision."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from svl.models import Transformer
from svl.native.train import LOSSES
from svl.native.transformer import CLASSES, DERIVATIVE, QK_NORMS, READOUTS, Shape, gradients, outputs

pytestmark = pytest.mark.usefixtures("build")
# Derandomized: a norm of numbers that are nearly equal, as some draw would have, multiplies anyone's rounding.
bounded = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLAIN_LOSSES = {
    LOSSES["logistic"]: lambda f, y: F.softplus(-y * f[..., 0]),
    LOSSES["hinge"]: lambda f, y: F.relu(1 - y * f[..., 0]),
    LOSSES["squared"]: lambda f, y: (f[..., 0] - y) ** 2,
    LOSSES["correlation"]: lambda f, y: -y * f[..., 0],
    CLASSES: lambda f, y: F.cross_entropy(f.flatten(0, -2), y.long().flatten(), reduction="none").view(y.shape),
    DERIVATIVE: lambda f, y: (f * y).sum(-1),
}


def stacked(network, replicas):
    """Parameters of all replicas, side by side in a matrix as a stack keeps them; those of norms near 1."""
    shapes = {name: p.shape for name, p in network.named_parameters()}
    matrix = torch.randn(replicas, sum(shape.numel() for shape in shapes.values()))
    parts = matrix.split([shape.numel() for shape in shapes.values()], 1)
    params = {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    for name, p in params.items():
        p /= p.shape[-1] ** 0.5
        if "norm.weight" in name:
            p += 1
    return params


def inputs_of(network, vocabulary, *shape):
    if vocabulary:
        return torch.randint(0, vocabulary, shape)
    return torch.randn(*shape) if network.is_vector else torch.randn(*shape, network.embed.in_features)


def autograd(network, loss, params, x, y, weights):
    """Gradients, parameter after parameter, and outputs."""

    def total(params, x, y, weights):
        f = functional_call(network, params, (x,))
        return (PLAIN_LOSSES[loss](f, y) * weights).sum(), f

    double = {name: p.double() for name, p in params.items()}
    x = x.double() if x.is_floating_point() else x
    with sdpa_kernel([SDPBackend.MATH]):
        found, f = vmap(grad(total, has_aux=True))(double, x, y.double(), weights.double())
    return torch.cat([g.flatten(1) for g in found.values()], 1), f


@bounded
@given(
    st.sampled_from([(1, 6), (1, 9), (2, 5), (2, 16), (4, 8), (3, 11)]),
    st.integers(1, 3),
    st.sampled_from([0.3, 1.0, 2.5, 4.0]),
    st.integers(1, 23),
    st.sampled_from([(0, 0), (0, 0), (1, 0), (3, 0), (0, 7)]),
    st.integers(1, 45),
    st.booleans(),
    st.sampled_from(["none", "layer", "rms"]),
    st.sampled_from(sorted(READOUTS)),
    st.sampled_from(sorted(PLAIN_LOSSES)),
    st.integers(2, 9),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_gradients_and_outputs_equal_autograd(
    heads, depth, ratio, positions, token, batch, causal, norm, readout, loss, classes, weighted, signs, seed
):
    torch.manual_seed(seed)
    (heads, dim), (token, vocabulary) = heads, token
    count = classes if loss >= CLASSES else 1
    network = Transformer(
        (positions, token) if token else (positions,),
        count,
        vocabulary or None,
        heads * dim,
        depth,
        heads,
        ratio,
        causal,
        norm,
        readout,
    )
    params, x, shape = stacked(network, 2), inputs_of(network, vocabulary, 2, batch, positions), Shape.of(network)
    if network.is_vector and signs:
        x, shape = x.sign(), replace(shape, has_signs=1)
    read = (2, batch, positions) if readout == "all" else (2, batch)
    y = torch.randint(0, 2, read) * 2.0 - 1.0
    if loss == CLASSES:
        y = torch.randint(0, classes, read).float()
    if loss == LOSSES["hinge"]:  # its kink is where rounding decides
        y = y + 0.123
    weights = torch.rand(read) if weighted or readout == "all" else None
    if loss == DERIVATIVE:
        y, weights = torch.randn(*read, count), None
    uniform = torch.full(read, 1.0 if loss == DERIVATIVE else 1 / batch) if weights is None else weights
    row, found = gradients(shape, loss, list(params.values()), x, y, weights)
    expected, f = autograd(network, loss, params, x, y, uniform)
    assert found.shape == f.shape and torch.equal(outputs(shape, list(params.values()), x), found)
    torch.testing.assert_close(found.double(), f, rtol=1e-5, atol=1e-5 * max(float(f.abs().max()), 1))
    torch.testing.assert_close(row.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(("batch", "positions", "readout"), [(70, 20, "mean"), (33, 5, "last"), (300, 3, "all")])
def test_neither_threads_nor_neighbours_change_a_number(batch, positions, readout):
    torch.manual_seed(0)
    network = Transformer((positions,), 3, width=12, heads=2, readout=readout)
    params, x = stacked(network, 3), torch.randn(3, batch, positions).sign()
    shape = replace(Shape.of(network), has_signs=int(readout != "all"))
    y = torch.randn(shape.read(3, batch))

    def of(rows, threads):
        torch.set_num_threads(threads)
        found = gradients(shape, DERIVATIVE, [p[rows] for p in params.values()], x[rows], y[rows], None)
        torch.set_num_threads(1)
        return found

    alone = of(slice(None), 1)
    for threads in (2, 3, 4):
        assert all(map(torch.equal, of(slice(None), threads), alone))
    for rows in (slice(0, 1), slice(1, 3)):
        for threads in (1, 2):
            assert all(map(torch.equal, of(rows, threads), (tensor[rows] for tensor in alone)))


@pytest.mark.parametrize("readout", sorted(READOUTS))
def test_what_is_not_finite_stays_visible_and_in_its_replica(readout):
    torch.manual_seed(0)
    network = Transformer((5,), 1, width=7, heads=1, readout=readout, qk_norm="layer")
    shape, params, x = Shape.of(network), stacked(network, 3), torch.randn(3, 39, 5)
    y = torch.ones(shape.read(3, 39)[:-1])
    kind = LOSSES["squared"]
    expected, _ = gradients(shape, kind, list(params.values()), x, y, None)
    params["blocks.0.up.weight"][1] = float("nan")
    row, f = gradients(shape, kind, list(params.values()), x, y, None)
    assert f[1].isnan().all() and torch.equal(row[[0, 2]], expected[[0, 2]])
    again, _ = gradients(shape, kind, [p[2:] for p in params.values()], x[2:], y[2:], None)
    assert torch.equal(again, expected[2:])


def test_a_token_that_does_not_exist_is_not_read():
    network = Transformer((4,), 2, 5, width=8, heads=2, readout="all")
    shape, params, x = Shape.of(network), stacked(network, 1), torch.randint(0, 5, (1, 9, 4))
    x[0, 2, 1], x[0, 5, 3] = -1, 5
    f = outputs(shape, list(params.values()), x)
    assert f.isnan().flatten(2).all(2)[0].tolist() == [sequence in (2, 5) for sequence in range(9)]


def test_only_the_network_of_the_constructor_has_a_shape():
    def changed(change, **settings):
        network = Transformer((6,), 1, width=8, heads=2, **settings)
        change(network)
        return Shape.of(network)

    assert changed(lambda network: None) == Shape(6, 1, 0, 8, 2, 2, 32, 0, 0, 0, 1)
    assert (
        changed(lambda network: None, vocabulary=3, qk_norm="rms", causal=True).qk_norm == QK_NORMS[torch.nn.RMSNorm][0]
    )
    assert changed(lambda network: network.double()) is None
    assert changed(lambda network: setattr(network.blocks[1], "up", torch.nn.Linear(8, 30))) is None
    assert changed(lambda network: setattr(network.blocks[1].attention, "heads", 4)) is None
    assert changed(lambda network: setattr(network.norm, "eps", 1e-3)) is None
    assert changed(lambda network: setattr(network, "norm", torch.nn.Identity())) is None
    assert (
        changed(lambda network: setattr(network.blocks[0].attention.k, "weight", network.blocks[0].attention.q.weight))
        is None
    )
    assert changed(lambda network: network.head.register_forward_hook(print)) is None
    assert changed(lambda network: torch.nn.utils.parametrizations.weight_norm(network.head)) is None
    assert changed(lambda network: network.register_buffer("mask", torch.ones(1))) is None
    assert Shape.of(type("Own", (Transformer,), {})((6,), 1, width=8, heads=2)) is None
