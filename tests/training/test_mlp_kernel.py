"""The C++ kernel against autograd on the same network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch.func import functional_call, grad, vmap

from svl import native
from svl.losses import Correlation, Logistic
from svl.losses.names import LOSSES, name_of
from svl.models import MLP
from svl.training.routes import mlp_kernel

pytestmark = pytest.mark.skipif(not native.is_available("parity"), reason="the kernel needs a C++ compiler")


def stacked(network, replicas, scale=1.0):
    return {
        name: scale * torch.randn(replicas, *p.shape) / p.shape[-1] ** 0.5 for name, p in network.named_parameters()
    }


def autograd(network, loss, params, x, y, weights):
    def mean(params, x, y, weights):
        outputs = functional_call(network, params, (x,))
        return (loss.each(outputs, y) * weights).sum(), outputs[:, 0]

    return vmap(grad(mean, has_aux=True))(params, x, y, weights)


def compare(network, loss, params, x, y, weights, has_signs=False):
    # Beside each other in one matrix, as a stack keeps them.
    matrix = torch.cat([p.flatten(1) for p in params.values()], dim=1)
    sizes = [p[0].numel() for p in params.values()]
    views = {
        n: part.unflatten(1, p.shape[1:]) for (n, p), part in zip(params.items(), matrix.split(sizes, 1), strict=True)
    }
    row, outputs = mlp_kernel.gradients(network, loss, views, x, y, weights, has_signs)
    gradients = {n: g.view_as(params[n]) for n, g in zip(params, row.split(sizes, 1), strict=True)}
    apart = mlp_kernel.gradients(network, loss, params, x, y, weights, has_signs)
    for found, again in zip((row, outputs), apart, strict=True):
        assert torch.equal(found, again)
    assert torch.equal(mlp_kernel.outputs(network, views, x, has_signs), outputs)
    replicas, batch = y.shape
    uniform = torch.full((replicas, batch), 1 / batch) if weights is None else weights
    expected, expected_outputs = autograd(network, loss, params, x, y, uniform)
    torch.testing.assert_close(outputs, expected_outputs, rtol=2e-5, atol=2e-5)
    size = max(float(g.abs().max()) for g in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=2e-5 * max(size, 1e-3), msg=name)


@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4).map(tuple),
    st.sampled_from(sorted(mlp_kernel.ACTIVATIONS)),
    st.sampled_from(sorted(map(name_of, mlp_kernel.LOSSES))),
    st.integers(1, 70),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_gradients_and_outputs_equal_autograd(dims, activation, loss, batch, bias, weighted, signs, seed):
    torch.manual_seed(seed)
    # An MLP's hidden layers are of one width; the kernel's need not be.
    network = MLP((dims[0],), 1, width=dims[-1], depth=len(dims), activation=activation, bias=bias)
    x, y = torch.randn(3, batch, dims[0]), torch.randint(0, 2, (3, batch)) * 2.0 - 1.0
    if loss == "hinge":  # its kink is where rounding decides
        y = y + 0.123
    x = x.sign() if signs else x
    compare(network, LOSSES[loss](), stacked(network, 3), x, y, torch.rand(3, batch) if weighted else None, signs)


@pytest.mark.parametrize("batch", [129, 4500])
def test_strips_and_segments_of_a_batch_add_up_on_any_number_of_threads(batch):
    network = MLP((9,), 1, width=20, depth=3)
    torch.manual_seed(0)
    params, x, y = stacked(network, 2), torch.randn(2, batch, 9), torch.randint(0, 2, (2, batch)) * 2.0 - 1.0
    compare(network, Logistic(), params, x, y, None)
    alone = mlp_kernel.gradients(network, Logistic(), params, x, y, None)
    torch.set_num_threads(3)
    together = mlp_kernel.gradients(network, Logistic(), params, x, y, None)
    torch.set_num_threads(1)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_large_pre_activations_neither_overflow_nor_lose_the_sign():
    network = MLP((20,), 1, width=64, activation="sigmoid")
    torch.manual_seed(0)
    x, y = torch.randn(2, 33, 20), torch.randint(0, 2, (2, 33)) * 2.0 - 1.0
    compare(network, Logistic(), stacked(network, 2, scale=60.0), x, y, None)


@pytest.mark.parametrize("activation", sorted(mlp_kernel.ACTIVATIONS))
@pytest.mark.parametrize("signs", [False, True])
def test_what_is_not_finite_stays_visible_and_in_its_replica(activation, signs):
    network = MLP((5,), 1, width=17, activation=activation)
    torch.manual_seed(0)
    params = stacked(network, 3)
    x, y = torch.randn(3, 39, 5), torch.ones(3, 39)
    x = x.sign() if signs else x
    expected, _ = mlp_kernel.gradients(network, Logistic(), params, x, y, None, signs)
    params["layers.0.weight"][1] = float("nan")
    row, outputs = mlp_kernel.gradients(network, Logistic(), params, x, y, None, signs)
    assert outputs[1].isnan().all()
    assert torch.equal(row[[0, 2]], expected[[0, 2]])


def test_gelu_and_its_slope_are_within_rounding_of_their_definition():
    network = MLP((1,), 1, width=1, activation="gelu", bias=False)
    x = torch.linspace(-12, 12, 4001)
    ones = {name: torch.ones(len(x), 1, 1) for name in ("layers.0.weight", "layers.1.weight")}
    row, outputs = mlp_kernel.gradients(network, Correlation(), ones, x[:, None, None], torch.ones(len(x), 1), None)
    z = x.double().numpy()
    size = np.maximum(abs(z), 1)
    np.testing.assert_allclose(outputs[:, 0].numpy() / size, z * norm.cdf(z) / size, rtol=0, atol=3e-7)
    slope = norm.cdf(z) + z * norm.pdf(z)
    np.testing.assert_allclose(row[:, 0].numpy() / size, -z * slope / size, rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (MLP((4,), 2), "logistic"),
        (torch.nn.Linear(4, 1), "logistic"),
        (MLP((4,), 1), "cross_entropy"),
        (MLP((4,), 1).double(), "logistic"),
    ],
)
def test_what_the_kernel_does_not_compute_it_refuses(network, loss):
    assert not mlp_kernel.supports(network, LOSSES[loss]())


def test_it_supports_the_papers_network():
    assert mlp_kernel.supports(MLP((20,), 1, width=64), Logistic())
