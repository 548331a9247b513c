"""The C++ kernel for Transformers as a route, against autograd on the same stack."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from svl import native
from svl.data import Online, Subset
from svl.interventions import PCGrad
from svl.losses import CrossEntropy, Loss
from svl.models import Transformer
from svl.native import transformer
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Facts, InContextRegression, ModularAddition, Parity
from svl.training.groups import ParameterGroup
from svl.training.routes.autograd import Autograd
from svl.training.routes.transformer_kernel import TransformerKernel

pytestmark = pytest.mark.skipif(not native.is_available("transformer"), reason="the kernel needs a C++ compiler")
small = partial(Transformer, width=8, heads=2)


class Huber(Loss):
    """A loss of a user's own."""

    targets = frozenset({"sign", "number"})

    def each(self, outputs, targets):
        return F.huber_loss(outputs[..., 0], targets, reduction="none")


class Own(Transformer):
    """A user's own network that is made from svl's."""

    def forward(self, x):
        return super().forward(-x)


FITS = {
    "signs": (lambda: Online(Parity(10, 3), batch_size=21, test_size=16), small, "logistic"),
    "signs, mean": (
        lambda: Online(Parity(10, 3), batch_size=21, test_size=16),
        partial(small, readout="mean"),
        "hinge",
    ),
    "batches of unequal size": (
        lambda: Subset(Parity(10, 3), 100, batch_size=64, batch_ratio=0.3, test_size=16),
        partial(small, qk_norm="rms"),
        "squared",
    ),
    "classes": (
        lambda: Online(ModularAddition(11), batch_size=21, test_size=16),
        partial(small, causal=True),
        "cross_entropy",
    ),
    "classes at positions": (
        lambda: Online(Facts(9, 3, 3, 5, 2), batch_size=21, test_size=16),
        partial(small, causal=True, readout="all"),
        "cross_entropy",
    ),
    "weighted classes": (
        lambda: Online(ModularAddition(5), batch_size=21, test_size=16),
        partial(small, qk_norm="layer"),
        CrossEntropy([1.0, 2.0, 0.0, 1.0, 3.0]),
    ),
    "numbers at positions": (
        lambda: Online(InContextRegression(3, 5, objective="prefixes"), batch_size=21, test_size=16),
        partial(small, causal=True, readout="all"),
        "squared",
    ),
    "a loss of one's own": (
        lambda: Online(InContextRegression(3, 5), batch_size=21, test_size=16),
        partial(small, causal=True),
        Huber(),
    ),
}


@pytest.mark.parametrize("fit", FITS)
def test_gradients_measurements_and_outputs_equal_autograd(lab, fit):
    data, network, loss = FITS[fit]
    groups = {"head": ParameterGroup("head.*", lr=0.1)}  # and a matrix of its own
    stack = lab.stack(data(), network=network, loss=loss, groups=groups)
    block, steps = stack.engine.blocks[0], stack.engine.steps
    assert TransformerKernel.obstacle(stack.spec, torch.device("cpu")) is None
    kernel, autograd = TransformerKernel(stack.spec), Autograd(stack.spec)
    draw = steps.draw(block.tensors, torch.tensor(2), torch.tensor(0))
    found, expected = kernel.gradients(block.tensors, draw), autograd.gradients(block.tensors, draw)
    size = max(float(matrix.abs().max()) for matrix in expected.matrices.values())
    assert size > 0
    torch.testing.assert_close(found.matrices, expected.matrices, rtol=1e-4, atol=1e-5 * size)
    torch.testing.assert_close(found[1:3], expected[1:3], rtol=1e-5, atol=1e-6, equal_nan=True)
    inputs, _ = stack.data.test_batch(stack.settings, stack.key, torch.tensor(0), 16)
    outputs = [route.outputs(block.tensors, inputs, torch.tensor(0)) for route in (kernel, autograd)]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sequences", [1, 5, 8, 9])
@pytest.mark.parametrize("readout", ["mean", "all"])
def test_narrow_vectors_compute_what_wide_ones_do(monkeypatch, sequences, readout):
    torch.manual_seed(sequences)
    network = small((7, 3), 1, causal=True, readout=readout)
    shape = transformer.Shape.of(network)
    params = [p.detach().repeat(2, *(1 for _ in p.shape)) for p in network.parameters()]
    x, y = torch.randn(2, sequences, 7, 3), torch.randn(shape.read(2, sequences)[:-1])
    asked, found, library = [], [], native.library
    monkeypatch.setattr(native, "library", lambda name, defined=(): asked.append(defined) or library(name, defined))
    for narrow in (8, 0):
        monkeypatch.setattr(transformer, "_NARROW", narrow)
        found.append(
            transformer.gradients(
                shape, transformer.LOSSES["squared"], params, x, y, None if readout == "mean" else y**2
            )
        )
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    is_narrow = native.has_wide_vectors() and sequences <= 8
    assert asked == ([("LANES_AT_MOST=8",)] * 2 if is_narrow else [()]) + [()]


def test_a_fit_equals_eager_steps_and_no_bit_depends_on_blocks_or_threads(lab):
    def trained(**execution):
        rule = SGD(0.1, 0.9)
        stack = lab.stack(FITS["signs, mean"][0](), 8, network=small, rule=rule, replicas=Replicas(4), **execution)
        stack.train_steps(0, 8)
        return stack

    whole, eager = trained(compile="always"), trained(compile="never")
    assert whole.computed_by()["gradients"] == TransformerKernel.name and eager.computed_by()["gradients"] == "autograd"
    torch.testing.assert_close(whole.parameters_by_name(), eager.parameters_by_name(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.evaluate(), eager.evaluate(), rtol=1e-4, atol=1e-5)
    other = trained(compile="always", block_size=1, threads=2).parameters_by_name()
    assert all(torch.equal(p, other[name]) for name, p in whole.parameters_by_name().items())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, None),
        ({"rule": AdamW(1e-3)}, None),
        ({"fused": False}, "model.fused is false"),
        ({"compile": "never"}, "model.compile is never"),
        ({"network": lambda shape, count: torch.nn.Linear(shape[0], count)}, "it computes svl's Transformer"),
        ({"network": partial(Own, width=8, heads=2)}, "it computes svl's Transformer, as its constructor makes it"),
        ({"data": Online(Parity(120, 3)), "network": partial(small, width=64, heads=64, depth=3)}, "more than 128 MB"),
        ({"interventions": {"surgery": PCGrad()}}, "an intervention needs the samples' own gradients"),
    ],
    ids=lambda setting: ", ".join(setting) if isinstance(setting, dict) else None,
)
def test_what_it_does_not_serve_it_leaves_to_other_routes(lab, settings, reason):
    plan = lab.stack(**{"network": small, "compile": "always", **settings}).engine.plan
    assert (plan.batch_route is TransformerKernel) == (reason is None)
    assert reason is None or reason in plan.reasons[TransformerKernel.name]
