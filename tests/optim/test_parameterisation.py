"""Alpha-scaling by hand; the maximal-update parameterisation against Microsoft's ``mup`` and by its own promise."""

import copy
import inspect
import math
from functools import partial

import mup
import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from svl import random
from svl.data import Online
from svl.errors import SettingError
from svl.models import MLP, QuadraticNeuron, Transformer
from svl.optim import SGD, AdamW, Alpha, MuP, Parameterisation
from svl.optim.initialisation import initial_network
from svl.optim.mup import _growth
from svl.replicas import Replicas
from svl.tasks import ModularAddition, Parity
from svl.training import ExecutionSettings, ParameterGroup, ReplicaStack, TrainingSettings

BATCH = 16
TASK = Parity(10, 3)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small gain nothing from a second core, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_stack(network, rule, parameterisation=None, replicas=None, task=TASK, loss="logistic", **settings):
    data = Online(task, BATCH, test_size=10)
    data.schedule(100, 100)
    replicas = replicas or Replicas(1)
    training = TrainingSettings(network, loss, rule, replicas, parameterisation=parameterisation, **settings)
    return ReplicaStack(data, training, ExecutionSettings(compile="never"))


def initial(network, seed, task=TASK):
    tokens = {} if task.vocabulary is None else {"vocabulary": task.vocabulary}
    plain = initial_network(lambda: network(task.input_shape, task.output_dim, **tokens), seed)
    return {name: parameter.detach() for name, parameter in plain.named_parameters()}


def outputs(stack, x):
    """Of every replica, for one batch of inputs."""
    template = copy.deepcopy(stack.spec.network)
    return vmap(lambda params: functional_call(template, params, (x,)))(stack.parameters_by_name()).detach()


# Alpha ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.25, 1.0, 8.0])
@pytest.mark.parametrize(
    ("network", "task", "loss", "first", "last"),
    [
        (partial(MLP, width=6), TASK, "logistic", "layers.0.", "layers.1."),
        (partial(MLP, width=6, depth=4, bias=False), TASK, "logistic", "layers.0.", "layers.3."),
        (partial(Transformer, width=8), TASK, "logistic", "embed.", "head."),
        (partial(Transformer, width=8), ModularAddition(7, base=3), "cross_entropy", "embed.", "head."),
    ],
)
def test_alpha_divides_the_first_layer_and_multiplies_the_last(network, task, loss, first, last, alpha):
    stack = make_stack(network, SGD(0.1), Alpha(alpha), task=task, loss=loss)
    for name, value in initial(network, 0, task).items():
        factor = 1 / alpha if name.startswith(first) else alpha if name.startswith(last) else 1
        torch.testing.assert_close(stack.parameters_by_name()[name][0], value * factor, rtol=1e-6, atol=0)
        assert stack.spec.hyper.rule[name]["lr"].item() == 0.1
    assert {first, last} <= {name.rpartition(".")[0] + "." for name in stack.parameters_by_name()}


def test_alpha_varies_by_replica_and_multiplies_a_group_s_scale():
    alphas = [1.0, 2.0, 16.0]
    replicas = Replicas(2, first_seed=3, vary={"model.parameterisation.alpha": alphas})
    groups = {"first": ParameterGroup("layers.0.*", scale=3.0), "middle": ParameterGroup("layers.1.*", scale=-1.0)}
    network = partial(MLP, width=6, depth=3)
    stack = make_stack(network, AdamW(), Alpha(), replicas, groups=groups)
    for replica, alpha in enumerate(np.repeat(alphas, 2)):
        factors = {"0": 3 / alpha, "1": -1, "2": alpha}
        for name, value in initial(network, 3 + replica % 2).items():
            expected = value * factors[name.split(".")[1]]
            torch.testing.assert_close(stack.parameters_by_name()[name][replica], expected, rtol=1e-6, atol=0)


