"""The gradient over a population of products against autograd, in float64, on all of its inputs."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.func import functional_call

from svl import native, random
from svl.data import FullBatch, Population
from svl.data.draw import Draw
from svl.interventions import AddedBias, LabelNoise
from svl.losses.names import LOSSES, name_of
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.groups import stack_hyper
from svl.training.objective import Objective
from svl.training.packing import Packing
from svl.training.routes import factored, factored_kernel, mlp_kernel
from svl.training.routes.factored import FactoredPopulation
from svl.training.routes.factored_kernel import FactoredKernel
from svl.training.spec import StackSpec

REPLICAS = 2


class Digits(Parity):
    """A class for each number of coordinates -1, modulo 3."""

    output_dim = 3
    target = "class"

    def population(self, key, index):
        inputs, _ = super().population(key, index)
        return inputs, (inputs < 0).sum(-1) % 3

    def correct(self, outputs, targets):
        return outputs.argmax(-1) == targets


def enumerated(task, data, key):
    index = torch.arange(task.population_size).expand(len(key), -1)
    inputs = task.population(key, index)[0]
    zero = torch.tensor(0)
    draw = Draw(data.settings_of(Replicas(len(key))), {}, key, zero, zero, 1)
    return inputs, data.population_targets(draw, index)


def plain_loss(loss, outputs, targets):
    """PyTorch's own losses."""
    if loss == "cross_entropy":
        return torch.nn.functional.cross_entropy(outputs, targets)
    f = outputs[:, 0]
    return {
        "logistic": lambda: -torch.nn.functional.logsigmoid(targets * f).mean(),  # soft_margin_loss overflows
        "hinge": lambda: torch.nn.functional.margin_ranking_loss(f, torch.zeros_like(f), targets, margin=1.0),
        "squared": lambda: torch.nn.functional.mse_loss(f, targets),
        "correlation": lambda: -(f * targets).mean(),
    }[loss]()


def of_parts(route, tensors):
    """The sums over all parts, as a step accumulates them."""
    key = tensors["key"]
    count = route.parts(len(key), key.device)
    draw = Draw(tensors["settings"], {}, key, torch.tensor(0), torch.tensor(0), 1)
    sums = [route.gradients(tensors, draw._replace(micro=torch.tensor(part))) for part in range(count)]
    gradients = {label: sum(part.matrices[label] for part in sums) for label in sums[0][0]}
    return count, gradients, sum(part.loss for part in sums), sum(part.correct for part in sums)


