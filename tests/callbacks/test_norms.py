"""Norms against NumPy's, growth against the seeds' initial weights, and all of it after a stop."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch

from svl.callbacks import Norms
from svl.data import Online
from svl.errors import SettingError
from svl.models import MLP, QuadraticNeuron
from svl.optim import SGD
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.batch_steps import _WORK
from svl.training.replica_module import ReplicaModule


def module(replicas, network=MLP, loss="logistic"):
    made = ReplicaModule(network, loss, SGD(lr=0.5), replicas=replicas, compile="never")
    made.prepare(Online(Parity(6, 2), batch_size=16, test_size=32), 100, 10)
    return made


def weights(made):
    parameters = made.stack.parameters_by_name()
    return {name: parameters[name].numpy().copy() for name in ("layers.0.weight", "layers.1.weight")}


def test_norm_growth_and_update_are_those_of_numpy():
    made, norms = module(Replicas(3)), Norms()
    seen = [norms.measure(made)]
    before = weights(made)
    for start in (0, 7):
        made.stack.train_steps(start, 7)
        seen.append(norms.measure(made))
        now = weights(made)
        for name, weight in now.items():
            first = [initial_network(lambda: MLP((6,), 1), seed).get_parameter(name).detach() for seed in range(3)]
            norm = np.linalg.norm(weight, axis=(1, 2))
            expected = {
                "norm": norm,
                "growth": norm / np.linalg.norm(np.stack(first), axis=(1, 2)),
                "update": np.linalg.norm(weight - before[name], axis=(1, 2)),
            }
            for kind, values in expected.items():
                np.testing.assert_allclose(seen[-1][f"{kind}/{name}"].numpy(), values, rtol=1e-5)
        before = now
    assert all(list(one) == list(norms.names(made)) for one in seen)
    assert (seen[0]["growth/layers.0.weight"] == 1).all() and (seen[0]["update/layers.0.weight"] == 0).all()


def test_a_replica_has_the_norms_of_its_solo_run():
    def measured(replicas):
        made, norms = module(replicas), Norms()
        norms.measure(made)
        made.stack.train_steps(0, 10)
        return norms.measure(made)

    together = measured(Replicas(3))
    for name, column in measured(Replicas(1, first_seed=2)).items():
        torch.testing.assert_close(column, together[name][2:], rtol=1e-5, atol=1e-6)


def test_a_network_without_matrices_has_none():
    with pytest.raises(SettingError, match=r"trainer\.callbacks.*weight matrices"):
        Norms().names(module(Replicas(1), QuadraticNeuron, "correlation"))


def test_a_stop_between_two_measurements_changes_nothing(svl, tiny, tmp_path, monkeypatch):
    words = [*tiny, "--trainer.callbacks", "[Norms, Feature]"]
    # One step a Lightning batch, so that the fit can stop anywhere.
    monkeypatch.setitem(_WORK, "cpu", 0)
    undisturbed = svl(tmp_path, *words)

    def stop(self, trainer, *_):
        if trainer.global_step == 12:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Norms, "on_train_batch_end", stop)
        stopped = svl(tmp_path, *words, "--experiment", "stopped")
    assert stopped.status == 128 + signal.SIGTERM and "stopped at step 12 of 20" in stopped.out
    resumed = svl(tmp_path, *words, "--experiment", "stopped", "--ckpt_path", "last")
    assert resumed.status == 0, resumed.err
    assert resumed.path == stopped.path
    for file in ("history.parquet", "history.csv"):
        assert (resumed.path / file).read_bytes() == (undisturbed.path / file).read_bytes()
    history = pd.read_parquet(resumed.path / "history.parquet")
    assert (history.loc[history["step"] > 0, "update/layers.0.weight"] > 0).all()


def test_a_target_can_be_a_column_that_the_network_names(svl, tiny, tmp_path):
    words = [*tiny, "--trainer.callbacks", "[Norms]", "--target.value", "1.01"]
    assert svl(tmp_path, *words, "--target.metric", "growth/layers.0.weight").status == 0
    wrong = svl(tmp_path, *words, "--target.metric", "growth/layers.0.wieght")
    assert wrong.status == 2
    assert wrong.err.count("\n") == 1 and "did you mean 'growth/layers.0.weight'?" in wrong.err
