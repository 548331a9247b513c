"""Losses per example against PyTorch's own and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

from svl.losses import names

LOSSES = {name: kind().each for name, kind in names.LOSSES.items()}

OUTPUTS = hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-60, 60))
CLOSED = {
    "logistic": lambda f, y: np.logaddexp(0, -y * f),
    "hinge": lambda f, y: np.maximum(0, 1 - y * f),
    "squared": lambda f, y: (f - y) ** 2,
    "correlation": lambda f, y: -y * f,
}
OWN = {
    "logistic": lambda f, y: F.binary_cross_entropy_with_logits(f, (1 + y) / 2, reduction="none"),
    "hinge": lambda f, y: F.margin_ranking_loss(f, torch.zeros_like(f), y, margin=1.0, reduction="none"),
    "squared": lambda f, y: F.mse_loss(f, y, reduction="none"),
}


def labels(outputs):
    return np.where(np.arange(outputs.size) % 3 == 1, -1.0, 1.0)


@given(OUTPUTS)
def test_values_are_the_closed_forms(outputs):
    assert set(LOSSES) == {*CLOSED, "cross_entropy"}
    y = labels(outputs)
    for name in CLOSED:
        found = LOSSES[name](torch.from_numpy(outputs)[:, None], torch.from_numpy(y))
        np.testing.assert_allclose(found.numpy(), CLOSED[name](outputs, y), rtol=1e-12, atol=1e-8, err_msg=name)


@settings(max_examples=50, deadline=None)
@given(OUTPUTS)
def test_values_and_gradients_are_pytorch_s(outputs):
    y = torch.from_numpy(labels(outputs))
    for name, own in OWN.items():
        f, g = (torch.tensor(outputs, requires_grad=True) for _ in range(2))
        ours, theirs = LOSSES[name](f[:, None], y), own(g, y)
        ours.sum().backward(), theirs.sum().backward()
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-8)
        smooth = (1 - y * g.detach()).abs() > 1e-9  # at its kink hinge has no gradient
        torch.testing.assert_close(f.grad[smooth], g.grad[smooth], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", CLOSED)
def test_large_outputs_overflow_nothing(name):
    value = LOSSES[name](torch.tensor([[1e4], [-1e4]]), torch.tensor([1.0, 1.0]))
    assert value.isfinite().all()


POSITIONS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(2, 5)), elements=st.floats(-30, 30)
)


@given(POSITIONS, st.integers(0, 2**20))
def test_cross_entropy_is_pytorch_s_mean_over_the_positions_that_have_a_target(outputs, bits):
    batch, position, classes = outputs.shape
    place = np.arange(batch * position).reshape(batch, position)
    targets = torch.from_numpy(np.where((bits >> place % 20) & 1, -100, place * 7 % classes))
    f, g = (torch.tensor(outputs, requires_grad=True) for _ in range(2))
    ours = LOSSES["cross_entropy"](f, targets)
    each = F.cross_entropy(g.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100).view(targets.shape)
    counted = (targets >= 0).sum(1)
    torch.testing.assert_close(ours, each.sum(1) / counted.clamp(min=1))
    ours.sum().backward(), (each.sum(1) / counted.clamp(min=1)).sum().backward()
    torch.testing.assert_close(f.grad, g.grad)
    one = LOSSES["cross_entropy"](f[:, 0], targets[:, 0].clamp(min=0))
    torch.testing.assert_close(one, F.cross_entropy(f[:, 0], targets[:, 0].clamp(min=0), reduction="none"))


def test_squared_is_the_mean_over_the_positions_that_have_a_target():
    outputs = torch.tensor([[[1.0], [2.0], [3.0]]], requires_grad=True)
    loss = LOSSES["squared"](outputs, torch.tensor([[3.0, math.nan, 2.0]]))
    loss.sum().backward()
    assert loss.tolist() == [2.5]
    assert outputs.grad.flatten().tolist() == [-2.0, 0.0, 1.0]


def test_large_logits_overflow_nothing():
    loss = LOSSES["cross_entropy"](torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0]))
    assert loss.tolist() == [0, 2e4]
