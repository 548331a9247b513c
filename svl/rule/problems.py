"""The problems on which the rule was fitted, those on which it was tested, and the arms that it chooses from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BATCH, STEPS, EVERY = 64, 4000, 25
SIZES, EPOCHS = (128, 512, 2048), (8, 32)
FRESH = "fresh"


@dataclass(frozen=True)
class Problem:
    """A task, a network and an optimizer, with a target that counts as learned.

    Attributes:
        name: of the problem.
        task: its class and arguments.
        dim: number of input coordinates.
        loss: of the fit.
        rates: learning rates that every arm tries.
        target: metric and value.
        width: of the network, an MLP of two layers.
        tests: whether the rule is tested on it; otherwise it is fitted on it.
    """

    name: str
    task: tuple[str, dict[str, Any]]
    dim: int
    loss: str
    rates: tuple[float, ...]
    target: tuple[str, float]
    width: int = 64
    tests: bool = False

    def config(self, arms: dict[str, Any], seeds: int, first_seed: int = 0) -> dict[str, Any]:
        """The config of a fit of some arms by name."""
        kind, arguments = self.task
        metric, value = self.target
        task = {"class_path": kind, "init_args": arguments}
        common = {"task": task, "batch_size": BATCH, "test_size": 512}
        return {
            "experiment": f"rule/{self.name}",
            "replicas": {"seeds": seeds, "first_seed": first_seed, "arms": arms},
            "data": {
                "class_path": "Phases",
                "init_args": {**common, "sizes": ["online"], "durations": [], "unit": "epochs"},
            },
            "model": {
                "network": {"class_path": "svl.models.MLP", "init_args": {"width": self.width, "depth": 2}},
                "loss": self.loss,
                "optimizer": {"class_path": "SGD", "init_args": {"lr": self.rates[0]}},
            },
            "trainer": {"max_steps": STEPS, "log_every_n_steps": EVERY, "enable_progress_bar": False},
            "target": {"metric": metric, "value": value},
            "wandb": {"mode": "disabled"},
        }


def arms(problem: Problem) -> dict[str, dict[str, Any]]:
    """Every choice at every rate: fresh data, or a set for some epochs and fresh data after it."""
    choices: dict[str, dict[str, Any]] = {FRESH: {"data.sizes": ["online"], "data.durations": []}}
    for size in SIZES:
        for epochs in EPOCHS:
            if size * epochs < STEPS * BATCH:
                choices[f"{size} x {epochs}"] = {"data.sizes": [size, "online"], "data.durations": [epochs]}
    return {
        f"{name} @ {rate:g}": {**choice, "model.optimizer.lr": rate}
        for name, choice in choices.items()
        for rate in problem.rates
    }


def _parity(dim: int, degree: int, width: int = 64, tests: bool = False) -> Problem:
    name = f"parity ({dim}, {degree})" + f", width {width}" * (width != 64)
    task = ("Parity", {"dim": dim, "degree": degree})
    return Problem(name, task, dim, "logistic", (0.5, 1.0, 2.0), ("val/accuracy", 0.9), width, tests)


def _link(link: str, dim: int, rates: tuple[float, ...], value: float, tests: bool = False) -> Problem:
    task = ("SingleIndex", {"dim": dim, "link": link})
    return Problem(f"{link}, dim {dim}", task, dim, "squared", rates, ("val/loss", value), tests=tests)


PROBLEMS = (
    _parity(20, 6),
    _parity(18, 6),
    _parity(14, 4),
    _parity(16, 5),
    _link("he3", 16, (0.005, 0.01, 0.02), 1.8),
    _link("he2", 24, (0.01, 0.02, 0.04), 0.4),
    _link("relu", 24, (0.02, 0.05, 0.1), 0.01),
    Problem(
        "staircase (14, 4)",
        ("Staircase", {"dim": 14, "degree": 4, "epsilon": 0.1}),
        14,
        "squared",
        (0.05, 0.1, 0.2),
        ("val/accuracy", 0.9),
        tests=True,
    ),
    _parity(16, 5, width=256, tests=True),
    _link("he4", 8, (0.001, 0.002, 0.004), 7.2, tests=True),
    _link("he3", 24, (0.0025, 0.005, 0.01), 1.8, tests=True),
    _link("sigmoid", 24, (0.05, 0.1, 0.2), 0.002, tests=True),
)
