"""The stored result of a figure: ``result.json`` and a picture, small enough for a git repository."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from svl.reproduction.drawing import curve
from svl.reproduction.fit import command
from svl.reproduction.fits import Trained
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.verdict import Tested, together
from svl.results import figure as pictures
from svl.results.atomic import replacing
from svl.results.provenance import provenance
from svl.results.quantity import setting

UNJUDGED = "not judged"
"""The verdict at smoke scale, which only shows that everything runs."""
RESULT, PICTURE = "result.json", "figure"


@dataclass(frozen=True)
class Record:
    """A figure's result at one scale.

    Attributes:
        name, scale, title, says: those of the figure.
        verdict: on all claims together.
        claims: each with its effect, interval and verdict.
        arms: each arm's settings, including the chosen rates.
        edges: arms whose best rate lies at the edge of its grid.
        deviations: from the paper.
        fits: name, command, run directory and seconds of each fit.
        seconds: total duration of the training.
        date: of the run.
        command: that repeats it.
        versions: of the packages, and the git commit.
        curves: mean and band of the target's metric at a few steps, by arm.
        reported, tuned: numbers of seeds.
    """

    name: str
    scale: str
    title: str
    says: str
    verdict: str
    claims: list[dict[str, Any]]
    arms: dict[str, dict[str, Any]]
    edges: list[str]
    deviations: list[str]
    fits: list[dict[str, Any]]
    seconds: float
    date: str
    command: str
    versions: dict[str, Any]
    reported: int
    tuned: list[int]
    curves: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Its folder below ``reproduce``."""
        return Path(self.name) / self.scale


def make(figure: PaperFigure, trained: Trained, tested: Sequence[Tested], words: Sequence[str]) -> Record:
    """The record of a figure."""
    made = provenance(words)
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
        verdict=UNJUDGED if figure.scale == "smoke" else str(together(test.verdict for test in tested)),
        claims=[
            {
                "says": test.says,
                "effect": test.effect,
                **{key: _finite(value) for key, value in test.estimate._asdict().items()},
                "verdict": str(test.verdict),
                "note": test.note,
            }
            for test in tested
        ],
        arms={name: dict(settings) for name, settings in trained.outcome.settings.items()},
        edges=edges,
        deviations=figure.deviations,
        fits=[asdict(fit) for fit in trained.fits],
        seconds=round(sum(fit.seconds for fit in trained.fits), 1),
        date=time.strftime("%Y-%m-%d"),
        command=command(["reproduce", figure.name, "--scale", figure.scale]),
        versions={**made["versions"], "git_commit": made["git_commit"]},
        reported=figure.seeds,
        tuned=[grid.seeds for grid in figure.grids],
        curves={name: curve(trained.outcome, name, figure.target[0]) for name in trained.outcome.arms},
    )


def write(record: Record, picture: Figure, root: Path) -> Path:
    """Write the record and its picture below ``root``; returns their folder."""
    folder = root / record.folder
    pictures.save(picture, folder / PICTURE)
    with replacing(folder / RESULT) as path:
        path.write_text(json.dumps(asdict(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return folder


def read(folder: Path) -> Record | None:
    """The record in a folder; ``None`` if there is no readable one."""
    try:
        record = Record(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    hints = {attribute.name: str(attribute.type).partition("[")[0] for attribute in fields(Record)}
    kinds: dict[str, Any] = {"str": str, "float": (int, float), "int": int, "list": list, "dict": dict}
    return record if all(isinstance(getattr(record, name), kinds[hint]) for name, hint in hints.items()) else None


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"
