"""The experiments of this package by name, and how one is run: tables are printed, its figure and numbers written."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.progress import track

from svl.console import console
from svl.results.atomic import replacing

NAMES = {
    "theorem_1": "Theorem 1: T_1, T_2 and their sum against N, N d and m, compared with their bounds",
    "corollary_2": "Corollary 2: the same with random labels in phase 1, compared with true labels",
    "lemmas": "lemmas of appendix A: growth and sign of q, drift, norm, contraction, alignment, chances of the events",
    "regimes": "which term of a* binds for which eta, N and d, both regimes measured, and for which m phase 1 is empty",
    "sampling_bias": "how large q = w^T M^ w is at initialisation: N^(-1/2) for a sample, 1/d for the population",
    "neuron_fit": "an svl fit of the neuron compared with the recursion, step by step on the same data",
    "relu_neurons": "beyond the paper: m ReLU neurons and the logistic loss, the exponents of T_1 and of both phases",
    "reuse_rate": "E(K, N): how much fresh data K epochs over N examples are worth in linear regression",
    "no_gap": "no gap in steps in linear regression: fresh data against epochs, the population against full batches",
    "language_model": "E(K, N) of a small language model of bytes at two N",
}
"""Modules of this package with a function ``run``, and what each shows."""
SIZES = ("smoke", "default")
SEEDED = ("theorem_1", "corollary_2", "regimes", "relu_neurons", "reuse_rate", "no_gap", "language_model")
"""Experiments that a seed repeats on new samples."""


def run(name: str, size: str, folder: Path, seed: int = 0) -> None:
    """Run one experiment, print its tables, and write its figure and its numbers.

    Args:
        name: one of :data:`NAMES`.
        size: one of :data:`SIZES`.
        folder: where the figure and the numbers are written, named after the experiment.
        seed: 0 for the samples of docs/theory.md, others for new ones, with an experiment of :data:`SEEDED`.
    """
    # matplotlib takes a second to import.
    from svl.results import figure
    from svl.results.style import own_settings

    with own_settings():
        finding = importlib.import_module(f"svl.theory.{name}").run(size, _track, *([seed] if seed else []))
    for table in finding.tables:
        console().print(table)
        console().print()
    figure.save(finding.figure, folder / name)
    with replacing(folder / f"{name}.json") as file:
        file.write_text(json.dumps(finding.numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _track(items: Iterable[Any], description: str) -> Iterable[Any]:
    shown = console(to_errors=True)
    return track(list(items), description, console=shown, transient=True, disable=not shown.is_terminal)
