"""A stack saved and loaded goes on, bit for bit, as one that was never stopped."""

import pytest
import torch

from svl.data import AutomaticPhases, FullBatch, Phases, Subset
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity

STEPS, STOP = 40, 17
TASK = Parity(8, 3)
DATA = {
    "subset": lambda: Subset(TASK, 50, batch_size=16, test_size=100),
    "phases": lambda: Phases(TASK, [16, "online"], [20], batch_size=16, test_size=100),
    "automatic phases": lambda: AutomaticPhases(TASK, 6, 16, 128, 0.65, 5, batch_size=16, test_size=100),
    "full batch": lambda: FullBatch(TASK, 50, None, 20, test_size=100),
}


def everything(stack):
    return {**stack.parameters_by_name(), **stack.get_extra_state(), **stack.train_metrics(), **stack.evaluate()}


def copied(lab, stack):
    return lab.through_a_file(everything(stack))


@pytest.mark.parametrize(("strategy", "optimizer"), [("subset", "SGD"), *((strategy, "AdamW") for strategy in DATA)])
def test_loading_goes_on_bit_for_bit(lab, strategy, optimizer):
    rule = {"SGD": SGD(momentum=0.9), "AdamW": AdamW()}[optimizer]

    def new():
        replicas = Replicas(3, vary={"model.optimizer.lr": [1e-2, 5e-2]})
        return lab.stack(DATA[strategy](), STEPS, rule=rule, replicas=replicas)

    whole = new()
    whole.train_steps(0, STEPS)
    stopped = new()
    stopped.train_steps(0, STOP)
    saved = lab.through_a_file(stopped.state_dict())
    resumed, used = new(), new()
    used.train_steps(0, 11)  # its blocks are made already: loading must reach into them
    expected = copied(lab, whole)
    if strategy == "automatic phases":
        phase = saved["_extra_state"]["data"]["phase"]
        assert len(phase.unique()) > 1 and (expected["data"]["phase"] > phase).any()
    for stack in (resumed, used):
        stack.load_state_dict(saved)
        stack.train_steps(STOP, STEPS - STOP)
        torch.testing.assert_close(everything(stack), expected, rtol=0, atol=0)


def test_the_state_holds_every_tensor_that_training_changes(lab):
    stack = lab.stack(DATA["automatic phases"](), STEPS, rule=AdamW(1e-2), replicas=Replicas(4))
    before = lab.through_a_file(stack.state_dict())
    stack.train_steps(0, STEPS)
    after = stack.state_dict()
    rule = after["_extra_state"]["rule"]
    assert set(rule) == set(stack.parameters_by_name())
    for name, parts in rule.items():
        assert set(parts) == {"exp_avg", "exp_avg_sq"}
        assert all(not torch.equal(value, before["_extra_state"]["rule"][name][part]) for part, value in parts.items())
    assert {f"network.{name}" for name in stack.parameters_by_name()} | {"_extra_state"} == set(after)


def test_a_diverged_replica_is_still_frozen_after_loading(lab):
    def new():
        return lab.stack(steps=STEPS, rule=SGD(), replicas=Replicas(2, vary={"model.optimizer.lr": [0.1, 1e30]}))

    stack = new()
    stack.train_steps(0, STOP)
    diverged_at = stack.record["diverged_at"].clone()
    assert (diverged_at >= 0).tolist() == [False, False, True, True]
    other = new()
    other.load_state_dict(lab.through_a_file(stack.state_dict()))
    other.train_steps(STOP, 10)
    assert torch.equal(other.record["diverged_at"], diverged_at)
    for name, parameter in stack.parameters_by_name().items():
        assert torch.equal(other.parameters_by_name()[name][2:], parameter[2:])
