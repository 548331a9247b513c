"""Losses per example against PyTorch's own and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

from svl.training.losses import LOSSES

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
    assert set(LOSSES) == set(CLOSED)
    y = labels(outputs)
    for name, loss in LOSSES.items():
        found = loss(torch.from_numpy(outputs)[:, None], torch.from_numpy(y))
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


@pytest.mark.parametrize("name", LOSSES)
def test_large_outputs_overflow_nothing(name):
    value = LOSSES[name](torch.tensor([[1e4], [-1e4]]), torch.tensor([1.0, 1.0]))
    assert value.isfinite().all()
