"""The record of a figure is made of its outcome and its verdicts, and written beside its picture."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from svl.reproduction import lock
from svl.reproduction.drawing import curve
from svl.reproduction.fit import command
from svl.reproduction.fits import Trained, machine, made_by
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.power import seeds_to_decide
from svl.reproduction.record import CONFIRMING, PICTURE, RESULT, UNJUDGED, Record, explored
from svl.reproduction.sequential import Look
from svl.reproduction.standing import Standing
from svl.reproduction.standing import seeds as standing_seeds
from svl.reproduction.verdict import Tested
from svl.results import figure as pictures
from svl.results.atomic import replacing
from svl.results.provenance import provenance
from svl.results.quantity import setting


def make(
    figure: PaperFigure, trained: Trained, looks: Sequence[Look], words: Sequence[str], standing: Standing
) -> Record:
    """The record of a figure; the last look counts."""
    made, last = provenance(words), looks[-1]
    seeds = figure.seeds * last.groups
    said = (lambda verdict: str(verdict)) if standing.kind == CONFIRMING else explored
    edges = [
        f"{arm}: {name} = {setting(choice.best[name])}"
        for arm, choices in trained.choices.items()
        for choice in choices
        for name in choice.edges
    ]
    return Record(
        name=figure.name,
        scale=figure.scale,
        title=figure.title,
        says=figure.says,
        verdict=UNJUDGED if figure.scale == "smoke" else said(last.verdict),
        claims=[_claim(test, seeds, said) for test in last.tested],
        arms={name: dict(settings) for name, settings in trained.outcome.settings.items()},
        edges=edges,
        deviations=figure.deviations,
        fits=[asdict(fit) for fit in trained.fits],
        seconds=round(sum(fit.seconds for fit in trained.fits), 1),
        date=time.strftime("%Y-%m-%d"),
        command=command(words),
        versions=made["versions"],
        reported=seeds,
        tuned=[grid.seeds for grid in figure.grids],
        curves={name: curve(trained.outcome, name, figure.target[0]) for name in trained.outcome.arms},
        kind=standing.kind,
        reasons=list(standing.reasons),
        frozen=standing.frozen or "",
        freeze=standing.commit or "",
        commit=made_by(made),
        machine=machine(made),
        seeds=[[used.start, len(used)] for used in standing_seeds(replace(figure, looks=last.groups))],
        settings=settings_hash(figure),
        looks=[[look.groups * figure.seeds, said(look.verdict)] for look in looks] if figure.looks > 1 else [],
    )


def settings_hash(figure: PaperFigure) -> str:
    """A hash of all that decides the verdict, except the seeds: whether two looks asked the same question."""
    content = lock.content(figure.on_seeds(0, 0))
    return lock.digest({key: value for key, value in content.items() if key not in ("looks", "level")})


def _claim(test: Tested, seeds: int, said: Callable[[Any], str]) -> dict[str, Any]:
    return {
        "says": test.says,
        "effect": test.effect,
        **{key: _finite(value) for key, value in test.estimate._asdict().items()},
        "verdict": said(test.verdict),
        "note": test.note,
        "needs": seeds_to_decide(test, seeds),
    }


def write(record: Record, picture: Figure, root: Path) -> Path:
    """Write the record and its picture below ``root``; returns their folder."""
    folder = root / record.folder
    pictures.save(picture, folder / PICTURE)
    with replacing(folder / RESULT) as path:
        path.write_text(json.dumps(asdict(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return folder


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"
