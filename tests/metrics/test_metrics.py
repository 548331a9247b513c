"""Per-replica metrics: each replica's value is what torchmetrics, or scikit-learn, says of that replica's outputs."""

import functools

import pytest
import torch
import torchmetrics
from sklearn import metrics as reference
from torchmetrics import classification, regression

from svl.data import Subset
from svl.errors import SettingError
from svl.metrics.predictions import predictions
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import LinearRegression, ModularAddition, Parity
from svl.training import ReplicaModule

SMALL = functools.partial(MLP, width=8)


def trained(task, metrics, loss, steps=5, seeds=3, test_size=1500, network=SMALL, **settings):
    """A module after a few steps, with what it has measured and every replica's outputs on its test examples."""
    replicas = Replicas(seeds, vary={"model.optimizer.lr": [0.1, 0.5]})
    module = ReplicaModule(
        network, loss, SGD(), replicas=replicas, compile="never", metrics=metrics, block_size=4, **settings
    )
    module.prepare(Subset(task, 32, batch_size=16, test_size=test_size), 10, 10)
    module.stack.train_steps(0, steps)
    module.validation.update()
    parts = list(module.stack.predictions())
    rows = [[p for p in parts if p[0].start <= replica < p[0].stop] for replica in range(len(replicas))]
    outputs = [torch.cat([o[r - s.start] for s, o, _ in part]) for r, part in enumerate(rows)]
    targets = [torch.cat([t[r - s.start] for s, _, t in part]) for r, part in enumerate(rows)]
    return module, module.validation.compute(), outputs, targets


def test_metrics_of_signs_are_scikit_learn_s():
    named = {
        "auroc": classification.BinaryAUROC(),
        "f1": classification.BinaryF1Score(),
        "brier": regression.MeanSquaredError(),
    }
    _, measured, outputs, targets = trained(Parity(8, 2), named, "logistic")
    assert measured.keys() == {"val/loss", "val/accuracy", "val/auroc", "val/f1", "val/brier"}
    for replica, (output, target) in enumerate(zip(outputs, targets, strict=True)):
        assert output.shape == (1500, 1)
        score, label = output[:, 0].numpy(), target.numpy() > 0
        # torchmetrics sums areas in single precision.
        assert measured["val/auroc"][replica] == pytest.approx(reference.roc_auc_score(label, score), abs=1e-4)
        assert measured["val/f1"][replica] == pytest.approx(reference.f1_score(label, score > 0), abs=1e-6)
        probability = 1 / (1 + torch.exp(-output[:, 0].double()))
        brier = reference.brier_score_loss(label, probability.numpy())
        assert measured["val/brier"][replica] == pytest.approx(brier, rel=1e-5)


def test_metrics_of_classes_are_scikit_learn_s_and_calibration_is_torchmetrics_own():
    task = ModularAddition(11)
    named = {
        "f1": classification.MulticlassF1Score(num_classes=11, average="macro"),
        "ece": classification.MulticlassCalibrationError(num_classes=11),
        "accuracy_of_classes": classification.MulticlassAccuracy(num_classes=11, average="micro"),
    }
    _, measured, outputs, targets = trained(task, named, "cross_entropy", network=network_of(task))
    for replica, (output, target) in enumerate(zip(outputs, targets, strict=True)):
        predicted = output.argmax(1).numpy()
        macro = reference.f1_score(target.numpy(), predicted, average="macro", zero_division=0)
        assert measured["val/f1"][replica] == pytest.approx(macro, abs=1e-6)
        own = classification.MulticlassCalibrationError(num_classes=11)
        assert measured["val/ece"][replica] == pytest.approx(own(output.softmax(1), target).item(), abs=1e-6)
    torch.testing.assert_close(measured["val/accuracy_of_classes"], measured["val/accuracy"])


def network_of(task):
    from svl.models import Transformer

    return functools.partial(Transformer, width=8, depth=1, heads=2)


def test_metrics_of_numbers_are_scikit_learn_s():
    named = {"r2": regression.R2Score(), "mae": torchmetrics.MeanAbsoluteError()}
    _, measured, outputs, targets = trained(LinearRegression(6), named, "squared")
    for replica, (output, target) in enumerate(zip(outputs, targets, strict=True)):
        assert measured["val/r2"][replica] == pytest.approx(
            reference.r2_score(target.numpy(), output[:, 0].numpy()), rel=1e-4
        )
        mae = reference.mean_absolute_error(target.numpy(), output[:, 0].numpy())
        assert measured["val/mae"][replica] == pytest.approx(mae, rel=1e-5)


def test_a_second_measurement_forgets_the_first():
    module, first, _, _ = trained(Parity(8, 2), {"auroc": classification.BinaryAUROC()}, "logistic")
    module.validation.update()
    torch.testing.assert_close(module.validation.compute(), first, rtol=0, atol=0)


def test_one_replica_has_one_number():
    module = ReplicaModule(SMALL, replicas=Replicas(1), compile="never", metrics={"f1": classification.BinaryF1Score()})
    module.prepare(Subset(Parity(8, 2), 64), 10, 10)
    module.validation.update()
    assert {value.shape for value in module.validation.compute().values()} == {(1,)}


def test_a_diverged_replica_has_no_value():
    replicas = Replicas(2, vary={"model.optimizer.lr": [0.1, 1e30]})
    metrics = {"auroc": classification.BinaryAUROC()}
    module = ReplicaModule(SMALL, "squared", replicas=replicas, compile="never", metrics=metrics)
    module.prepare(Subset(Parity(8, 2), 64), 10, 10)
    module.stack.train_steps(0, 10)
    module.validation.update()
    assert module.validation.compute()["val/auroc"].isnan().tolist() == [False, False, True, True]


def test_positions_without_a_target_are_left_out():
    class Tokens(Parity):
        per_position, target = True, "class"

    outputs, targets = torch.randn(2, 3, 5), torch.tensor([[1, -100, 4], [-100, -100, 0]])
    probabilities, classes = predictions(Tokens(8, 2), outputs, targets)
    assert classes.tolist() == [1, 4, 0]
    torch.testing.assert_close(probabilities, torch.stack([outputs[0, 0], outputs[0, 2], outputs[1, 2]]).softmax(-1))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (classification.MulticlassF1Score(num_classes=3), "a metric for labels 0 and 1"),
        (classification.BinaryConfusionMatrix(), r"which returns \(2, 2\)'; allowed: a metric that returns one number"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_in_one_line(metric, message):
    module = ReplicaModule(SMALL, replicas=Replicas(1), compile="never", metrics={"mine": metric})
    with pytest.raises(SettingError, match=message) as caught:
        module.prepare(Subset(Parity(8, 2), 64), 10, 10)
    assert caught.value.key == "model.metrics.mine" and "\n" not in str(caught.value)


def test_a_name_that_is_taken_is_refused():
    module = ReplicaModule(SMALL, compile="never", metrics={"accuracy": classification.BinaryAccuracy()})
    with pytest.raises(SettingError, match=r"^model\.metrics\.accuracy: got 'accuracy'; allowed: another name"):
        module.prepare(Subset(Parity(8, 2), 64), 10, 10)
