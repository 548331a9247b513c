"""E(K, N) of a small language model of bytes: does a larger N stand more epochs?

Source: Yan et al. 2025, the experiments on language-model pre-training.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from scipy import stats

from svl.results.run import CONFIG
from svl.results.statistics import Estimate
from svl.results.style import GREY, RAMP
from svl.theory import experiment
from svl.theory.experiment import Finding, Size, Track
from svl.theory.fitting import fit

CONFIG_FILE = "configs/theory/language_model.yaml"
SIZE, RATE, LOSS = "data.size", "model.optimizer.lr", "val/loss"
SMOKE = (
    *("--replicas.seeds", "2", "--replicas.vary.data.size", "[16, 32, online]", "--data.batch_size", "4"),
    *("--replicas.vary.model.optimizer.lr", "[0.01]", "--trainer.max_steps", "48", "--trainer.log_every_n_steps", "4"),
    *("--data.test_size", "16", "--data.task.length", "8", "--data.task.max_bytes", "200000"),
)


class Reuse(NamedTuple):
    """E(K, N) of one N.

    Attributes:
        epochs: K, at the logged steps that end an epoch.
        seeds: E of each seed at each K.
        loss: test loss, a mean over seeds.
        rates: learning rate that is best at each K.
    """

    samples: int
    epochs: list[int]
    seeds: Float[ndarray, "epoch seed"]
    loss: Float[ndarray, "epoch"]
    rates: list[float]


def by_step(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Losses ``[step, seed]`` at the rate that is best at each step for the mean over seeds, and these rates."""
    losses = rows.pivot(index="step", columns=[RATE, "seed"], values=LOSS)
    best = losses.T.groupby(level=RATE).mean().T.idxmin(axis=1)
    tuned = pd.DataFrame({step: losses.loc[step, best[step]] for step in losses.index}).T
    return tuned, best


def one_pass(losses: pd.Series, batch: int) -> tuple[Float[ndarray, "point"], Float[ndarray, "point"]]:
    """Minus the loss of fresh data, rising, and the logarithm of the examples it takes.

    A cubic in that logarithm: the difference of neighbouring measurements is mostly noise.
    """
    log = np.log(losses.index.to_numpy(float) * batch)
    points = np.linspace(log[0], log[-1], 200)
    curve = np.polynomial.Polynomial.fit(log, losses.to_numpy(float), min(3, len(log) - 1))
    return np.maximum.accumulate(-curve(points)), points


