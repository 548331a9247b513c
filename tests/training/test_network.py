"""A network, a readout or a loss that does not fit the task is refused, in one line that says what would fit."""

import pytest
import torch
from torch import nn

from svl.errors import SettingError
from svl.losses import names
from svl.models import MLP, ConvNet, Transformer
from svl.tasks import Facts, InContextRegression, ModularAddition, Parity
from svl.training import network as networks

FACTS = Facts(subjects=4, relations=2, answers=2, noise_tokens=3, noise_length=2)
POINTS = InContextRegression(dim=2, points=3, objective="prefixes")
ADDITION = ModularAddition(5, base=3)


class Around(nn.Module):
    """A linear network with something before it."""

    def __init__(self, input_shape, output_dim, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.Linear(input_shape[0], output_dim))

    def forward(self, x):
        return self.layers(x)


class Breaks(nn.Module):
    def __init__(self, input_shape, output_dim):
        super().__init__()
        raise RuntimeError("no such\nthing")


class WrongInputs(Around):
    def __init__(self, input_shape, output_dim):
        super().__init__((input_shape[0] + 1,), output_dim)


class WrongOutputs(Around):
    def __init__(self, input_shape, output_dim):
        super().__init__(input_shape, output_dim + 1)


class NoOutputAxis(Around):
    def forward(self, x):
        return self.layers(x)[..., 0]


class Normalised(Around):
    def __init__(self, input_shape, output_dim):
        super().__init__(input_shape, output_dim, nn.BatchNorm1d(input_shape[0]))


class BatchStatistics(Around):
    def __init__(self, input_shape, output_dim):
        super().__init__(input_shape, output_dim, nn.BatchNorm1d(input_shape[0], track_running_stats=False))


class Dropped(Around):
    def __init__(self, input_shape, output_dim):
        super().__init__(input_shape, output_dim, nn.Dropout(0.5))


class Decides(Around):
    def forward(self, x):
        return self.layers(x) if x.sum() > 0 else -self.layers(x)


def small(**settings):
    return lambda *shape, **tokens: Transformer(*shape, **tokens, width=8, heads=2, **settings)


def check(build, task, loss):
    return networks.check(build, networks.make(build, task), task, names.make(loss))


MLP_OF_TOKENS = ("model.network", "MLP", "(input_shape, output_dim, vocabulary) and its settings; TypeError")
WHOLE = "readout: all gives one"


@pytest.mark.parametrize(
    ("build", "task", "loss", "key", "given", "allowed"),
    [
        (Breaks, Parity(6, 2), "logistic", "model.network", "Breaks", "RuntimeError: no such thing"),
        (WrongInputs, Parity(6, 2), "logistic", "model.network", "WrongInputs", "inputs ('batch', 6)"),
        (WrongOutputs, Parity(6, 2), "logistic", "model.network", "('batch', 2)", "shape ('batch', 1)"),
        (NoOutputAxis, Parity(6, 2), "logistic", "model.network", "('batch',)", "shape ('batch', 1)"),
        (Decides, Parity(6, 2), "logistic", "model.network", "Decides", "inputs ('batch', 6)"),
        (MLP, ADDITION, "cross_entropy", *MLP_OF_TOKENS),
        (MLP, FACTS, "cross_entropy", *MLP_OF_TOKENS),
        (MLP, POINTS, "squared", "model.network", "MLP with outputs ('batch', 1)", WHOLE),
        (small(), POINTS, "squared", "model.network", "outputs ('batch', 1)", WHOLE),
        (small(readout="mean"), FACTS, "cross_entropy", "model.network", "outputs ('batch', 13)", WHOLE),
        (small(readout="all"), Parity(6, 2), "logistic", "model.network", "('batch', 6, 1)", "shape ('batch', 1)"),
        (small(readout="all"), ADDITION, "cross_entropy", "model.network", "('batch', 4, 5)", "shape ('batch', 5)"),
        (MLP, Parity(6, 2), "huber", "loss", "huber", "logistic, hinge, squared, correlation, cross_entropy"),
        (
            MLP,
            Parity(6, 2),
            "cross_entropy",
            "model.loss",
            "cross_entropy",
            "correlation (for Parity)",
        ),
        (
            small(readout="all"),
            POINTS,
            "logistic",
            "model.loss",
            "logistic",
            "squared (for InContextRegression)",
        ),
        (
            small(),
            ADDITION,
            "squared",
            "model.loss",
            "squared",
            "cross_entropy (for ModularAddition)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(build, task, loss, key, given, allowed):
    with pytest.raises(SettingError) as error:
        check(build, task, loss)
    assert error.value.key == key
    assert given in error.value.given
    assert allowed in error.value.allowed
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 420


def test_a_network_s_own_refusal_is_passed_on():
    with pytest.raises(SettingError, match=r"model\.network\.heads: got 3; allowed: a divisor of width = 64"):
        networks.make(lambda *shape: Transformer(*shape, heads=3), Parity(6, 2))


def test_a_shape_that_a_network_refuses_is_the_task_s():
    with pytest.raises(SettingError, match=r"^data\.task: got 'inputs \(6,\)'; allowed: .*images"):
        networks.make(ConvNet, Parity(6, 2))


@pytest.mark.parametrize(
    ("build", "task", "loss", "numbers", "measures"),
    [
        (MLP, Parity(6, 2), "hinge", 7, []),
        (BatchStatistics, Parity(6, 2), "logistic", 7, []),
        (Normalised, Parity(6, 2), "logistic", 7, []),
        (Dropped, Parity(6, 2), "logistic", 7, []),
        (small(), Parity(6, 2), "logistic", 7, []),
        (small(readout="all"), POINTS, "squared", 5 * 2 + 5, ["query_loss"]),
        (small(causal=True), ADDITION, "cross_entropy", 4 + 5, []),
        (small(causal=True, readout="all"), FACTS, "cross_entropy", 4 + 4 * FACTS.output_dim, []),
    ],
)
def test_what_fits_is_counted_and_its_measures_are_named(build, task, loss, numbers, measures):
    network = networks.make(build, task)
    before = torch.get_rng_state()
    assert networks.check(build, network, task, names.make(loss))[:2] == (numbers, measures)
    assert torch.equal(torch.get_rng_state(), before)
