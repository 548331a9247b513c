"""What a stack reports of itself."""

import pytest
import torch

from svl.data import Online, Subset
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity, Task
from svl.training import plan


@pytest.mark.parametrize("test_size", [1, 100, 1024, 2500])
@pytest.mark.parametrize("loss", ["logistic", "hinge", "squared", "correlation"])
def test_evaluation_is_the_mean_over_the_test_examples(lab, test_size, loss):
    task, replicas = Parity(10, 3), Replicas(2, vary={"model.optimizer.lr": [0.0, 0.1]})
    stack = lab.stack(Online(task, 32, test_size), 20, loss=loss, rule=SGD(), replicas=replicas, block_size=3)
    stack.train_steps(0, 5)
    metrics = stack.evaluate()
    assert set(metrics) == {"val/loss", "val/accuracy"}
    for replica, seed in enumerate(replicas.seed):
        plain = lab.plain_network(task, seed)
        plain.load_state_dict({name: p[replica] for name, p in stack.parameters_by_name().items()})
        x, y = lab.examples(task, seed, range(test_size), split="test")
        with torch.no_grad():
            outputs = plain(x).squeeze(-1)
        assert metrics["val/loss"][replica] == pytest.approx(lab.losses[loss](outputs, y).item(), rel=1e-5, abs=1e-6)
        hits = ((outputs > 0) == (y > 0)).sum().item()
        assert metrics["val/accuracy"][replica] * test_size == pytest.approx(hits, abs=1e-2)


def test_evaluation_changes_nothing(lab):
    stack = lab.stack()
    stack.train_steps(0, 5)
    before = lab.through_a_file(stack.state_dict())
    first, second = stack.evaluate(), stack.evaluate()
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(stack.state_dict(), before, rtol=0, atol=0)


def test_a_measurement_keeps_nothing_that_the_one_before_has_not_kept(lab):
    stack = lab.stack(compile="always", route="autograd")
    kept = stack.engine.evaluation.on_tests
    stack.evaluate()
    before = len(kept._by_call)
    assert kept.is_compiled and before
    stack.evaluate()
    list(stack.predictions())
    assert len(kept._by_call) == before


def test_test_examples_that_are_kept_and_those_made_anew_measure_the_same(lab, monkeypatch):
    found = []
    for numbers in (0, 2**20):
        monkeypatch.setattr(plan, "_TEST_NUMBERS_HELD", numbers)
        stack = lab.stack(Online(Parity(10, 3), 32, 2500), 20, replicas=Replicas(3), block_size=2)
        for start in (0, 10):
            stack.train_steps(start, 10)
            found.append(stack.evaluate())
        assert stack.engine.plan.holds_tests == bool(stack.engine.evaluation.kept) == bool(numbers)
    torch.testing.assert_close(found[:2], found[2:], rtol=0, atol=0)
    assert not torch.equal(found[0]["val/loss"], found[1]["val/loss"])


def test_train_metrics_are_the_mean_over_the_steps_since_the_last_call(lab):
    task = Parity(10, 3)
    stack = lab.stack(Online(task, 32), 30, rule=SGD(0.3), replicas=Replicas(2))
    plain = [lab.plain_network(task, seed) for seed in (0, 1)]
    optimizers = [torch.optim.SGD(network.parameters(), 0.3) for network in plain]
    for start, stop in ((0, 7), (7, 8), (8, 30)):
        stack.train_steps(start, stop - start)
        metrics = stack.train_metrics()
        for seed in (0, 1):
            batches = (lab.examples(task, seed, range(32 * t, 32 * (t + 1))) for t in range(start, stop))
            losses, accuracies = lab.loop(plain[seed], optimizers[seed], "logistic", batches)
            assert metrics["train/loss"][seed] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
            assert metrics["train/accuracy"][seed] == pytest.approx(sum(accuracies) / len(losses), rel=1e-5)


def test_there_are_no_train_metrics_before_the_first_step(lab):
    stack = lab.stack()
    assert all(values.isnan().all() for values in stack.train_metrics().values())
    stack.train_steps(0, 1)
    assert all(values.isfinite().all() for values in stack.train_metrics().values())
    assert all(values.isnan().all() for values in stack.train_metrics().values())


def test_samples_are_batches_times_steps(lab):
    replicas = Replicas(2, vary={"data.size": [10, "online"]})
    stack = lab.stack(Subset(Parity(10, 3), batch_size=24), 30, replicas=replicas)
    for start, count in ((0, 1), (1, 9), (10, 20)):
        stack.train_steps(start, count)
        assert stack.record["samples"].tolist() == [24 * (start + count)] * 4


class Line(Task):
    """Regression of a replica's first coordinate: a task without accuracy."""

    input_shape = (3,)

    def examples(self, key, index):
        x = torch.stack([torch.sin(index * (n + 1.0) + key[:, :1]) for n in range(3)], dim=-1)
        return x, x[..., 0]


def test_a_task_without_accuracy_reports_losses_alone(lab):
    stack = lab.stack(Online(Line(), 16, 50), 50, lab.network(depth=1), "squared", SGD(0.3), replicas=Replicas(2))
    first = stack.evaluate()
    stack.train_steps(0, 50)
    assert set(stack.train_metrics()) == {"train/loss"} and set(first) == {"val/loss"}
    assert (stack.evaluate()["val/loss"] < 0.05 * first["val/loss"]).all()
