"""A rule of one's own that does not keep to the contract is refused in one line before training."""

import pytest
import torch

from svl.errors import SettingError
from svl.optim import SAM, SGD, Adam, AdamW, Lion, Muon
from svl.optim.checking import _Example, check_class, check_optimizer
from svl.optim.rule import UpdateRule, zeros
from svl.replicas import Replicas, broadcast_to

SHAPES = {name: torch.Size(shape) for name, shape in {"w": (12, 10), "b": (12,), "v": (1, 12), "c": ()}.items()}


class Own(UpdateRule):
    """p <- p - lr g; m <- m + g."""

    per_replica = frozenset({"lr"})

    def __init__(self, lr: float = 0.1) -> None:
        self.lr = lr

    def state(self, parameter):
        return zeros(parameter, "m")

    def update(self, parameter, gradient, state, hyper, step):
        return parameter - broadcast_to(hyper["lr"], parameter) * gradient, {"m": state["m"] + gradient}


class OwnElementwise(Own):
    elementwise = True


class CountsSteps(Own):
    def state(self, parameter):
        return {"m": torch.zeros(len(parameter), dtype=torch.int64)}

    def update(self, parameter, gradient, state, hyper, step):
        rate = broadcast_to(hyper["lr"] / (1 + state["m"]), parameter)
        return parameter - rate * gradient, {"m": state["m"] + 1}


class CountsStepsElementwise(CountsSteps):
    elementwise = True


class Normalised(Own):
    """Every parameter's update has norm lr, as in LARS."""

    def update(self, parameter, gradient, state, hyper, step):
        norm = broadcast_to(gradient.reshape(len(gradient), -1).norm(dim=1), gradient)
        return parameter - broadcast_to(hyper["lr"], parameter) * gradient / norm, state


class NormalisedSGD(SGD):
    """A subclass of an elementwise rule that forgets to say that it is not one."""

    def update(self, parameter, gradient, state, hyper, step):
        norm = broadcast_to(gradient.reshape(len(gradient), -1).norm(dim=1), gradient)
        return super().update(parameter, gradient / norm, state, hyper, step)


@pytest.mark.parametrize(
    "rule", [Own(), OwnElementwise(), CountsSteps(), CountsStepsElementwise(), Normalised(), Own(0.0), Own(1e30)]
)
def test_a_rule_that_keeps_to_the_contract_passes(rule):
    check_optimizer(rule, Replicas(2, vary={"model.optimizer.lr": [rule.lr, 1e-6]}), SHAPES)


@pytest.mark.parametrize("rule", [SGD(momentum=0.9, nesterov=True), Adam(), AdamW(), Lion(), Muon(), SAM()])
def test_the_optimizers_of_svl_pass_what_they_are_spared(rule):
    _Example(rule, Replicas(3), SHAPES).check()


def changed(base=Own, **methods):
    return type("Mine", (base,), methods)()


def mixes(self, parameter, gradient, state, hyper, step):
    return parameter - broadcast_to(hyper["lr"], parameter) * gradient.mean(0, keepdim=True), state


def mixes_a_little(self, parameter, gradient, state, hyper, step):
    return parameter - broadcast_to(hyper["lr"], parameter) * gradient / gradient.abs().max(), state


def in_place(self, parameter, gradient, state, hyper, step):
    return parameter.sub_(broadcast_to(hyper["lr"], parameter) * gradient), state


def in_place_of_state(self, parameter, gradient, state, hyper, step):
    state["m"].add_(gradient)
    return parameter - gradient, state


def row(self, parameter, gradient, state, hyper, step):
    return (parameter - gradient).reshape(len(parameter), -1), state


BROKEN = [
    (NormalisedSGD(), "elementwise = False: its update does not treat all numbers"),
    (changed(update=mixes), "treats each replica by itself"),
    (changed(update=mixes_a_little), "treats each replica by itself"),
    (changed(update=in_place), "leaves its arguments as they are"),
    (changed(update=in_place_of_state), "leaves its arguments as they are"),
    (changed(update=row), r"the parameter's shape \[3, 3, 3\], not \[3, 9\]"),
    (changed(update=lambda self, p, g, s, h, t: (None, s)), r"the parameter's shape \[3, 3, 3\], not NoneType"),
    (changed(update=lambda self, p, g, s, h, t: p - g), "returns the parameter and a dict of its state"),
    (changed(update=lambda self, p, g, s, h, t: (p - g, {})), r"returns the state \['m'\], not \[\]"),
    (changed(update=lambda self, p, g, s, h, t: (p, {"m": s["m"].sum()})), r"'m' that keeps its shape \[3, 3, 3\]"),
    (changed(update=lambda self, p, g, s, h, t: (p, {"m": 1})), r"'m' that keeps its shape \[3, 3, 3\], not int"),
    (changed(update=lambda self, p, g, s, h, t: (p * h["weight_decay"], s)), "per_replica names 'weight_decay'"),
    (changed(update=lambda self, p, g, s, h, t: (p * s["v"], s)), "a method state that makes 'v'"),
    (changed(update=lambda self, p, g, s, h, t: (p * 0 / 0, s)), "without NaN"),
    (changed(state=lambda self, p: {"m": torch.tensor(0)}), r"first axis is the replica; 'm' is \[\]"),
    (changed(OwnElementwise, state=lambda self, p: {"m": 0}), "first axis is the replica; 'm' is int"),
    (changed(OwnElementwise, state=lambda self, p: p), "a dict of tensors, not Tensor"),
    (changed(per_replica=frozenset({"lr", "beta"})), "it has none for 'beta'"),
]


@pytest.mark.parametrize(("rule", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_rule_that_breaks_it_is_refused(rule, message):
    with pytest.raises(SettingError, match=message) as caught:
        check_optimizer(rule, Replicas(2), SHAPES)
    assert caught.value.key == "model.optimizer" and caught.value.given == type(rule).__name__
    assert "\n" not in str(caught.value)


def test_an_error_of_its_own_is_its_own():
    def update(self, parameter, gradient, state, hyper, step):
        return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        check_optimizer(changed(update=update), Replicas(2), SHAPES)


def test_the_example_has_the_varied_values():
    """NaN in one arm alone."""

    def update(self, parameter, gradient, state, hyper, step):
        return parameter - broadcast_to(hyper["beta"].sqrt(), parameter) * gradient, state

    def init(self, lr: float = 0.1, beta: float = 0.5) -> None:
        self.lr, self.beta = lr, beta

    rule = changed(per_replica=frozenset({"lr", "beta"}), __init__=init, update=update)
    check_optimizer(rule, Replicas(2, vary={"model.optimizer.beta": [0.5, 0.1]}), SHAPES)
    with pytest.raises(SettingError, match="without NaN"):
        check_optimizer(rule, Replicas(2, vary={"model.optimizer.beta": [0.5, -0.5]}), SHAPES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.optim.Adam, r"got 'torch\.optim\.adam\.Adam'; allowed: Adam \(svl\.optim\.Adam\): PyTorch's"),
        (
            torch.optim.SGD([torch.zeros(1)]),
            r"allowed: SGD \(svl\.optim\.SGD\): PyTorch's optimizers train one network",
        ),
        (torch.optim.LBFGS, "allowed: a subclass of svl.optim.UpdateRule: PyTorch's optimizers train one network"),
        (3, "got 'builtins.int'; allowed: a subclass of svl.optim.UpdateRule$"),
    ],
)
def test_what_is_no_update_rule_gets_a_line_that_says_what_to_use(given, message):
    with pytest.raises(SettingError, match=message) as caught:
        check_class(given)
    assert caught.value.key == "model.optimizer"
