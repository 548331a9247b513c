"""The gallery: one page with the picture, verdict, numbers, command, time and deviations of every stored figure."""

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
    """Check that the folder can be written and that its page, if there is one, is a gallery.

    Raises:
        SettingError: if not.
    """
    page = gallery / PAGE
    try:
        gallery.mkdir(parents=True, exist_ok=True)
        is_own = not page.exists() or page.read_text(encoding="utf-8").startswith(_HEADING)
        if not os.access(gallery, os.W_OK) or not is_own:
            raise PermissionError(1, "its README.md is not a gallery" if not is_own else "it cannot be written")
    except OSError as error:
        allowed = f"a folder used only for the gallery ({error.strerror})"
        raise SettingError("--gallery_folder", str(gallery), allowed) from None


def keep(record: Record, folder: Path, gallery: Path) -> None:
    """Copy a result and its picture into the gallery."""
    place = gallery / record.folder
    place.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, f"{PICTURE}.png"):
        shutil.copyfile(folder / name, place / name)


def write(gallery: Path) -> Path:
    """Write the page of all results in the gallery; returns its path."""
    records = {name: [record for scale in SCALES if (record := read(gallery / name / scale))] for name in known()}
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
    for name, stored in records.items():
        for record in stored:
            anchor = f"#{name.replace('/', '')}-{record.scale}"
            verdict = f"{_MARKS.get(record.verdict, '')} {record.verdict}"
            lines.append(
                f"| [{name}]({anchor}) | {record.says} | {verdict} | {record.scale} | {_time(record.seconds)} |"
            )
    missing = [name for name, stored in records.items() if not stored]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    for paper, title in _PAPERS.items():
        of_paper = [record for name, stored in records.items() if name.startswith(paper) for record in stored]
        if of_paper:
            lines += ["", f"## {title}"]
        for record in of_paper:
            lines += ["", *_section(record)]
    return "\n".join(lines) + "\n"


def _section(record: Record) -> list[str]:
    lines = [
        f"### {record.name} ({record.scale})",
        "",
        f"{record.title}. The paper: {record.says}. **{record.verdict[0].upper()}{record.verdict[1:]}.**",
        "",
        f"![{record.name}]({record.folder.as_posix()}/{PICTURE}.png)",
        "",
        "| claim | effect [95 % interval] | verdict |",
        "|---|---|---|",
    ]
    for claim in record.claims:
        note = f" ({claim['note']})" if claim["note"] else ""
        lines.append(f"| {claim['says']} | {claim['effect']}: {estimate(claim)}{note} | {claim['verdict']} |")
    tuned = f", rates tuned on {' and '.join(map(str, record.tuned))} others" if record.tuned else ""
    seeds = f" of training, {record.reported} seeds per arm{tuned}" if record.arms else ""
    lines += ["", f"`{record.command}`: {_time(record.seconds)}{seeds}; {record.date}."]
    if record.arms:
        lines += [
            "",
            "Arms: " + "; ".join(f"{name}: {described(settings)}" for name, settings in record.arms.items()) + ".",
        ]
    if record.edges:
        lines += ["", f"At the edge of its grid: {'; '.join(record.edges)}."]
    if record.deviations:
        lines += ["", "Deviations: " + "; ".join(record.deviations) + "."]
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
