"""A replica that becomes non-finite is frozen, counted and apart: the others never notice."""

import pytest
import torch

from svl.data import FullBatch, Online, Subset
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ParameterGroup

STEPS = 40
RATE = "model.optimizer.lr"


def run(lab, rates, data=None, rule=None, **settings):
    data = data or Online(Parity(10, 3), batch_size=32, test_size=100)
    rule = rule or SGD(momentum=0.9)
    stack = lab.stack(data, STEPS, rule=rule, replicas=Replicas(2, vary={RATE: rates}), **settings)
    stack.train_steps(0, STEPS)
    return stack


def rows(stack, chosen):
    tensors = {**stack.parameters_by_name(), **stack.record}
    tensors |= {f"{name} {part}": value for name, state in stack.state.rule.items() for part, value in state.items()}
    return {name: value[chosen].clone() for name, value in tensors.items()}


def test_it_stays_as_it_was_when_its_loss_stopped_being_finite(lab):
    network = lab.network(depth=3)
    stack = run(lab, [0.1, 1e30], network=network)
    for replica, seed in ((2, 0), (3, 1)):
        plain = lab.plain_network(Parity(10, 3), seed, network)
        optimizer = torch.optim.SGD(plain.parameters(), 1e30, momentum=0.9)
        for step in range(STEPS):
            x, y = lab.examples(Parity(10, 3), seed, range(32 * step, 32 * (step + 1)))
            loss = lab.losses["logistic"](plain(x).squeeze(-1), y)
            if not loss.isfinite():
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert stack.record["diverged_at"][replica] == step > 0
        assert stack.record["steps"][replica] == step
        for name, parameter in plain.named_parameters():
            torch.testing.assert_close(stack.parameters_by_name()[name][replica], parameter.detach(), rtol=1e-4, atol=0)
    assert stack.record["diverged_at"][:2].tolist() == [-1, -1]


@pytest.mark.parametrize("rule", [SGD(momentum=0.9), AdamW()])
def test_nothing_of_it_changes_any_more(lab, rule):
    stack = run(lab, [1e-2, 1e30, 3e-2], rule=rule)
    frozen, before = slice(2, 4), rows(stack, slice(2, 4))
    assert (before.pop("diverged_at") < STEPS - 1).all()
    stack.train_steps(STEPS, 20)
    after = rows(stack, frozen)
    del before["samples"]
    for name, value in before.items():
        assert torch.equal(value.nan_to_num(), after[name].nan_to_num()), name


def test_its_metrics_are_nan_and_only_its(lab):
    stack = run(lab, [0.1, 1e30])
    for metrics in (stack.train_metrics(), stack.evaluate()):
        assert len(metrics) == 2
        for values in metrics.values():
            assert values.isfinite().tolist() == [True, True, False, False]
            assert values.isnan().tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "data",
    [
        lambda: Subset(Parity(10, 3), 64, batch_size=32, test_size=100),
        lambda: FullBatch(Parity(10, 3), 64, micro_batch_size=32, test_size=100),
    ],
)
def test_the_others_are_bit_equal_to_a_run_without_it(lab, data):
    ill, well = run(lab, [0.1, 1e30, 0.3], data()), run(lab, [0.1, 0.2, 0.3], data())
    assert (ill.record["diverged_at"] >= 0).tolist() == [False, False, True, True, False, False]
    for others in (slice(0, 2), slice(4, 6)):
        for (name, one), other in zip(rows(ill, others).items(), rows(well, others).values(), strict=True):
            assert torch.equal(one, other), name
    for name, values in well.evaluate().items():
        assert torch.equal(ill.evaluate()[name][[0, 1, 4, 5]], values[[0, 1, 4, 5]])


def test_parameters_that_are_no_longer_finite_have_no_accuracy(lab):
    # One step from such large weights overflows them; no train loss has been computed with them yet.
    groups, network = {"all": ParameterGroup("*", scale=100.0)}, lab.network(activation="quadratic")
    stack = lab.stack(rule=SGD(1e38), replicas=Replicas(2), loss="correlation", network=network, groups=groups)
    stack.train_steps(0, 1)
    assert not stack.parameters_by_name()["layers.0.bias"].isfinite().all(1).any()
    assert stack.record["diverged_at"].tolist() == [-1, -1]
    assert all(values.isnan().all() for values in stack.evaluate().values())
    stack.train_steps(1, 1)
    assert stack.record["diverged_at"].tolist() == [1, 1]
