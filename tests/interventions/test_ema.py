"""The moving average of the weights against torch.optim.swa_utils, and its measurement."""

import pandas as pd
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from svl import random
from svl.data import Online
from svl.errors import SettingError
from svl.interventions import EMA, ClipNorm, WeightIntervention
from svl.models import MLP
from svl.optim import SAM, SGD, AdamW
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ParameterGroup, ReplicaStack, TrainingSettings

TASK, STEPS, BATCH = Parity(8, 2), 12, 16
RULES = {"sgd": SGD(0.3, momentum=0.9), "adamw": AdamW(0.02), "sam": SAM(0.3, rho=0.1)}


def build(input_shape, output_dim):
    return MLP(input_shape, output_dim, width=8)


def make(rule=None, interventions=None, replicas=None, groups=None, **how):
    data = Online(TASK, batch_size=BATCH, test_size=64)
    data.schedule(STEPS, STEPS)
    training = TrainingSettings(
        build,
        optimizer=rule or RULES["sgd"],
        replicas=replicas or Replicas(2),
        groups=groups or {},
        interventions=interventions if interventions is not None else {"ema": EMA(0.9)},
    )
    return ReplicaStack(data, training, ExecutionSettings(**{"compile": "never"} | how))


def trained(*args, **settings):
    stack = make(*args, **settings)
    stack.train_steps(0, STEPS)
    return stack


def average(stack):
    matrices = stack.spec.packing.matrices(stack.state.memory["ema"]["average"])
    return stack.spec.packing.unpack(matrices)