def test_alpha_keeps_the_function_of_a_homogeneous_network():
    """ReLU without biases: f(x; w / alpha, alpha a) = f(x; w, a), so only the training differs."""
    network = partial(MLP, width=16, bias=False)
    replicas = Replicas(1, vary={"model.parameterisation.alpha": [1, 4.0]})
    stack = make_stack(network, SGD(0.5), Alpha(), replicas)
    x = torch.randn(50, 10, generator=torch.Generator().manual_seed(0))
    one, other = outputs(stack, x)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    stack.train_steps(0, 10)
    one, other = outputs(stack, x)
    assert (one - other).abs().max() > 0.01


@pytest.mark.parametrize("alpha", [0, -1.0, math.nan, math.inf, True, "2", None])
def test_an_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(SettingError) as error:
        inspect.unwrap(Alpha.__init__)(Alpha.__new__(Alpha), alpha)
    assert error.value.key == "alpha"
    assert error.value.given is alpha


def test_a_varied_alpha_is_checked_too():
    replicas = Replicas(1, vary={"model.parameterisation.alpha": [1.0, -2.0]})
    with pytest.raises(SettingError, match=r"model\.parameterisation\.alpha: got -2\.0; allowed: a number above 0"):
        make_stack(MLP, SGD(), Alpha(), replicas)


@pytest.mark.parametrize("network", [partial(MLP, depth=1), QuadraticNeuron])
def test_alpha_needs_two_layers(network):
    with pytest.raises(SettingError, match=r"model\.parameterisation: got 'Alpha'; allowed: networks of two or more"):
        make_stack(network, SGD(), Alpha(), loss="correlation")


# MuP against mup ------------------------------------------------------------------------------------------------------

SHAPED = [(partial(MLP, depth=depth), (10,)) for depth in (2, 3, 4)] + [
    (partial(Transformer, depth=2, heads=2, qk_norm="layer"), (5,)),
    (partial(Transformer, depth=1, heads=2, qk_norm="rms"), (5, 3)),
    (partial(Transformer, depth=1, heads=2, vocabulary=7, feed_forward_ratio=1.5), (5,)),
]


def based(network, shape, base_width, width, other):
    """Networks of the base width and of ``width``; the latter knows its shapes in mup's sense."""
    base, wide, delta = (network(shape, 1, width=w) for w in (base_width, width, other))
    mup.set_base_shapes(wide, base, delta=delta, rescale_params=False, do_assert=False)
    return base, wide


@pytest.mark.parametrize(("network", "shape"), SHAPED)
@pytest.mark.parametrize(("base_width", "width"), [(4, 24), (8, 12), (8, 4)])
def test_which_dimensions_grow_and_how_much_is_mup_s(network, shape, base_width, width):
    base, wide = based(network, shape, base_width, width, 2 * base_width)
    for name, parameter in wide.named_parameters():
        assert _growth(base, wide, name) == [one.width_mult() for one in parameter.infshape], name


