"""Cosines and norms against autograd and NumPy on the same batches, the noise scale against an exact covariance."""

import copy
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.func import functional_call

from svl.callbacks import GradientSimilarity
from svl.callbacks.gradient_similarity import gram, noise
from svl.data import FullBatch, Online, Population, Subset
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.models import MLP, QuadraticNeuron
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.batch_steps import _WORK
from svl.training.blocks import view
from svl.training.groups import ParameterGroup
from svl.training.replica_module import ReplicaModule

BATCH, STEPS = 8, 7


def module(data=None, replicas=None, log_every=1, network=MLP, **settings):
    replicas = replicas or Replicas(3)
    made = ReplicaModule(network, "correlation", SGD(lr=0.3), replicas=replicas, compile="never", **settings)
    made.prepare(data or Online(Parity(6, 2), batch_size=BATCH, test_size=16), 100, log_every)
    made.stack.train_steps(0, STEPS)
    made.trainer = SimpleNamespace(global_step=STEPS, state=SimpleNamespace(fn="fit"))
    return made


def plain_gradients(made, replica, batches, size=BATCH):
    """By parameter name, ``[batch, number]``: autograd of one network on one batch after the other, in float64."""
    parameters = {name: p[replica].double().requires_grad_() for name, p in made.stack.parameters_by_name().items()}
    network, data = MLP((6,), 1), made.stack.data
    rows = {name: [] for name in parameters}
    for step in range(STEPS, STEPS + batches):
        settings = view(made.stack.settings, slice(replica, replica + 1))
        key, now = made.stack.key[replica : replica + 1], torch.tensor(step)
        draw = Draw(settings, {}, key, now, torch.tensor(0), data.batch_size)
        x, y = (part[0, :size].double() for part in data.batch(draw)[:2])
        loss = -(y * functional_call(network, parameters, (x,))[:, 0]).mean()
        for name, gradient in zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True):
            rows[name].append(gradient.flatten().numpy())
    return {name: np.stack(part) for name, part in rows.items()}


def expected(rows):
    """Mean cosine over the pairs and mean norm."""
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[:i]]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
    return np.mean(cosines), np.mean([np.linalg.norm(row) for row in rows])


@pytest.mark.parametrize("has_groups", [False, True])
def test_they_are_those_of_a_plain_loop(has_groups):
    first, last = ["layers.0.weight", "layers.0.bias"], ["layers.1.weight", "layers.1.bias"]
    groups = {"out": ParameterGroup(last, lr=0.1)} if has_groups else {}
    parts = {"out": last} if has_groups else {name: [name] for name in (first[0], last[0])}
    data = Subset(Parity(6, 2), size=40, batch_size=BATCH, test_size=16)
    made, callback = module(data, groups=groups), GradientSimilarity(batches=3, every=1)
    measured = callback.measure(made)
    assert list(measured) == list(callback.names(made))
    assert len(measured) == 5 + 2 * len(parts)
    for replica in range(3):
        rows = plain_gradients(made, replica, 3)
        for suffix, names in {"": [*first, *last], **{f"/{part}": own for part, own in parts.items()}}.items():
            cosine, norm = expected(np.concatenate([rows[name] for name in names], axis=1))
            np.testing.assert_allclose(measured[f"gradient_cosine{suffix}"][replica].item(), cosine, rtol=1e-4)
            np.testing.assert_allclose(measured[f"gradient_norm{suffix}"][replica].item(), norm, rtol=1e-5)


def test_the_noise_scale_is_that_of_mccandlish_with_batches_of_each_replicas_size():
    axes = Subset(Parity(6, 2), size=40, batch_size=BATCH, test_size=16, batch_ratio=0.1)
    replicas = Replicas(2, vary={"data.batch_ratio": [0.1, 0.2]})
    made = module(axes, replicas)
    assert made.stack.settings["batch"].tolist() == [4, 4, 8, 8]
    measured = GradientSimilarity(batches=4, every=1).measure(made)
    for replica, size in enumerate([4, 4, 8, 8]):
        rows = np.concatenate(list(plain_gradients(made, replica, 4, size).values()), axis=1)
        # Appendix A.1, with B_small = B and B_big = 4 B.
        small, big = (rows**2).sum(1).mean(), (rows.mean(0) ** 2).sum()
        square = (4 * size * big - size * small) / (4 * size - size)
        variance = (small - big) / (1 / size - 1 / (4 * size))
        np.testing.assert_allclose(measured["gradient_square"][replica].item(), square, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(measured["gradient_variance"][replica].item(), variance, rtol=1e-4)
        scale = measured["gradient_noise_scale"][replica].item()
        np.testing.assert_allclose(scale, variance / square if square > 0 else np.nan, rtol=1e-3)


def test_the_estimates_are_without_bias():
    """Examples with gradients N(G, Sigma): the mean over many replicas is |G|^2 and tr(Sigma)."""
    generator = np.random.default_rng(0)
    mean, factor = generator.normal(size=5), generator.normal(size=(5, 5))
    examples = mean + generator.normal(size=(3, 20000, BATCH, 5)) @ factor.T
    found = noise(gram(torch.tensor(examples.mean(2))), BATCH)
    for name, truth in (("square", mean @ mean), ("variance", np.trace(factor @ factor.T))):
        values = found[f"gradient_{name}"].numpy()
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))
        assert values.std() / np.sqrt(len(values)) < 0.02 * truth


