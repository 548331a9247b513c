"""Whether a run confirms a frozen figure or is exploratory, and why."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from svl.config_file import ROOTS
from svl.errors import SettingError
from svl.reproduction import lock, looks
from svl.reproduction.folders import GALLERY, RECORDS
from svl.reproduction.paper_figure import PaperFigure
from svl.reproduction.record import CONFIRMING, EXPLORATORY
from svl.reproduction.scale import SCALES


class Standing(NamedTuple):
    """What a result may be called.

    Attributes:
        kind: ``confirming`` or ``exploratory``.
        reasons: why a run that was meant to confirm is exploratory.
        frozen: the hash of the lock that was confirmed.
        commit: the commit that froze it.
    """

    kind: str
    reasons: tuple[str, ...] = ()
    frozen: str | None = None
    commit: str | None = None


def frozen_figure(figure: PaperFigure, gallery: Path) -> PaperFigure:
    """The figure on the seeds and with the looks of its confirming run.

    Raises:
        SettingError: if it is not frozen.
    """
    found = lock.read(figure.name, figure.scale, gallery)
    if found is None:
        allowed = "a figure that `svl reproduce NAME --freeze` has frozen, in a commit before this run"
        raise SettingError("--confirm", f"{figure.name} ({figure.scale})", allowed)
    return replace(figure.on_seeds(found.reported, found.tuning), looks=found.looks)


def standing(figure: PaperFigure, gallery: Path, runs: Path) -> Standing:
    """The standing of a run of a figure that is meant to confirm.

    Args:
        gallery: the folder with the locks and the looks.
        runs: the folder of all run directories.
    """
    found = lock.read(figure.name, figure.scale, gallery)
    if found is None:
        return Standing(EXPLORATORY)
    reasons = []
    if lock.digest(lock.content(figure)) != found.hash:
        reasons.append(f"its claims, seeds or settings are not those of {found.path}")
    if found.commit is None and not found.came_with_svl:
        reasons.append(f"{found.path} is not committed")
    common = looks.overlap(seeds(figure), seen(figure, gallery, runs, found.hash))
    if common is not None:
        reasons.append(f"seeds {common.start} to {common.stop - 1} were seen before")
    if reasons:
        return Standing(EXPLORATORY, tuple(reasons))
    return Standing(CONFIRMING, (), found.hash, found.commit)


def seen(figure: PaperFigure, gallery: Path, runs: Path, frozen: str | None = None) -> list[range]:
    """The seeds that exploratory results and confirming runs of other locks have used, at any scale.

    Args:
        frozen: the hash of the lock whose own runs do not count. Without it, for a figure that is to be frozen, the
            seeds of locks of its other scales that are not yet confirmed count too.
    """
    used = looks.seen(figure.name, gallery)
    confirmed = set()
    roots = (gallery, runs / RECORDS, *(root / GALLERY for root in ROOTS))
    for root, scale, kind in itertools.product(roots, SCALES, ("", CONFIRMING)):
        result = root / figure.name / scale / kind / "result.json"
        made = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        confirmed.add(made.get("frozen"))
        if made and (frozen is None or made.get("frozen") != frozen):
            used += [range(first, first + count) for first, count in made.get("seeds", [])]
    if frozen is None:
        locks = [lock.read(figure.name, scale, gallery) for scale in SCALES if scale != figure.scale]
        used += [part for found in locks if found and found.hash not in confirmed for part in found.seeds]
    return used


def seeds(figure: PaperFigure) -> list[range]:
    """All seeds that a run of a figure may use: those reported, and those for tuning."""
    reported = range(figure.first_seed, figure.first_seed + figure.looks * (1 if figure.theory else figure.seeds))
    return [reported, *(range(grid.first_seed, grid.first_seed + grid.seeds) for grid in figure.grids)]