@pytest.mark.parametrize(("network", "shape"), SHAPED)
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_rates_and_decay_are_mup_s(network, shape, optimizer):
    """With mup's multiplier 1 / m folded into output weights: their rate is divided by m^2 for SGD, m for Adam."""
    base_width, width = 4, 20
    _, wide = based(network, shape, base_width, width, 8)
    rule = {"SGD": SGD(), "AdamW": AdamW()}[optimizer]
    theirs = {"SGD": mup.MuSGD, "AdamW": mup.MuAdamW}[optimizer](wide.parameters(), lr=1.0, weight_decay=1.0)
    names = {parameter: name for name, parameter in wide.named_parameters()}
    factors = MuP(base_width).factors(wide, partial(network, shape, 1), rule, {})
    assert factors.keys() == set(names.values())
    for group in theirs.param_groups:
        for parameter in group["params"]:
            lr, decay = group["lr"], group["weight_decay"]
            if [one.isinf() for one in parameter.infshape] == [False, True] and parameter.shape[0] == 1:
                fold = width / base_width
                lr, decay = (lr / fold**2, decay * fold**2) if optimizer == "SGD" else (lr / fold, decay * fold)
            own = factors[names[parameter]]
            assert own.lr == pytest.approx(lr), names[parameter]
            assert own.weight_decay == pytest.approx(decay), names[parameter]


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize(("base_width", "width"), [(1, 32), (8, 32), (64, 16)])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_training_is_that_of_mup(optimizer, base_width, width, depth):
    """From the same draws mup's own rescaling, readout and optimizer compute the same function step by step."""
    network = partial(MLP, depth=depth, activation="gelu")
    if optimizer == "SGD":
        settings = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.01}
        rule, make = SGD(**settings), mup.MuSGD
    else:
        # mup's readout divides its gradients too, which only eps would notice.
        settings = {"lr": 3e-3, "eps": 1e-12, "weight_decay": 0.1}
        rule, make = AdamW(**settings), mup.MuAdamW
    stack = make_stack(partial(network, width=width), rule, MuP(base_width), Replicas(1, first_seed=4))

    def with_readout(width):
        model = network(TASK.input_shape, 1, width=width)
        model.layers[-1] = mup.MuReadout(width, 1)
        return model

    model = with_readout(width)
    model.load_state_dict(initial(partial(network, width=width), 4))
    mup.set_base_shapes(model, with_readout(base_width), delta=with_readout(base_width + 1))
    theirs = make(model.parameters(), **settings)
    x, y = TASK.examples(random.key(torch.tensor([4])), torch.arange(20 * BATCH)[None])
    probe = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    before = model(probe).detach()
    torch.testing.assert_close(outputs(stack, probe)[0], before, rtol=1e-5, atol=1e-5)
    for step in range(20):
        batch = slice(step * BATCH, (step + 1) * BATCH)
        loss = nn.functional.soft_margin_loss(model(x[0, batch])[:, 0], y[0, batch])
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        stack.train_steps(step, 1)
        torch.testing.assert_close(outputs(stack, probe)[0], model(probe).detach(), rtol=1e-4, atol=1e-4)
    assert (model(probe) - before).abs().max() > 0.02


# MuP by its own promise -----------------------------------------------------------------------------------------------


def test_base_width_1_is_table_3():
    """Yang et al. 2022: variances 1 / fan_in, but 1 / fan_in^2 of the output's; rates by fan_in and fan_out."""
    width, count = 50, 400
    network = partial(MLP, width=width, depth=3)
    sgd = make_stack(network, SGD(1.0), MuP(), Replicas(count))
    adam = make_stack(network, AdamW(1.0), MuP(), Replicas(1))
    rates = {"layers.0.weight": (width, 1), "layers.1.weight": (1, 1 / width), "layers.2.weight": (1 / width,) * 2}
    rates |= {"layers.0.bias": (width, 1), "layers.1.bias": (width, 1), "layers.2.bias": (1, 1)}
    for name, (lr, adam_lr) in rates.items():
        assert sgd.spec.hyper.rule[name]["lr"][0].item() == pytest.approx(lr), name
        assert adam.spec.hyper.rule[name]["lr"][0].item() == pytest.approx(adam_lr), name
    # PyTorch draws with a third of these variances.
    variances = {"layers.0.weight": 1 / 10, "layers.1.weight": 1 / width, "layers.2.weight": 1 / width**2}
    variances |= {"layers.0.bias": 1 / 10, "layers.1.bias": 1, "layers.2.bias": 1}
    for name, variance in variances.items():
        assert 3 * sgd.parameters_by_name()[name].var().item() == pytest.approx(variance, rel=0.15), name


def test_at_the_base_width_nothing_changes():
    stack = make_stack(partial(MLP, width=12, depth=3), AdamW(0.01, weight_decay=0.2), MuP(12))
    for name, value in initial(partial(MLP, width=12, depth=3), 0).items():
        assert torch.equal(stack.parameters_by_name()[name][0], value)
        assert stack.spec.hyper.rule[name]["lr"].item() == 0.01
        assert stack.spec.hyper.rule[name]["weight_decay"].item() == 0.2