def reuse(history: pd.DataFrame, batch: int) -> list[Reuse]:
    """E(K, N) of every N: the length of one pass over fresh data with the same loss, over N, seed by seed."""
    history = history[history["step"] > 0]
    fresh = by_step(history[history[SIZE].astype(str) == "online"])[0]
    curves = {seed: one_pass(fresh[seed], batch) for seed in fresh}
    found = []
    for size, rows in history[history[SIZE].astype(str) != "online"].groupby(SIZE, sort=False):
        samples = int(str(size))
        tuned, best = by_step(rows)
        ends = [int(step) for step in tuned.index if step * batch % samples == 0]
        # What is beyond the fresh run, before its first measurement or after its last, is unknown.
        edges = {"left": np.nan, "right": np.nan}
        values = np.array(
            [[np.interp(-tuned.loc[step, one], *curves[one], **edges) for one in curves] for step in ends]
        )
        epochs, loss = [step * batch // samples for step in ends], tuned.loc[ends].mean(axis=1).to_numpy()
        found.append(Reuse(samples, epochs, np.exp(values) / samples, loss, [float(best[step]) for step in ends]))
    return found


def estimate(seeds: Float[ndarray, "seed"]) -> Estimate:
    """Mean with Student's interval: there are few seeds."""
    reach = float(stats.t.ppf(0.975, len(seeds) - 1) * stats.sem(seeds))
    return Estimate(float(seeds.mean()), float(seeds.mean()) - reach, float(seeds.mean()) + reach)


def run(size: Size, track: Track) -> Finding:
    """Fit, E(K, N) for each N, and their difference at equal K."""
    with tempfile.TemporaryDirectory() as folder:
        run = fit(CONFIG_FILE, Path(folder), *(SMOKE if size == "smoke" else ()))
        history = pd.read_parquet(run / "history.parquet")
        batch = yaml.safe_load((run / CONFIG).read_text())["data"]["init_args"]["batch_size"]
    found = reuse(history, batch)
    tables = [table(found), ordering(found)]
    numbers: dict[str, Any] = {"curves": []}
    for one in found:
        for place, count in enumerate(one.epochs):
            reuse_rate = {name: None if np.isnan(x) else x for name, x in estimate(one.seeds[place])._asdict().items()}
            entry = {"samples": one.samples, "epochs": count, "loss": float(one.loss[place]), "rate": one.rates[place]}
            numbers["curves"].append({**entry, **reuse_rate})
    gaps = {count: gap._asdict() for count, gap in differences(found).items()}
    finite = {count: {k: None if np.isnan(x) else x for k, x in gap.items()} for count, gap in gaps.items()}
    return Finding(tables, draw(found, history, batch), {**numbers, "differences": finite})


def table(found: list[Reuse]) -> Any:
    """E for each N and K."""
    rows = []
    for one in found:
        for place, count in enumerate(one.epochs):
            if count & (count - 1) == 0:
                perplexity = experiment.number(float(np.exp(one.loss[place])))
                cells = [experiment.number(one.rates[place]), experiment.interval(*estimate(one.seeds[place]))]
                rows.append([str(one.samples), str(count), perplexity, *cells])
    columns = ["N windows", "epochs K", "perplexity", "best rate", "E(K, N)"]
    caption = "mean over seeds, Student's interval; unknown where the loss is beyond the fresh run's"
    return experiment.table("E(K, N) of a language model of bytes", columns, rows, caption)


def differences(found: list[Reuse]) -> dict[int, Estimate]:
    """E of the larger N less that of the smaller, seed by seed, at every K that both have."""
    small, large = found[0], found[-1]
    return {
        count: estimate(large.seeds[large.epochs.index(count)] - small.seeds[small.epochs.index(count)])
        for count in sorted(set(small.epochs) & set(large.epochs))
    }


def ordering(found: list[Reuse]) -> Any:
    """The table of :func:`differences`."""
    rows = []
    for count, gap in differences(found).items():
        verdict = "larger" if gap.low > 0 else "smaller" if gap.high < 0 else "undecided"
        rows.append([str(count), experiment.interval(*gap), verdict])
    columns = ["epochs K", "difference", "E of the larger N is"]
    return experiment.table(f"E(K, {found[-1].samples}) - E(K, {found[0].samples})", columns, rows)


def draw(found: list[Reuse], history: pd.DataFrame, batch: int) -> Figure:
    """Tuned test loss against samples, and E against K."""
    figure, (loss, rate) = experiment.panels(1, 2)
    fresh = by_step(history[(history[SIZE].astype(str) == "online") & (history["step"] > 0)])[0].mean(axis=1)
    loss.plot(fresh.index * batch, fresh, color=RAMP(1.0), linewidth=1.6, label="fresh data")
    for place, one in enumerate(found):
        color = RAMP(place / len(found))
        processed = np.array(one.epochs) * one.samples
        loss.plot(processed, one.loss, "o-", markersize=3, color=color, linewidth=1.2, label=f"N = {one.samples}")
        means = [estimate(seeds) for seeds in one.seeds]
        experiment.points(rate, one.epochs, means, f"N = {one.samples}", color=color)
    most = min(max(one.epochs) for one in found)
    rate.plot([1, most], [1, most], color=GREY, linestyle="--", linewidth=1, label="E = K")
    experiment.decorate(loss, "Language model of bytes", "windows processed", "test loss at the best rate", "x")
    experiment.decorate(rate, "Effective reuse rate", "epochs K", "E(K, N)")
    experiment.legend(loss)
    experiment.legend(rate)
    return figure
