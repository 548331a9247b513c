"""Gradients of the C++ kernel, of every width of vectors, against autograd."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.func import functional_call, grad, vmap

from svl.losses import Logistic
from svl.losses.names import LOSSES, name_of
from svl.models import MLP
from svl.training.routes import mlp_kernel

pytestmark = pytest.mark.usefixtures("build")
bounded = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stacked(network, replicas):
    return {name: torch.randn(replicas, *p.shape) / p.shape[-1] ** 0.5 for name, p in network.named_parameters()}


def autograd(network, loss, params, x, y, weights):
    def mean(params, x, y, weights):
        outputs = functional_call(network, params, (x,))
        return (loss.each(outputs, y) * weights).sum(), outputs[:, 0]

    gradients, outputs = vmap(grad(mean, has_aux=True))(params, x, y, weights)
    return torch.cat([g.flatten(1) for g in gradients.values()], 1), outputs


def targets(loss, *shape):
    y = torch.randint(0, 2, shape) * 2.0 - 1.0
    return y + 0.123 if loss == "hinge" else y  # away from the kink, where rounding decides


@bounded
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4).map(tuple),
    st.sampled_from(sorted(mlp_kernel.ACTIVATIONS)),
    st.sampled_from(sorted(map(name_of, mlp_kernel.LOSSES))),
    st.integers(1, 150),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_gradients_and_outputs_equal_autograd(dims, activation, loss, batch, bias, weighted, signs, seed):
    torch.manual_seed(seed)
    network = MLP((dims[0],), 1, width=dims[-1], depth=len(dims), activation=activation, bias=bias)
    params, x, y = stacked(network, 3), torch.randn(3, batch, dims[0]), targets(loss, 3, batch)
    x = x.sign() if signs else x
    weights = torch.rand(3, batch) if weighted else None
    row, outputs = mlp_kernel.gradients(network, LOSSES[loss](), params, x, y, weights, signs)
    uniform = torch.full((3, batch), 1 / batch) if weights is None else weights
    expected, expected_outputs = autograd(network, LOSSES[loss](), params, x, y, uniform)
    torch.testing.assert_close(outputs, expected_outputs, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(row, expected, rtol=1e-4, atol=2e-5 * max(float(expected.abs().max()), 1e-3))


@bounded
@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 40),
    st.integers(2, 3),
    st.sampled_from(sorted(mlp_kernel.ACTIVATIONS)),
    st.integers(0, 2**31),
)
def test_the_population_gradient_equals_autograd(low_dim, high_dim, width, depth, activation, seed):
    torch.manual_seed(seed)
    network = MLP((low_dim + high_dim,), 1, width=width, depth=depth, activation=activation)
    low, high = ((torch.arange(2**dim)[:, None] >> torch.arange(dim) & 1) * 2.0 - 1.0 for dim in (low_dim, high_dim))
    x = torch.cat([low.repeat(len(high), 1), high.repeat_interleave(len(low), 0)], 1).repeat(2, 1, 1)
    params, y = stacked(network, 2), targets("logistic", *x.shape[:2])
    row, outputs = mlp_kernel.population_gradients(network, Logistic(), params, high, low, y)
    expected, expected_outputs = autograd(network, Logistic(), params, x, y, torch.full(y.shape, 1 / y.shape[1]))
    torch.testing.assert_close(outputs, expected_outputs, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(row, expected, rtol=1e-4, atol=2e-5 * max(float(expected.abs().max()), 1e-3))
