"""The problems on which the rules were fitted, those on which they were tested, and the arms that they choose from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SIZES, EPOCHS = (128, 512, 2048), (8, 32)
FRESH = "fresh"


@dataclass(frozen=True)
class Problem:
    """A task, a network and an optimizer, with a target that counts as learned.

    Attributes:
        name: of the problem.
        task: its class and arguments.
        dim: number of input coordinates, of tokens those of their one-hot vectors.
        loss: of the fit.
        rates: learning rates that every arm tries.
        target: metric and value.
        network: its class, one of :mod:`svl.models`, and arguments.
        optimizer: its class, one of :mod:`svl.optim`.
        batch: examples of a step.
        steps: of a fit.
        every: steps between two measurements.
        stored: number of different examples, where it is small, or a smaller number above all sizes; epochs over all
            of them take the place of fresh data. ``None`` if fresh examples never end.
        tests: whether a rule is tested on it; otherwise rules are fitted on it.
        round: of the two rounds of fitting and testing, the one in which it was measured.
    """

    name: str
    task: tuple[str, dict[str, Any]]
    dim: int
    loss: str
    rates: tuple[float, ...]
    target: tuple[str, float]
    network: tuple[str, dict[str, Any]] = ("MLP", {"width": 64, "depth": 2})
    optimizer: str = "SGD"
    batch: int = 64
    steps: int = 4000
    every: int = 25
    stored: int | None = None
    tests: bool = False
    round: int = 1

    @property
    def slug(self) -> str:
        """Its name as a file's."""
        return "_".join(re.findall(r"\w+", self.name))

    @property
    def all_data(self) -> str:
        """The size that stands for fresh data, or for all stored data."""
        return "online" if self.stored is None else "population"

    @property
    def budget(self) -> int:
        """Examples of a whole fit."""
        return self.steps * self.batch

    def config(self, arms: dict[str, Any], seeds: int, first_seed: int = 0) -> dict[str, Any]:
        """The config of a fit of some arms by name."""
        kind, arguments = self.task
        network, settings = self.network
        metric, value = self.target
        common: dict[str, Any] = {"task": {"class_path": kind, "init_args": arguments}, "batch_size": self.batch}
        if self.stored is None:
            common["test_size"] = 512
        return {
            "experiment": f"rule/{self.slug}",
            "replicas": {"seeds": seeds, "first_seed": first_seed, "arms": arms},
            "data": {
                "class_path": "Phases",
                "init_args": {**common, "sizes": [self.all_data], "durations": [], "unit": "epochs"},
            },
            "model": {
                "network": {"class_path": f"svl.models.{network}", "init_args": settings},
                "loss": self.loss,
                "optimizer": {"class_path": self.optimizer, "init_args": {"lr": self.rates[0]}},
            },
            "trainer": {"max_steps": self.steps, "log_every_n_steps": self.every, "enable_progress_bar": False},
            "target": {"metric": metric, "value": value},
            "wandb": {"mode": "disabled"},
        }


def arms(problem: Problem) -> dict[str, dict[str, Any]]:
    """Every choice at every rate: fresh data, or a set for some epochs and fresh data after it."""
    every = problem.all_data
    choices: dict[str, dict[str, Any]] = {FRESH: {"data.sizes": [every], "data.durations": []}}
    for size in SIZES:
        for epochs in EPOCHS:
            if size * epochs < problem.budget and (problem.stored is None or size < problem.stored):
                choices[f"{size} x {epochs}"] = {"data.sizes": [size, every], "data.durations": [epochs]}
    return {
        f"{name} @ {rate:g}": {**choice, "model.optimizer.lr": rate}
        for name, choice in choices.items()
        for rate in problem.rates
    }


def _parity(dim: int, degree: int, width: int = 64, rate: float = 1.0, **more: Any) -> Problem:
    name = f"parity ({dim}, {degree})" + f", width {width}" * (width != 64)
    task = ("Parity", {"dim": dim, "degree": degree})
    network = ("MLP", {"width": width, "depth": 2})
    return Problem(name, task, dim, "logistic", (rate / 2, rate, 2 * rate), ("val/accuracy", 0.9), network, **more)