@pytest.mark.parametrize("groups", [None, {"first": ParameterGroup("layers.0.*", lr=0.1)}])
def test_each_replica_has_the_average_of_torch_at_its_own_decay(groups):
    replicas = Replicas(2, vary={"model.interventions.ema.decay": [0.0, 0.5, 0.9]})
    stack = trained(replicas=replicas, groups=groups)
    for replica, (decay, seed) in enumerate((decay, seed) for decay in (0.0, 0.5, 0.9) for seed in (0, 1)):
        network = initial_network(lambda: build((8,), 1), seed)
        first, last = network.layers
        options = [{"params": first.parameters(), "lr": 0.1 if groups else 0.3}, {"params": last.parameters()}]
        optimizer = torch.optim.SGD(options, 0.3, momentum=0.9)
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
        for step in range(STEPS):
            index = torch.arange(step * BATCH, (step + 1) * BATCH)[None]
            x, y = TASK.examples(random.key(seed)[None], index)
            optimizer.zero_grad()
            torch.nn.functional.soft_margin_loss(network(x[0])[:, 0], y[0]).backward()
            optimizer.step()
            averaged.update_parameters(network)
        for name, expected in averaged.module.named_parameters():
            torch.testing.assert_close(average(stack)[name][replica], expected.detach(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_training_does_not_change(rule):
    with_average, without = trained(rule), trained(rule, {})
    torch.testing.assert_close(with_average.parameters_by_name(), without.parameters_by_name(), rtol=0, atol=0)


def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(tmp_path):
    whole, stopped, fresh = trained(), make(), make()
    stopped.train_steps(0, 5)
    torch.save(stopped.state_dict(), tmp_path / "state")
    fresh.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    fresh.train_steps(5, STEPS - 5)
    torch.testing.assert_close(average(fresh), average(whole), rtol=0, atol=0)
    assert not torch.equal(average(whole)["layers.0.weight"], whole.parameters_by_name()["layers.0.weight"])


def test_the_average_of_a_replica_that_diverges_stays_as_it_was_and_the_others_go_on():
    alone = trained(replicas=Replicas(1))
    stack = trained(replicas=Replicas(1, vary={"model.optimizer.lr": [0.3, 1e30]}))
    assert (stack.record["diverged_at"] >= 0).tolist() == [False, True]
    for name, value in average(stack).items():
        torch.testing.assert_close(value[0], average(alone)[name][0], rtol=1e-4, atol=2e-5)
    at = int(stack.record["diverged_at"][1])
    before = make(replicas=Replicas(1, vary={"model.optimizer.lr": [0.3, 1e30]}))
    before.train_steps(0, at)
    torch.testing.assert_close(
        stack.state.memory["ema"]["average"][1], before.state.memory["ema"]["average"][1], equal_nan=True
    )


def test_frozen_parameters_are_their_own_average():
    stack = trained(groups={"first": ParameterGroup("layers.0.*", frozen=True)})
    torch.testing.assert_close(average(stack)["layers.0.weight"], stack.parameters_by_name()["layers.0.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_compiled_equals_eager(fused):
    eager, compiled = trained(), trained(compile="always", fused=fused)
    assert compiled.engine.route is compiled.engine.steps
    torch.testing.assert_close(average(compiled), average(eager), rtol=1e-4, atol=2e-5)


class Shrunk(WeightIntervention):
    """Scales the weights of a replica to a norm of at most 1."""

    def apply(self, weights, settings, state, step):
        return weights / weights.norm(dim=1, keepdim=True).clamp(min=1.0), {}


def test_an_intervention_on_weights_changes_them_before_those_after_it():
    groups = {"bias": ParameterGroup("layers.1.bias", frozen=True)}
    stack = trained(interventions={"shrunk": Shrunk(), "ema": EMA(0.0)}, groups=groups)
    row = stack.spec.packing.whole_row(stack.state.packed)
    torch.testing.assert_close(average(stack)["layers.0.weight"], stack.parameters_by_name()["layers.0.weight"])
    assert (row.norm(dim=1) < 1.2).all()
    assert torch.equal(stack.parameters_by_name()["layers.1.bias"], make().parameters_by_name()["layers.1.bias"])


def test_it_stands_beside_interventions_on_gradients():
    both, clipped = (
        trained(interventions={"ema": EMA(), "clip": ClipNorm(0.1)}),
        trained(interventions={"c": ClipNorm(0.1)}),
    )
    torch.testing.assert_close(both.parameters_by_name(), clipped.parameters_by_name(), rtol=0, atol=0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(SettingError, match="decay: got"):
        EMA(decay)


def test_other_weights_are_measured_and_the_weights_are_as_before():
    stack = trained()
    before = {name: value.clone() for name, value in stack.parameters_by_name().items()}
    own = stack.evaluate()
    with stack.having(stack.state.memory["ema"]["average"]):
        averaged = stack.evaluate()
    for replica in range(2):
        network = build((8,), 1)
        network.load_state_dict({name: value[replica] for name, value in average(stack).items()})
        x, y = stack.data.test_batch(stack.settings, stack.key, 0, 64)
        loss = torch.nn.functional.soft_margin_loss(network(x[replica])[:, 0], y[replica])
        torch.testing.assert_close(averaged["val/loss"][replica], loss.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stack.parameters_by_name(), before, rtol=0, atol=0)
    torch.testing.assert_close(stack.evaluate(), own, rtol=0, atol=0)


AVERAGE = ["--model.interventions.ema", "EMA", "--replicas.vary.model.interventions.ema.decay", "[0.0, 0.99]"]


def test_the_callback_measures_it_by_svl_fit(svl, tmp_path, tiny):
    words = [word.replace("[NormRatio]", "[AveragedWeights]") for word in tiny]
    done = svl(tmp_path, *words, *AVERAGE, "--target.metric", "ema/val/accuracy")
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    without = history[history["model.interventions.ema.decay"] == 0.0]
    assert without["ema/val/loss"].tolist() == pytest.approx(without["val/loss"].tolist(), rel=1e-6)
    others = history[(history["model.interventions.ema.decay"] > 0) & (history["step"] > 5)]
    assert (others["ema/val/loss"] != others["val/loss"]).all()
    assert {"ema/val/accuracy", "val/accuracy"} <= set(history.columns)


def test_the_callback_needs_an_average(svl, tmp_path, tiny):
    done = svl(tmp_path, *(word.replace("[NormRatio]", "[AveragedWeights]") for word in tiny))
    assert done.status == 2
    assert "allowed: fits with an average of the weights" in done.err and done.err.count("\n") == 1
