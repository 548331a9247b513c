"""The effective reuse rate E(K, N) of a small byte-level language model: can a larger N be repeated more often?

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

from svl.results.files import CONFIG
from svl.results.statistics import Estimate
from svl.results.style import GREY, RAMP
from svl.theory import experiment
from svl.theory.experiment import Finding, Size, Track
from svl.theory.fitting import fit

CONFIG_FILE = "configs/theory/language_model.yaml"
SIZE, RATE, LOSS = "data.size", "model.optimizer.lr", "val/loss"
TUNING, REPORTED = 4, 8
"""Seeds on which rates are chosen, and seeds reported, in an experiment with a seed of its own."""
SMOKE = (
    *("--replicas.seeds", "2", "--replicas.vary.data.size", "[16, 32, online]", "--data.batch_size", "4"),
    *("--replicas.vary.model.optimizer.lr", "[0.01]", "--trainer.max_steps", "48", "--trainer.log_every_n_steps", "4"),
    *("--data.test_size", "16", "--data.task.length", "8", "--data.task.max_bytes", "200000"),
)


class Reuse(NamedTuple):
    """E(K, N) of one N.

    Attributes:
        samples: N.
        epochs: K at each logged step that ends an epoch.
        seeds: E of each seed at each K.
        loss: mean test loss over seeds at each K.
        rates: best learning rate at each K.
    """

    samples: int
    epochs: list[int]
    seeds: Float[ndarray, "epoch seed"]
    loss: Float[ndarray, "epoch"]
    rates: list[float]


def by_step(rows: pd.DataFrame, tuning: range = range(0)) -> tuple[pd.DataFrame, pd.Series]:
    """Losses ``[step, seed]`` at the rate with the smallest mean loss over seeds at each step, and these rates.

    Args:
        tuning: seeds on which the rates are chosen, which are not in the losses then; all choose if it is empty.
    """
    chooses = rows["seed"].isin(tuning) if tuning else rows["seed"].notna()
    choosing = rows[chooses].pivot(index="step", columns=[RATE, "seed"], values=LOSS)
    best = choosing.T.groupby(level=RATE).mean().T.idxmin(axis=1)
    losses = rows[~rows["seed"].isin(tuning)].pivot(index="step", columns=[RATE, "seed"], values=LOSS)
    tuned = pd.DataFrame({step: losses.loc[step, best[step]] for step in losses.index}).T
    return tuned, best


def one_pass(losses: pd.Series, batch: int) -> tuple[Float[ndarray, "point"], Float[ndarray, "point"]]:
    """The negated loss of training on fresh data, made monotonic, and the logarithm of the number of examples.

    The curve is a cubic in that logarithm, because differences of neighbouring measurements are mostly noise.
    """
    log = np.log(losses.index.to_numpy(float) * batch)
    points = np.linspace(log[0], log[-1], 200)
    curve = np.polynomial.Polynomial.fit(log, losses.to_numpy(float), min(3, len(log) - 1))
    return np.maximum.accumulate(-curve(points)), points


def reuse(history: pd.DataFrame, batch: int, tuning: range = range(0)) -> list[Reuse]:
    """E(K, N) of every N and seed: the number of fresh examples with the same loss, divided by N.

    Args:
        tuning: as in :func:`by_step`.
    """
    history = history[history["step"] > 0]
    fresh = by_step(history[history[SIZE].astype(str) == "online"], tuning)[0]
    curves = {seed: one_pass(fresh[seed], batch) for seed in fresh}
    results = []
    for size, rows in history[history[SIZE].astype(str) != "online"].groupby(SIZE, sort=False):
        samples = int(str(size))
        tuned, best = by_step(rows, tuning)
        ends = [int(step) for step in tuned.index if step * batch % samples == 0]
        # Losses outside the range of the fresh run are unknown.
        edges = {"left": np.nan, "right": np.nan}
        values = np.array(
            [[np.interp(-tuned.loc[step, seed], *curves[seed], **edges) for seed in curves] for step in ends]
        )
        epochs, loss = [step * batch // samples for step in ends], tuned.loc[ends].mean(axis=1).to_numpy()
        results.append(Reuse(samples, epochs, np.exp(values) / samples, loss, [float(best[step]) for step in ends]))
    return results


def estimate(seeds: Float[ndarray, "seed"]) -> Estimate:
    """Mean over seeds with Student's interval, since there are few seeds."""
    reach = float(stats.t.ppf(0.975, len(seeds) - 1) * stats.sem(seeds))
    return Estimate(float(seeds.mean()), float(seeds.mean()) - reach, float(seeds.mean()) + reach)


