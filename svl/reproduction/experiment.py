"""Figures that show an experiment of ``svl theory`` instead of fits."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure

from svl.reproduction.fit import command
from svl.reproduction.fits import Done, Trained, machine, made_by, run_folder
from svl.reproduction.outcome import Outcome
from svl.reproduction.paper_figure import PaperFigure
from svl.results.provenance import provenance
from svl.results.style import own_settings


def work_out(figure: PaperFigure, seconds: float, numbers: dict[str, Any], runs: str) -> Trained:
    """The experiment's numbers in the form in which claims are tested.

    Args:
        seconds: duration of the experiment.
        runs: the folder of all run directories.
    """
    words = ["theory", str(figure.theory), "--size", size(figure)]
    words += ["--seed", str(figure.first_seed)] * bool(figure.first_seed)
    made = provenance(words)
    done = Done(
        str(figure.theory),
        command(words),
        run_folder(runs, "theory"),
        round(seconds, 1),
        made_by(made),
        machine(made),
        seeds=[figure.first_seed, 1],
    )
    return Trained(Outcome("", float("nan"), {}, numbers=numbers), {}, [done])


def run(figure: PaperFigure) -> tuple[dict[str, Any], Figure]:
    """The experiment's numbers and its picture."""
    module = importlib.import_module(f"svl.theory.{figure.theory}")
    with own_settings():
        finding = module.run(size(figure), _silent, figure.first_seed)
    return finding.numbers, finding.figure


def size(figure: PaperFigure) -> str:
    """The experiment's size at the figure's scale."""
    return "smoke" if figure.scale == "smoke" else "default"


def _silent(items: Iterable[Any], description: str) -> Iterable[Any]:
    return items