def test_a_set_of_one_batch_has_one_gradient_and_a_frozen_one_none():
    replicas = Replicas(2, vary={"model.groups.in.frozen": [False, True]})
    data = Subset(Parity(6, 2), size=BATCH, batch_size=BATCH, test_size=16)
    made = module(data, replicas, groups={"in": ParameterGroup("layers.0.*")})
    measured = GradientSimilarity(every=1).measure(made)
    torch.testing.assert_close(measured["gradient_cosine"], torch.ones(4))
    assert measured["gradient_cosine/in"].isnan().tolist() == [False, False, True, True]
    assert measured["gradient_norm/in"].tolist()[2:] == [0, 0]
    assert (measured["gradient_variance"].abs() < 1e-5 * measured["gradient_square"]).all()


def test_measuring_changes_nothing():
    made = module()
    before = copy.deepcopy(made.stack.state_dict())
    GradientSimilarity(every=1).measure(made)
    torch.testing.assert_close(made.stack.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("log_every", "batches", "is_slow", "interval"),
    [(100, 4, False, 1), (25, 4, False, 4), (20, 5, False, 5), (1, 4, False, 80), (25, 4, True, 32)],
)
def test_it_is_measured_as_often_as_five_per_cent_allow(log_every, batches, is_slow, interval):
    made = module(log_every=log_every)
    # A compiled step beside eager gradients: nothing of it runs here.
    engine = made.stack.engine
    plan = replace(engine.plan, is_compiled=is_slow, compiles_gradients=False)
    made.stack.engine = engine._replace(plan=plan)
    assert GradientSimilarity(batches).interval(made) == interval
    assert GradientSimilarity(batches, every=3).interval(made) == 3
    steps = batches * (10 if is_slow else 1)
    assert steps <= 0.05 * interval * log_every and steps > 0.05 * (interval - 1) * log_every


def test_a_network_without_matrices_has_no_parts():
    made = module(network=QuadraticNeuron)
    assert tuple(GradientSimilarity().names(made)) == GradientSimilarity.metrics


@pytest.mark.parametrize("strategy", [Population(Parity(5, 2), test_size=8), FullBatch(Parity(6, 2), 8, test_size=8)])
def test_strategies_with_one_batch_alone_are_refused(strategy):
    with pytest.raises(SettingError, match=f"GradientSimilarity with {type(strategy).__name__}"):
        GradientSimilarity().names(module(strategy))


def test_settings_out_of_range_are_refused():
    for settings in ({"batches": 1}, {"every": 0}):
        with pytest.raises(SettingError, match=f"^{next(iter(settings))}: got"):
            GradientSimilarity(**settings)


def test_it_is_measured_at_every_nth_measurement_and_a_stop_changes_nothing(svl, tiny, tmp_path, monkeypatch):
    callbacks = "[{class_path: GradientSimilarity, init_args: {batches: 2, every: 3}}, PhaseLog, SamplingBias, Rates]"
    words = [*tiny, "--trainer.callbacks", callbacks]
    # One step a Lightning batch, so that the fit can stop anywhere.
    monkeypatch.setitem(_WORK, "cpu", 0)
    undisturbed = svl(tmp_path, *words)
    assert undisturbed.status == 0, undisturbed.err
    history = pd.read_parquet(undisturbed.path / "history.parquet")
    measured = history[history["gradient_cosine"].notna()]
    assert sorted(measured["step"].unique()) == [0, 15, 20]

    def stop(self, trainer, *_):
        if trainer.global_step == 12:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(GradientSimilarity, "on_train_batch_end", stop)
        stopped = svl(tmp_path, *words, "--experiment", "stopped")
    assert "stopped at step 12 of 20" in stopped.out
    resumed = svl(tmp_path, *words, "--experiment", "stopped", "--ckpt_path", "last")
    assert resumed.status == 0, resumed.err
    for file in ("history.parquet", "history.csv", "phases.csv"):
        assert (resumed.path / file).read_bytes() == (undisturbed.path / file).read_bytes()


def test_a_full_batch_ends_in_one_line(svl, tiny, tmp_path):
    refused = svl(tmp_path, *tiny, "--data", "Population", "--trainer.callbacks", "[GradientSimilarity]")
    assert refused.status == 2 and refused.err.count("\n") == 1
    assert "GradientSimilarity with Population" in refused.err
