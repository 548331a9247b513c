"""The neuron of Theorem 1 as an ordinary fit, compared with the recursion on the same data and initial weights.

The fit takes full batches of N samples, then of the population, in float32; the recursion uses moment matrices only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from svl import random
from svl.interventions.labels import as_targets
from svl.models import QuadraticNeuron
from svl.optim.initialisation import initial_network
from svl.replicas import Replicas
from svl.results.files import CHECKPOINT, CONFIG
from svl.results.style import RAMP
from svl.tasks import Parity
from svl.theory import experiment, moment, neuron
from svl.theory.experiment import Finding, Size, Track
from svl.theory.fitting import fit

CONFIG_FILE = "configs/theory/two_phase.yaml"
SMOKE = ("--replicas.seeds", "2", "--trainer.max_steps", "60", "--data.test_size", "64")
LOSS, SUPPORT = "train/loss", "feature/support_weight"
NAMES = {LOSS: "train loss", SUPPORT: "share of |w|² on the support"}


def recursion(run: Path) -> tuple[pd.DataFrame, Float[ndarray, "replica dim"], Float[ndarray, "replica"]]:
    """The recursion with the settings of a finished run of the config.

    Returns:
        the columns ``train/loss`` and ``feature/support_weight`` of the history at every step; the last w; the last a.
    """
    settings = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    replicas = Replicas(**settings["replicas"])
    data = settings["data"]["init_args"]
    dim = data["task"]["init_args"]["dim"]
    width = settings["model"]["network"]["init_args"]["width"]
    rate, steps = settings["model"]["optimizer"]["init_args"]["lr"], settings["trainer"]["max_steps"]
    (switch,) = data["durations"]
    task, w, a, moments, means = Parity(dim, 2), [], [], [], []
    sizes = [size[0] for size in replicas.column("data.size", data["size"])]
    kinds = replicas.column("data.interventions.labels.kind", None)
    for seed, samples, kind in zip(replicas.seed, sizes, kinds, strict=True):
        weights = initial_network(lambda: QuadraticNeuron((dim,), 1, width), seed).state_dict()
        w.append(weights["w"].double().numpy())
        a.append(weights["a"].item())
        key, index = random.key(seed)[None], torch.arange(samples)[None]
        x, y = (part[0].double().numpy() for part in task.examples(key, index))
        if kind == "random":
            words = random.bits(random.fold(key, "random labels")[:, None], index)
            y = as_targets(random.integers(words, 2), torch.ones(1, samples))[0].double().numpy()
        moments.append((x * y[:, None]).T @ x / samples)
        means.append(y.mean())
    first = neuron.trajectory(np.array(a), np.array(w), np.array(moments), rate, min(switch, steps))
    population = np.broadcast_to(moment.population(dim), (len(w), dim, dim))
    second = neuron.trajectory(first.a[-1], first.w[-1], population, rate, max(steps - switch, 0))
    offset = np.array(means)  # the population's labels have mean 0
    losses = np.concatenate([offset - first.a[:-1] * first.q[:-1] / 2, -second.a * second.q / 2])[:steps]
    directions = np.concatenate([first.w[:-1], second.w])
    support = np.square(directions[..., :2]).sum(-1)
    rows = pd.DataFrame(
        {
            "step": np.repeat(np.arange(steps + 1), len(w)),
            "replica": np.tile(np.arange(len(w)), steps + 1),
            LOSS: np.concatenate([np.full((1, len(w)), np.nan), losses]).ravel(),
            SUPPORT: support.ravel(),
        }
    )
    return rows, second.w[-1], second.a[-1]


def compare(run: Path) -> tuple[pd.DataFrame, dict[str, float]]:
    """The run's history with the recursion's columns added, and the largest difference of each quantity."""
    expected, w, a = recursion(run)
    history = pd.read_parquet(run / "history.parquet")
    replicas = len(a)
    history["replica"] = history.groupby("step", sort=False).cumcount()
    if len(history) != len(expected) or history.groupby("step").size().nunique() != 1:
        raise AssertionError(f"the history does not have {replicas} replicas at every step")
    both = history.merge(expected, on=["step", "replica"], suffixes=("", " recursion"), validate="one_to_one")
    differences = {name: float((both[name] - both[f"{name} recursion"]).abs().max()) for name in (LOSS, SUPPORT)}
    state = torch.load(run / CHECKPOINT, weights_only=False)["state_dict"]
    last = {"last w": ("w", w), "last a": ("a", a)}
    for name, (key, value) in last.items():
        differences[name] = float(np.abs(state[f"stack.network.{key}"].double().numpy() - value).max())
    return both, differences


def run(size: Size, track: Track) -> Finding:
    """The fit, the recursion, and their differences."""
    with tempfile.TemporaryDirectory() as folder:
        run = fit(CONFIG_FILE, Path(folder), *(SMOKE if size == "smoke" else ()))
        both, differences = compare(run)
    steps, replicas = int(both["step"].max()), both["replica"].nunique()
    title = f"Largest difference between fit and recursion, {replicas} replicas, {steps} steps"
    rows = [[NAMES.get(name, name), f"{value:.1e}"] for name, value in differences.items()]
    tables = [experiment.table(title, ["quantity", "difference"], rows, "float32 rounds to 6e-08 of a value")]
    numbers: dict[str, Any] = {"replicas": replicas, "steps": steps, "largest_difference": differences}
    return Finding(tables, draw(both), numbers)


def draw(both: pd.DataFrame) -> Figure:
    """Curves of some replicas, marks for the fit and lines for the recursion, and the largest differences by step."""
    figure, (loss, support, difference) = experiment.panels(1, 3)
    chosen = both["replica"].unique()[:: max(1, both["replica"].nunique() // 6)]
    for axes, name in ((loss, LOSS), (support, SUPPORT)):
        for place, replica in enumerate(chosen):
            rows = both[both["replica"] == replica]
            color = RAMP(place / max(1, len(chosen) - 1))
            axes.plot(rows["step"], rows[f"{name} recursion"], color=color, linewidth=1.2)
            marks = rows.iloc[:: max(1, len(rows) // 20)]
            axes.plot(marks["step"], marks[name], "o", color=color, markersize=3.5, fillstyle="none")
        experiment.decorate(axes, NAMES[name].capitalize(), "step", NAMES[name], "")
    loss.plot([], [], color="black", linewidth=1.2, label="recursion")
    loss.plot([], [], "o", color="black", markersize=3.5, fillstyle="none", label="svl fit")
    experiment.legend(loss)
    for name, color in ((LOSS, RAMP(0.0)), (SUPPORT, RAMP(1.0))):
        gap = (both[name] - both[f"{name} recursion"]).abs().groupby(both["step"]).max()
        difference.plot(gap.index, gap.clip(lower=1e-10), color=color, linewidth=1.2, label=NAMES[name])
    experiment.decorate(difference, "Largest difference over replicas", "step", "difference", "y")
    experiment.legend(difference)
    return figure
