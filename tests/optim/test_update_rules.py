"""Update rules against torch.optim, replica by replica."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.errors import SettingError
from svl.optim import SAM, SGD, Adam, AdamW, Lion, Muon

REPLICAS, STEPS = 3, 6
RATES, DECAYS = st.floats(1e-5, 2.0), st.sampled_from([0.0, 1e-3, 0.5])
DECAY_RATES = st.floats(0.0, 0.999)
SGD_NUMBERS = st.fixed_dictionaries({"lr": RATES, "momentum": DECAY_RATES, "weight_decay": DECAYS})
# PyTorch refuses Nesterov momentum without momentum or with dampening.
LOOKING_AHEAD = st.fixed_dictionaries(
    {"lr": RATES, "momentum": st.floats(0.1, 0.999), "weight_decay": DECAYS, "nesterov": st.booleans()}
)
DAMPED = st.fixed_dictionaries(
    {
        "lr": RATES,
        "momentum": st.sampled_from([0.0, 0.5, 0.99]),
        "weight_decay": DECAYS,
        "dampening": st.floats(0.0, 1.0),
    }
)
ADAMW_NUMBERS = st.fixed_dictionaries(
    {"lr": RATES, "beta1": DECAY_RATES, "beta2": DECAY_RATES, "eps": st.floats(1e-12, 1e-2), "weight_decay": DECAYS}
)


def torch_sgd(parameter, n):
    return torch.optim.SGD([parameter], **n)


def torch_adam(parameter, n):
    return torch.optim.Adam([parameter], n["lr"], (n["beta1"], n["beta2"]), n["eps"], n["weight_decay"])


def torch_adamw(parameter, n):
    return torch.optim.AdamW([parameter], n["lr"], (n["beta1"], n["beta2"]), n["eps"], n["weight_decay"])


@pytest.mark.parametrize(
    ("rule", "numbers", "make"),
    [
        (SGD(), SGD_NUMBERS, torch_sgd),
        (SGD(), LOOKING_AHEAD, torch_sgd),
        (SGD(), DAMPED, torch_sgd),
        (Adam(), ADAMW_NUMBERS, torch_adam),
        (AdamW(), ADAMW_NUMBERS, torch_adamw),
    ],
)
@pytest.mark.parametrize("shape", [(5, 4), (7,), ()])
def test_each_replica_is_updated_as_torch_optim_would(rule, numbers, make, shape):
    @given(st.lists(numbers, min_size=REPLICAS, max_size=REPLICAS), st.integers(0, 2**32 - 1))
    @settings(max_examples=25, deadline=None)
    def check(per_replica, seed):
        generator = torch.Generator().manual_seed(seed)
        # Double precision, so that agreement is about the formula and not about rounding.
        parameter = torch.randn(REPLICAS, *shape, generator=generator, dtype=torch.float64)
        gradients = torch.randn(STEPS, REPLICAS, *shape, generator=generator, dtype=torch.float64)
        gradients *= 10.0 ** torch.randint(-6, 3, (STEPS, REPLICAS, *[1] * len(shape)), generator=generator)
        plain = [torch.nn.Parameter(p.clone()) for p in parameter]
        optimizers = [make(p, n) for p, n in zip(plain, per_replica, strict=True)]
        hyper = {key: torch.tensor([n[key] for n in per_replica], dtype=torch.float64) for key in per_replica[0]}
        assert rule.per_replica - rule.optional <= set(hyper) <= rule.per_replica
        state = rule.state(parameter)
        for step in range(STEPS):
            parameter, state = rule.update(parameter, gradients[step], state, hyper, torch.tensor(step))
            for p, optimizer, gradient in zip(plain, optimizers, gradients[step], strict=True):
                p.grad = gradient.clone()
                optimizer.step()
        torch.testing.assert_close(parameter, torch.stack([p.detach() for p in plain]), rtol=1e-10, atol=1e-12)

    check()


EVERY = [SGD(0.1, 0.9, 0.1, nesterov=True), SGD(0.1, 0.9, dampening=0.5), Adam(), AdamW(), Lion(), Muon(), SAM()]


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: type(rule).__name__)
def test_an_update_leaves_its_arguments_alone(rule):
    parameter, gradient = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    state = rule.state(parameter)
    hyper = {name: torch.full((2,), getattr(rule, name), dtype=torch.float64) for name in rule.per_replica}
    before = [t.clone() for t in (parameter, gradient, *state.values(), *hyper.values())]
    updated, new = rule.update(parameter, gradient, state, hyper, torch.tensor(0))
    assert all(
        torch.equal(a, b) for a, b in zip(before, (parameter, gradient, *state.values(), *hyper.values()), strict=True)
    )
    assert updated.dtype == torch.float32 and not torch.equal(updated, parameter)
    assert set(new) == set(state) and all(value.shape == parameter.shape for value in new.values())


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        (SGD, "lr", -0.1),
        (SGD, "lr", float("nan")),
        (SGD, "lr", float("inf")),
        (SGD, "momentum", 1.0),
        (SGD, "momentum", -0.5),
        (SGD, "weight_decay", -1.0),
        (AdamW, "lr", -1e-3),
        (AdamW, "beta1", 1.0),
        (AdamW, "beta2", 1.5),
        (AdamW, "eps", -1e-8),
        (AdamW, "weight_decay", float("nan")),
        (SGD, "dampening", 1.5),
        (Adam, "beta2", 1.0),
        (Lion, "beta1", 1.0),
        (Lion, "weight_decay", -0.1),
        (Muon, "momentum", 1.0),
        (Muon, "eps", -1e-8),
        (SAM, "rho", -0.05),
        (SAM, "rho", float("inf")),
    ],
)
def test_numbers_out_of_range_are_refused(rule, name, value):
    message = f"{name}: got {value!r}; allowed: a number, at least 0"
    with pytest.raises(SettingError, match=f"^{re.escape(message)}"):
        rule(**{name: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=0.9, dampening=0.1, nesterov=True), "dampening: got 0.1; allowed: 0 with nesterov"),
        (lambda: SGD(nesterov=1), "nesterov: got 1; allowed: true or false"),
        (lambda: Muon(iterations=0), "iterations: got 0; allowed: 1 to 99"),
        (lambda: Muon(scale="rms"), "scale: got 'rms'; allowed: match_rms_adamw, original"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make, message, monkeypatch):
    for kind in (SGD, Muon):  # past the type checks of the tests' import hook
        monkeypatch.setattr(kind, "__init__", getattr(kind.__init__, "__wrapped__", kind.__init__))
    with pytest.raises(SettingError, match=re.escape(message)):
        make()


def test_ends_of_the_ranges_are_allowed():
    numbers = {"lr": 0, "momentum": 0, "weight_decay": 0, "dampening": 0, "nesterov": False}
    assert vars(SGD(0, 0, 0)) == numbers
    assert AdamW(1e30, 0, 0, 0, 0).lr == 1e30