def test_factors_multiply_what_a_group_and_an_arm_set():
    replicas = Replicas(1, vary={"model.optimizer.lr": [0.1, 0.4]})
    groups = {"out": ParameterGroup("layers.2.weight", lr=2.0, weight_decay=3.0)}
    stack = make_stack(partial(MLP, width=32, depth=3), SGD(weight_decay=0.01), MuP(8), replicas, groups=groups)
    assert stack.spec.hyper.rule["layers.0.weight"]["lr"].tolist() == pytest.approx([0.4, 1.6])
    assert stack.spec.hyper.rule["layers.0.weight"]["weight_decay"].tolist() == pytest.approx([0.0025, 0.0025])
    assert stack.spec.hyper.rule["layers.2.weight"]["lr"].tolist() == pytest.approx([0.5, 0.5])
    assert stack.spec.hyper.rule["layers.2.weight"]["weight_decay"].tolist() == pytest.approx([12.0, 12.0])


def slopes(rule, parameterisation, widths, depth=3, steps=4):
    """Exponents of the width in the mean change of each layer's pre-activations (the last are the outputs)."""
    x = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    changes = []
    for width in widths:
        stack = make_stack(partial(MLP, width=width, depth=depth), rule, parameterisation, Replicas(4))

        def layers(stack=stack):
            h, found = x, []
            for number in range(depth):
                part = {p: stack.parameters_by_name()[f"layers.{number}.{p}"] for p in ("weight", "bias")}
                z = h @ part["weight"].transpose(-1, -2) + part["bias"][:, None]
                found.append(z)
                h = z.relu()
            return found

        before = layers()
        stack.train_steps(0, steps)
        changes.append([(b - a).abs().mean().item() for a, b in zip(before, layers(), strict=True)])
    return np.polyfit(np.log(widths), np.log(changes), 1)[0], np.array(changes)


WIDTHS = [64, 128, 256, 512, 1024]


@pytest.mark.parametrize("rule", [SGD(0.1), SGD(0.02, momentum=0.9), AdamW(2e-3)], ids=["sgd", "momentum", "adamw"])
def test_updates_keep_their_size_as_the_width_grows(rule):
    """The coordinate check of Yang et al. 2022, appendix D.1."""
    exponents, changes = slopes(rule, MuP(64), WIDTHS)
    assert np.abs(exponents).max() < 0.2
    assert (changes.max(0) / changes.min(0)).max() < 2


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        (SGD(0.1), [-0.7, -0.4, 0.3], [-0.3, 0.4, 1.1]),
        (AdamW(2e-3), [-0.2, 0.5, 0.5], [0.2, 1.2, 1.5]),
    ],
    ids=["sgd", "adamw"],
)
def test_the_standard_parameterisation_does_not(rule, low, high):
    exponents, changes = slopes(rule, None, WIDTHS)
    assert (exponents > low).all() and (exponents < high).all(), exponents
    assert (changes.max(0) / changes.min(0)).max() > 3


@pytest.mark.parametrize("base_width", [0, -1, 1.5, True, "64", None])
def test_a_base_width_out_of_range_is_refused(base_width):
    with pytest.raises(SettingError) as error:
        inspect.unwrap(MuP.__init__)(MuP.__new__(MuP), base_width)
    assert error.value.key == "base_width"
    assert error.value.given is base_width


def test_a_base_width_that_the_network_cannot_have_is_refused():
    with pytest.raises(SettingError, match=r"base_width: got 6; allowed: a width that Transformer can have \(a div"):
        make_stack(partial(Transformer, width=8), SGD(), MuP(6))


class Narrow(nn.Linear):
    def __init__(self, input_shape, output_dim):
        super().__init__(input_shape[0], output_dim)


def test_a_network_without_a_width_is_refused():
    with pytest.raises(SettingError, match=r"base_width: got 1; allowed: a width that Narrow can have .*'width'"):
        make_stack(Narrow, SGD(), MuP())


@pytest.mark.parametrize("parameterisation", [Alpha(2.0), MuP(4)])
def test_making_factors_draws_nothing(parameterisation):
    assert isinstance(parameterisation, Parameterisation)
    before = torch.get_rng_state()
    make_stack(partial(MLP, width=8), SGD(), parameterisation)
    assert torch.equal(torch.get_rng_state(), before)