def setting(task, loss, width, depth, activation, bias, is_fused, **common):
    data = Population(task, **common)
    torch.manual_seed(0)
    network = MLP(task.input_shape, task.output_dim, width=width, depth=depth, activation=activation, bias=bias)
    shapes = {name: p.shape for name, p in network.named_parameters()}
    replicas, rule = Replicas(REPLICAS), SGD(0.1)
    hyper = stack_hyper(list(shapes), rule, {}, replicas)
    packing = Packing(shapes, hyper)
    numbers = data.settings_of(replicas)
    spec = StackSpec(
        data,
        numbers,
        network,
        packing,
        hyper,
        Objective(LOSSES[loss](), task),
        rule,
        {},
        None,
        REPLICAS,
        1,
        1,
        measures=(),
    )
    route = FactoredKernel(spec) if is_fused else FactoredPopulation(spec)
    stacked = {name: 1.5 * torch.randn(REPLICAS, *shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    key = random.key(torch.tensor([3, 4]))
    tensors = {"params": packing.pack(stacked), "settings": numbers, "data": {}, "key": key}
    return SimpleNamespace(data=data, network=network, packing=packing, route=route, stacked=stacked, tensors=tensors)


def autograd(fit, loss, replica, dtype):
    inputs, targets = enumerated(fit.data.task, fit.data, fit.tensors["key"])
    params = {name: p[replica].detach().to(dtype).requires_grad_() for name, p in fit.stacked.items()}
    outputs = functional_call(fit.network.to(dtype), params, (inputs[replica].to(dtype),))
    y = targets[replica] if loss == "cross_entropy" else targets[replica].to(dtype)
    # What the examples' gradients are where they do not cancel.
    scale = max(
        float(g.abs().max()) for g in torch.autograd.grad(outputs.abs().mean(), [*params.values()], retain_graph=True)
    )
    value = plain_loss(loss, outputs, y)
    value.backward()
    right = outputs.argmax(-1) == y if loss == "cross_entropy" else outputs[:, 0] * y > 0
    return {name: p.grad.double() for name, p in params.items()}, value.item(), right.double().mean().item(), scale


def compare(fit, loss, budget, times=20, relative=2e-5):
    """No further from autograd in float64 than autograd in float32 is, a few times, and a share of the gradient."""
    before = factored._ACTIVATIONS, factored_kernel._OUTPUTS
    factored._ACTIVATIONS = factored_kernel._OUTPUTS = budget
    try:
        parts, gradients, losses, accuracies = of_parts(fit.route, fit.tensors)
    finally:
        factored._ACTIVATIONS, factored_kernel._OUTPUTS = before
    found = fit.packing.unpack(gradients)
    for replica in range(REPLICAS):
        expected, value, accuracy, scale = autograd(fit, loss, replica, torch.float64)
        rounded, *_ = autograd(fit, loss, replica, torch.float32)
        size = max(1e-3, scale, *(float(g.abs().max()) for g in expected.values()))
        error = max(float((rounded[name] - g).abs().max()) for name, g in expected.items())
        for name, g in expected.items():
            assert (found[name][replica] - g).abs().max() <= times * error + relative * size, name
        assert losses[replica].item() == pytest.approx(value, rel=1e-4, abs=2e-5 * max(scale, 1))
        assert accuracies[replica].item() == pytest.approx(accuracy, abs=1e-3)
    return parts


NETWORKS = {
    "width": st.integers(1, 70),
    "depth": st.integers(1, 4),
    "activation": st.sampled_from(["relu", "gelu", "sigmoid", "quadratic"]),
    "bias": st.booleans(),
}


@pytest.mark.slow
@given(
    dim=st.integers(1, 9),
    loss=st.sampled_from(["logistic", "hinge", "squared", "correlation", "cross_entropy"]),
    budget=st.sampled_from([1, 3000, 2**22]),
    **NETWORKS,
)
@example(dim=9, loss="cross_entropy", budget=1, width=16, depth=2, activation="gelu", bias=True)
def test_in_torch_it_equals_autograd(dim, loss, budget, **network):
    task = (Digits if loss == "cross_entropy" else Parity)(dim, min(dim, 3), support="drawn")
    parts = compare(setting(task, loss, **network, is_fused=False), loss, budget)
    assert parts == (2 ** (dim // 2) if budget == 1 else parts)


@pytest.mark.slow
@pytest.mark.skipif(not native.is_available("parity"), reason="the kernel needs a C++ compiler")
@given(
    dim=st.integers(1, 10),
    loss=st.sampled_from(sorted(map(name_of, mlp_kernel.LOSSES))),
    budget=st.sampled_from([1, 300, 2**20]),
    **{**NETWORKS, "depth": st.integers(2, 4), "activation": st.sampled_from(sorted(mlp_kernel.ACTIVATIONS))},
)
def test_in_the_kernel_it_equals_autograd(dim, loss, budget, **network):
    task = Parity(dim, min(dim, 3), support="drawn")
    fit = setting(task, loss, **network, is_fused=True)
    assert isinstance(fit.route, FactoredKernel)
    compare(fit, loss, budget)


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu", "sigmoid"])
def test_it_is_exact_to_rounding(is_fused, activation):
    compare(
        setting(Parity(13, 6), "logistic", 64, 2, activation, True, is_fused), "logistic", 2**22, times=2, relative=3e-7
    )


@pytest.mark.parametrize("is_fused", [False, True])
def test_label_noise_and_varied_settings_reach_the_targets(is_fused):
    task = Parity(8, 3)
    fit = setting(task, "logistic", 16, 2, "relu", True, is_fused, interventions={"noise": LabelNoise(0.3)})
    compare(fit, "logistic", 2**20)
    wrong = (
        enumerated(task, fit.data, fit.tensors["key"])[1] != enumerated(task, Population(task), fit.tensors["key"])[1]
    )
    assert 0.2 < wrong.float().mean() < 0.4


@pytest.mark.parametrize("depth", [2, 3])
def test_no_bit_depends_on_the_number_of_threads(depth):
    fit = setting(Parity(11, 3), "logistic", 33, depth, "relu", True, is_fused=True)
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(of_parts(fit.route, fit.tensors))
    torch.set_num_threads(1)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


@pytest.mark.parametrize("dim", [1, 2, 7, 10])
def test_the_halves_of_the_hypercube_multiply_to_it(dim):
    task = Parity(dim, 1)
    low, high = task.halves(torch.device("cpu"))
    product = torch.cat((low.repeat(len(high), 1), high.repeat_interleave(len(low), 0)), dim=1)
    assert torch.equal(product, task.population(random.key(0)[None], torch.arange(2**dim)[None])[0][0])


def test_what_is_no_product_or_no_mlp_is_left_to_micro_batches():
    population = Population(Parity(8, 3))
    assert factored.supports(MLP((8,), 1), population)
    assert not factored.supports(torch.nn.Linear(8, 1), population)
    assert not factored.supports(MLP((60,), 1), FullBatch(Parity(60, 3), 100))
    assert not factored.supports(MLP((8,), 1), Population(Parity(8, 3), interventions={"bias": AddedBias(4)}))


FITS = """
import io
import torch
from svl import native
from svl.data import FullBatch
from svl.losses.names import LOSSES, name_of
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.routes.factored_kernel import FactoredKernel

def fit(activation, vary, calls=(12,), saved=None, **engine):
    data = FullBatch(Parity(8, 3), [30, "population"], [5], micro_batch_size=64, test_size=64)
    data.schedule(12, 12)
    network = lambda shape, outputs: MLP(shape, outputs, width=16, activation=activation)
    training = TrainingSettings(network, "logistic", SGD(momentum=0.5), Replicas(2, vary=vary))
    stack = ReplicaStack(data, training, ExecutionSettings(**engine))
    start = 0
    if saved:
        saved.seek(0)
        start, state = torch.load(saved)
        stack.load_state_dict(state)
    metrics = []
    for stop in calls:
        stack.train_steps(start, stop - start)
        metrics.append(stack.train_metrics())
        start = stop
    return stack, metrics

def state(stack):
    return stack.parameters_by_name(), stack.state.rule, stack.record

sizes = [100, "population", [30, "population"], [70, 200], [140, "population"]]
vary = {"data.size": sizes, "model.optimizer.lr": [0.3, 1e30]}
for has_kernel, activation in ((True, "relu"), (False, "gelu")):
    native.is_available = lambda name, defined=(), has=has_kernel: has
    eager, expected = fit(activation, vary, (6, 12), compile="never")
    found, metrics = fit(activation, vary, (6, 12), compile="always", threads=2)
    engine, steps = found.engine, found.engine.steps
    assert isinstance(steps.population_route, FactoredKernel) == has_kernel
    kinds = {steps.function_of(block, step)[0] for block in engine.blocks for step in (0, 11)}
    assert {steps.accumulate, steps.accumulate_population} <= kinds
    held = steps.accumulate._by_call  # by block and micro-batch, with its examples
    assert len({block for block, _ in held}) < len(held)
    finite = eager.record["diverged_at"] < 0
    assert 0 < finite.sum() < len(finite) and torch.equal(finite, found.record["diverged_at"] < 0)
    rows = lambda tree: {name: rows(v) if isinstance(v, dict) else v[finite] for name, v in tree.items()}
    torch.testing.assert_close([rows(t) for t in state(found)], [rows(t) for t in state(eager)], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close([rows(m) for m in metrics], [rows(m) for m in expected], rtol=1e-4, atol=1e-5)

    half, _ = fit(activation, vary, (6,), compile="always", threads=2)
    file = io.BytesIO()
    torch.save((6, half.state_dict()), file)
    resumed, again = fit(activation, vary, (12,), file, compile="always", threads=2)
    for one, other in zip(resumed.parameters_by_name().values(), found.parameters_by_name().values()):
        assert torch.equal(one.nan_to_num(), other.nan_to_num())
    assert all(torch.equal(again[0][name].nan_to_num(), metrics[1][name].nan_to_num()) for name in again[0])

off, _ = fit("relu", vary, compile="always", fused=False)
assert off.engine.steps.population_route is None
"""


@pytest.mark.slow
def test_histories_are_those_of_eager_micro_batches_also_after_going_on():
    done = subprocess.run(
        [sys.executable, "-c", FITS], env=dict(os.environ), capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
