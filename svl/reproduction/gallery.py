"""The gallery: one page with picture, verdict, numbers, command, time and deviations of every figure that was run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from svl.errors import SettingError
from svl.reproduction.paper_figure import SCALES, known
from svl.reproduction.record import PICTURE, RESULT, Record, read
from svl.reproduction.tuning import described
from svl.reproduction.verdict_table import estimate
from svl.results.atomic import replacing

PAGE, _HEADING = "README.md", "# Gallery"
_MARKS = {"reproduced": "✅", "not reproduced": "❌", "undecided": "❔"}
_INTRODUCTION = """\
Written by `svl reproduce --gallery`: every figure with the paper's claim, what svl finds, and how. A claim is
*reproduced* where its whole 95 % interval (over seeds) agrees with it, *not reproduced* where the whole interval
contradicts it, else *undecided*. A figure is reproduced where all its claims are (an intersection-union test, which
needs no correction for their number), and not reproduced where one is contradicted (of m comparisons at their
boundary one is so by chance with a probability of at most 2.5 % m). Where rates are tuned, it is for each arm, on
seeds other than those reported."""
_PAPERS = {
    "liu2026": "Liu et al. 2026, *Less Data, Faster Training*",
    "kotha2025": "Kotha et al. 2025, *Lowering Data Diversity Can Accelerate Training*",
    "yan2025": "Yan et al. 2025, *Larger Datasets Can Be Repeated More*",
}


def check(gallery: Path) -> None:
    """Refuse a folder that cannot be written, or whose page is another's.

    Raises:
        SettingError: for one of these.
    """
    page = gallery / PAGE
    try:
        gallery.mkdir(parents=True, exist_ok=True)
        is_own = not page.exists() or page.read_text(encoding="utf-8").startswith(_HEADING)
        if not os.access(gallery, os.W_OK) or not is_own:
            raise PermissionError(1, "its README.md is not a gallery's" if not is_own else "it cannot be written")
    except OSError as error:
        allowed = f"a folder for the gallery alone ({error.strerror})"
        raise SettingError("--gallery_folder", str(gallery), allowed) from None


def keep(record: Record, folder: Path, gallery: Path) -> None:
    """Copy a result and its picture into the gallery."""
    place = gallery / record.folder
    place.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, f"{PICTURE}.png"):
        shutil.copyfile(folder / name, place / name)


def write(gallery: Path) -> Path:
    """Write the page of everything that the gallery keeps; returns its path."""
    records = {name: [one for scale in SCALES if (one := read(gallery / name / scale))] for name in known()}
    path = gallery / PAGE
    with replacing(path) as file:
        file.write_text(_page(records), encoding="utf-8")
    return path


def _page(records: dict[str, list[Record]]) -> str:
    lines = [
        _HEADING,
        "",
        _INTRODUCTION,
        "",
        "| figure | claim | verdict | scale | time |",
        "|---|---|---|---|---|",
    ]
    for name, found in records.items():
        for one in found:
            anchor = f"#{name.replace('/', '')}-{one.scale}"
            verdict = f"{_MARKS.get(one.verdict, '')} {one.verdict}"
            lines.append(f"| [{name}]({anchor}) | {one.says} | {verdict} | {one.scale} | {_time(one.seconds)} |")
    missing = [name for name, found in records.items() if not found]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    for paper, title in _PAPERS.items():
        own = [one for name, found in records.items() if name.startswith(paper) for one in found]
        if own:
            lines += ["", f"## {title}"]
        for one in own:
            lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _section(one: Record) -> list[str]:
    lines = [
        f"### {one.name} ({one.scale})",
        "",
        f"{one.title}. The paper: {one.says}. **{one.verdict[0].upper()}{one.verdict[1:]}.**",
        "",
        f"![{one.name}]({one.folder.as_posix()}/{PICTURE}.png)",
        "",
        "| claim | effect [95 % interval] | verdict |",
        "|---|---|---|",
    ]
    for claim in one.claims:
        note = f" ({claim['note']})" if claim["note"] else ""
        lines.append(f"| {claim['says']} | {claim['effect']}: {estimate(claim)}{note} | {claim['verdict']} |")
    tuned = f", rates tuned on {' and '.join(map(str, one.tuned))} others" if one.tuned else ""
    seeds = f" of training, {one.reported} seeds an arm{tuned}" if one.arms else ""
    lines += ["", f"`{one.command}`: {_time(one.seconds)}{seeds}; {one.date}."]
    if one.arms:
        lines += ["", "Arms: " + "; ".join(f"{name}: {described(own)}" for name, own in one.arms.items()) + "."]
    if one.edges:
        lines += ["", f"At the edge of its grid: {'; '.join(one.edges)}."]
    if one.deviations:
        lines += ["", "Deviations: " + "; ".join(one.deviations) + "."]
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
