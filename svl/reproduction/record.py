"""The stored result of a figure: ``result.json``, small enough for a git repository, and how it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

CONFIRMING, EXPLORATORY = "confirming", "exploratory"
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


def explored(verdict: str) -> str:
    """The word for a verdict in an exploratory result."""
    return EXPLORED.get(str(verdict), str(verdict))


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
