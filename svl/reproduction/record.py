"""The stored result of a figure: ``result.json`` and a picture, small enough for a git repository."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from svl.reproduction import lock
from svl.reproduction.drawing import curve
from svl.reproduction.fit import command
from svl.reproduction.fits import Trained, machine, made_by
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.power import seeds_to_decide
from svl.reproduction.sequential import Look
from svl.reproduction.standing import CONFIRMING, EXPLORATORY, Standing
from svl.reproduction.standing import seeds as standing_seeds
from svl.reproduction.verdict import Tested
from svl.results import figure as pictures
from svl.results.atomic import replacing
from svl.results.provenance import provenance
from svl.results.quantity import setting

UNJUDGED = "not judged"
"""The verdict at smoke scale, which only shows that everything runs."""
EXPLORED = {"reproduced": "agrees", "not reproduced": "disagrees"}
"""The words for verdicts of exploratory results, whose claims or seeds were not fixed beforehand."""
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
        versions: of the packages.
        curves: mean and band of the target's metric at a few steps, by arm.
        reported, tuned: numbers of seeds.
        kind: ``confirming`` or ``exploratory``.
        reasons: why a run that was meant to confirm is exploratory.
        frozen: the hash of the lock that was confirmed, and ``freeze`` the commit that wrote it.
        commit: of svl's checkout; the version of an installed svl.
        machine: processor and system.
        seeds: the first seed and the number of seeds: of the reported arms, then of each grid.
        settings: a hash of all that decides the verdict, except the seeds.
        looks: seeds an arm and verdict at each look that was taken.
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
    kind: str = EXPLORATORY
    reasons: list[str] = field(default_factory=list)
    frozen: str = ""
    freeze: str = ""
    commit: str = ""
    machine: str = ""
    seeds: list[list[int]] = field(default_factory=list)
    settings: str = ""
    looks: list[list[Any]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Its folder below ``reproduce``; a confirming result does not replace an exploratory one."""
        return place(self.name, self.scale, self.kind)

    @property
    def found(self) -> str:
        """The verdict, with the word *exploratory* where it is."""
        return (
            f"{self.verdict} (exploratory)" if self.kind == EXPLORATORY and self.verdict != UNJUDGED else self.verdict
        )


def place(name: str, scale: str, kind: str) -> Path:
    """The folder of a result below ``reproduce`` or the gallery."""
    return Path(name) / scale / (CONFIRMING if kind == CONFIRMING else "")


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


def explored(verdict: str) -> str:
    """The word for a verdict in an exploratory result."""
    return EXPLORED.get(str(verdict), str(verdict))


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


def read(folder: Path) -> Record | None:
    """The record in a folder; ``None`` if there is no readable one."""
    try:
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        record = Record(**(content if "kind" in content else _of_before(content)))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    hints = {attribute.name: str(attribute.type).partition("[")[0] for attribute in fields(Record)}
    kinds: dict[str, Any] = {"str": str, "float": (int, float), "int": int, "list": list, "dict": dict}
    return record if all(isinstance(getattr(record, name), kinds[hint]) for name, hint in hints.items()) else None


def _of_before(content: dict[str, Any]) -> dict[str, Any]:
    """A result of an svl that did not freeze claims: it is exploratory, whatever it says."""
    claims = [{**claim, "verdict": explored(claim["verdict"])} for claim in content["claims"]]
    return {**content, "verdict": explored(content["verdict"]), "claims": claims}


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"