def run(size: Size, track: Track, seed: int = 0) -> Finding:
    """The fit, E(K, N) for each N, and the difference between the largest and the smallest N at equal K."""
    with tempfile.TemporaryDirectory() as folder:
        new = ("--replicas.first_seed", str(seed), "--replicas.seeds", str(TUNING + REPORTED)) if seed else ()
        run = fit(CONFIG_FILE, Path(folder), *new, *(SMOKE if size == "smoke" else ()))
        history = pd.read_parquet(run / "history.parquet")
        batch = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))["data"]["init_args"]["batch_size"]
    results = reuse(history, batch, range(seed, seed + TUNING) if seed and size != "smoke" else range(0))
    tables = [table(results), ordering(results)]
    numbers: dict[str, Any] = {"curves": []}
    for result in results:
        for place, count in enumerate(result.epochs):
            reuse_rate = {
                name: None if np.isnan(x) else x for name, x in estimate(result.seeds[place])._asdict().items()
            }
            entry = {
                "samples": result.samples,
                "epochs": count,
                "loss": float(result.loss[place]),
                "rate": result.rates[place],
            }
            numbers["curves"].append({**entry, **reuse_rate})
    gaps = {count: gap._asdict() for count, gap in differences(results).items()}
    finite = {count: {k: None if np.isnan(x) else x for k, x in gap.items()} for count, gap in gaps.items()}
    return Finding(tables, draw(results, history, batch), {**numbers, "differences": finite})


def table(results: list[Reuse]) -> Any:
    """The table of E(K, N) for each N and K."""
    rows = []
    for result in results:
        for place, count in enumerate(result.epochs):
            if count & (count - 1) == 0:
                perplexity = experiment.number(float(np.exp(result.loss[place])))
                cells = [experiment.number(result.rates[place]), experiment.interval(*estimate(result.seeds[place]))]
                rows.append([str(result.samples), str(count), perplexity, *cells])
    columns = ["N windows", "epochs K", "perplexity", "best rate", "E(K, N)"]
    caption = "mean over seeds, Student's interval; unknown where the loss is beyond the fresh run's"
    return experiment.table("E(K, N) of a language model of bytes", columns, rows, caption)


def differences(results: list[Reuse]) -> dict[int, Estimate]:
    """E of the largest N minus that of the smallest, seed by seed, at every K that both have."""
    small, large = results[0], results[-1]
    return {
        count: estimate(large.seeds[large.epochs.index(count)] - small.seeds[small.epochs.index(count)])
        for count in sorted(set(small.epochs) & set(large.epochs))
    }


def ordering(results: list[Reuse]) -> Any:
    """The table of :func:`differences`."""
    rows = []
    for count, gap in differences(results).items():
        verdict = "larger" if gap.low > 0 else "smaller" if gap.high < 0 else "undecided"
        rows.append([str(count), experiment.interval(*gap), verdict])
    columns = ["epochs K", "difference", "E of the larger N is"]
    return experiment.table(f"E(K, {results[-1].samples}) - E(K, {results[0].samples})", columns, rows)


def draw(results: list[Reuse], history: pd.DataFrame, batch: int) -> Figure:
    """Test loss at the best rate against samples, and E against K."""
    figure, (loss, rate) = experiment.panels(1, 2)
    fresh = by_step(history[(history[SIZE].astype(str) == "online") & (history["step"] > 0)])[0].mean(axis=1)
    loss.plot(fresh.index * batch, fresh, color=RAMP(1.0), linewidth=1.6, label="fresh data")
    for place, result in enumerate(results):
        color = RAMP(place / len(results))
        processed = np.array(result.epochs) * result.samples
        loss.plot(processed, result.loss, "o-", markersize=3, color=color, linewidth=1.2, label=f"N = {result.samples}")
        means = [estimate(seeds) for seeds in result.seeds]
        experiment.points(rate, result.epochs, means, f"N = {result.samples}", color=color)
    most = min(max(result.epochs) for result in results)
    rate.plot([1, most], [1, most], color=GREY, linestyle="--", linewidth=1, label="E = K")
    experiment.decorate(loss, "Language model of bytes", "windows processed", "test loss at the best rate", "x")
    experiment.decorate(rate, "Effective reuse rate", "epochs K", "E(K, N)")
    experiment.legend(loss)
    experiment.legend(rate)
    return figure