def _staircase(dim: int, degree: int, rate: float = 0.1, **more: Any) -> Problem:
    task = ("Staircase", {"dim": dim, "degree": degree, "epsilon": 0.1})
    rates, target = (rate / 2, rate, 2 * rate), ("val/accuracy", 0.9)
    return Problem(f"staircase ({dim}, {degree})", task, dim, "squared", rates, target, **more)


def _link(link: str, dim: int, rates: tuple[float, ...], value: float, width: int = 64, **more: Any) -> Problem:
    task = ("SingleIndex", {"dim": dim, "link": link})
    name = f"{link}, dim {dim}" + f", width {width}" * (width != 64)
    network = ("MLP", {"width": width, "depth": 2})
    return Problem(name, task, dim, "squared", rates, ("val/loss", value), network, **more)


def _addition(modulus: int, **more: Any) -> Problem:
    task = ("ModularAddition", {"modulus": modulus, "base": modulus})
    network = ("Transformer", {"width": 32, "depth": 2, "heads": 4, "causal": True, "readout": "last"})
    common: dict[str, Any] = {"optimizer": "AdamW", "batch": 32, "steps": 1500, "stored": modulus**2, "round": 2}
    rates, target = (2e-3, 4e-3, 8e-3), ("val/accuracy", 0.5)
    return Problem(
        f"modular addition, {modulus}", task, 2 * modulus, "cross_entropy", rates, target, network, **common, **more
    )


def _in_context(dim: int, points: int, value: float, **more: Any) -> Problem:
    task = ("InContextRegression", {"dim": dim, "points": points, "objective": "query"})
    network = ("Transformer", {"width": 32, "depth": 2, "heads": 4, "readout": "last"})
    common: dict[str, Any] = {"optimizer": "AdamW", "steps": 1500, "round": 2}
    rates, target = (1e-3, 2e-3, 4e-3), ("val/loss", value)
    return Problem(
        f"in context, {points} points", task, (dim + 1) * points, "squared", rates, target, network, **common, **more
    )


PROBLEMS = (
    _parity(20, 6),
    _parity(18, 6),
    _parity(14, 4),
    _parity(16, 5),
    _link("he3", 16, (0.005, 0.01, 0.02), 1.8),
    _link("he2", 24, (0.01, 0.02, 0.04), 0.4),
    _link("relu", 24, (0.02, 0.05, 0.1), 0.01),
    _staircase(14, 4, tests=True),
    _parity(16, 5, width=256, tests=True),
    _link("he4", 8, (0.001, 0.002, 0.004), 7.2, tests=True),
    _link("he3", 24, (0.0025, 0.005, 0.01), 1.8, tests=True),
    _link("sigmoid", 24, (0.05, 0.1, 0.2), 0.002, tests=True),
    _addition(31),
    _in_context(1, 6, 0.3),
    Problem(
        "digits",
        ("Dataset", {"dataset": "sklearn.datasets.load_digits"}),
        64,
        "cross_entropy",
        (0.1, 0.2, 0.4),
        ("val/accuracy", 0.98),
        steps=1500,
        every=10,
        stored=1438,
        round=2,
    ),
    _staircase(16, 3, rate=0.2, tests=True, round=2),
    _parity(18, 5, width=128, rate=2.0, tests=True, round=2),
    _link("he2", 16, (0.02, 0.04, 0.08), 0.4, width=256, tests=True, round=2),
    _link("sign", 24, (0.02, 0.04, 0.08), 0.2, tests=True, round=2),
    _addition(37, tests=True),
    Problem(
        "text",
        ("Text", {"length": 32, "max_bytes": 1_000_000}),
        32 * 256,
        "cross_entropy",
        (4e-3, 8e-3, 16e-3),
        ("val/perplexity", 9.0),
        ("Transformer", {"width": 32, "depth": 2, "heads": 4, "causal": True, "readout": "all"}),
        optimizer="AdamW",
        batch=32,
        steps=800,
        stored=25_000,
        tests=True,
        round=2,
    ),
)
