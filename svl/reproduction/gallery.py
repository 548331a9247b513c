"""The gallery: one page with the picture, verdict, numbers, command, time and deviations of every stored figure."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from svl.errors import SettingError
from svl.reproduction import lock, looks, paper_figure
from svl.reproduction.catalogue import PAPERS, known
from svl.reproduction.record import CONFIRMING, EXPLORATORY, PICTURE, RESULT, Record, place, read
from svl.reproduction.scale import SCALES
from svl.reproduction.standing import frozen_figure
from svl.reproduction.tuning import described
from svl.reproduction.verdict_table import estimate
from svl.results.atomic import replacing

PAGE, _HEADING = "README.md", "# Gallery"
_MARKS = {"reproduced": "✅", "not reproduced": "❌", "undecided": "❔"}
_INTRODUCTION = """\
Written by `svl reproduce --gallery`: every figure with the paper's claim, what svl finds, and how. A claim is
*reproduced* where its whole interval (over seeds) agrees with it, *not reproduced* where the whole interval
contradicts it, else *undecided*. A figure is reproduced where all its claims are (an intersection-union test, which
needs no correction for their number), and not reproduced where one is contradicted (of m comparisons at their
boundary one is so by chance with a probability of at most 2.5 % m). Where rates are tuned, it is for each arm, on
seeds other than those reported.

Only a *confirming* run can say *reproduced*: its claims, seeds, grids, statistic and margins were frozen in a file,
`claims.lock`, committed before the run, and its seeds are new (docs/reproducing.md). Every other result is
*exploratory* and says *agrees* or *disagrees*; it may have been looked at before its claims were chosen. *Looks* are
the exploratory results that were seen, and confirming ones that others have replaced, listed in `looks.yaml` with
what changed between them. The words of a frozen figure, its title, its claim and its deviations from the paper, are
today's, as long as its config is the one that was frozen; they decide nothing.

A legend gives the ratio of the median times to the target, a table that of the restricted means."""
_REPLACED = ", confirming"


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
    """Copy a result and its picture into the gallery.

    Listed as a look is an exploratory result, and a confirming one that is replaced by that of another lock.
    """
    into = gallery / record.folder
    before = read(into)
    if record.kind == EXPLORATORY and record.scale != "smoke":
        looks.add(gallery, record.name, _look(record))
    elif before and record.kind == CONFIRMING and before.frozen != record.frozen:
        looks.add(gallery, record.name, _look(before))
    into.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, f"{PICTURE}.png"):
        shutil.copyfile(folder / name, into / name)


def write(gallery: Path) -> Path:
    """Write the page of all results in the gallery; returns its path."""
    path = gallery / PAGE
    with replacing(path) as file:
        file.write_text(_page(gallery), encoding="utf-8")
    return path


def _look(record: Record) -> looks.Look:
    """A result as an entry of the list of looks."""
    effects = "; ".join(f"{estimate(claim)} {claim['verdict']}" for claim in record.claims)
    seen = {"date": record.date, "commit": record.commit[:7], "scale": record.scale, "seeds": record.seeds}
    found = record.verdict + _REPLACED * (record.kind == CONFIRMING)
    return {**seen, "found": found, "effects": effects, "settings": record.settings}


def _records(gallery: Path, name: str, kind: str) -> dict[str, Record]:
    found = {scale: read(gallery / place(name, scale, kind)) for scale in SCALES}
    return {scale: record for scale, record in found.items() if record}


def _in_todays_words(record: Record, gallery: Path) -> Record:
    """A confirming result with the words of the figure's config, if it is still the config that was frozen."""
    found = lock.read(record.name, record.scale, gallery)
    if found is None or found.hash != record.frozen:
        return record
    figure = frozen_figure(paper_figure.read(record.name, record.scale), gallery)
    if lock.digest(lock.content(figure)) != found.hash:
        return record
    return replace(record, title=figure.title, says=figure.says, deviations=figure.deviations)


def _page(gallery: Path) -> str:
    taken = looks.read(gallery)
    lines = [
        _HEADING,
        "",
        _INTRODUCTION,
        "",
        "| figure | claim | confirming | exploratory | looks | scale | time |",
        "|---|---|---|---|---|---|---|",
    ]
    missing, judged = [], []
    sections: dict[str, list[str]] = {paper: [] for paper in PAPERS}
    for name in known():
        confirming, explored = (_records(gallery, name, kind) for kind in (CONFIRMING, EXPLORATORY))
        confirming = {scale: _in_todays_words(record, gallery) for scale, record in confirming.items()}
        seen = taken.get(name, [])
        if not confirming and not explored:
            missing.append(name)
        for scale in [scale for scale in SCALES if scale in confirming or scale in explored]:
            both = confirming.get(scale), explored.get(scale)
            shown = both[0] or both[1]
            assert shown is not None
            judged += [both[0]] * bool(both[0])
            anchor = f"#{name.replace('/', '')}-{scale}"
            verdicts = [_marked(record) for record in both]
            number = len([look for look in seen if look.get("scale") == scale])
            row = (f"[{name}]({anchor})", shown.says, *verdicts, str(number), scale, _time(shown.seconds))
            lines.append(f"| {' | '.join(row)} |")
            section = sections[name.partition("/")[0]]
            section += ["", f"### {name} ({scale})", "", f"{shown.title}. The claim: {shown.says}."]
            for record in both:
                section += ["", *_result(record)] if record else []
            section += _history([look for look in seen if look.get("scale") == scale])
    lines += ["", _error_rate(judged)]
    if missing:
        lines += ["", f"Not run yet: {', '.join(missing)}."]
    for paper, title in PAPERS.items():
        if sections[paper]:
            lines += ["", f"## {title}", *sections[paper]]
    return "\n".join(lines) + "\n"


def _marked(record: Record | None) -> str:
    return f"{_MARKS.get(record.verdict, '')} {record.verdict}".strip() if record else "-"


def _error_rate(judged: list[Record | None]) -> str:
    """The expected number of figures that are reproduced by chance."""
    number = len(judged)
    reproduced = sum(record is not None and record.verdict == "reproduced" for record in judged)
    return (
        f"Error over all figures: of {number} confirming results {reproduced} say *reproduced*. A figure whose claim "
        "is false by no more than its boundary is called reproduced with a probability of at most 2.5 %, so that at "
        f"most {0.025 * number:.2g} false ones are expected among them even if no claim were true (the plain "
        "expectation, without a correction). Exploratory results have no such rate."
    )


def _result(record: Record) -> list[str]:
    verdict = f"{record.verdict[0].upper()}{record.verdict[1:]}"
    frozen = f", frozen as `{record.frozen}` in {record.freeze[:7] or 'this version'}" if record.frozen else ""
    since = f" (exploratory, since {'; '.join(record.reasons)})" if record.reasons else ""
    lines = [
        f"**{record.kind[0].upper()}{record.kind[1:]}: {verdict}**{frozen}{since}.",
        "",
        f"![{record.name}, {record.kind}]({record.folder.as_posix()}/{PICTURE}.png)",
        "",
        "| claim | effect [interval] | verdict |",
        "|---|---|---|",
    ]
    for claim in record.claims:
        note = f" ({claim['note']})" if claim["note"] else ""
        needs = f"; about {claim['needs']} seeds an arm would decide it" if claim.get("needs") else ""
        lines.append(f"| {claim['says']} | {claim['effect']}: {estimate(claim)}{note} | {claim['verdict']}{needs} |")
    tuned = f", rates tuned on {' and '.join(map(str, record.tuned))} others" if record.tuned else ""
    seeds = f" of training, {record.reported} seeds per arm{tuned}" if record.arms else ""
    first = f", seeds from {record.seeds[0][0]}" if record.seeds else ""
    lines += ["", f"`{record.command}`: {_time(record.seconds)}{seeds}{first}; {record.date}."]
    if record.looks:
        taken = ", ".join(f"{verdict} with {count}" for count, verdict in record.looks)
        lines += ["", f"Seeds were added until it was decided, with intervals for four looks: {taken}."]
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


def _history(seen: list[looks.Look]) -> list[str]:
    """The looks at a figure, where there were several, or where a confirming result was replaced."""
    if len(seen) < 2 and not any(look["found"].endswith(_REPLACED) for look in seen):
        return []
    lines = ["", f"{len(seen)} earlier look{'s' * (len(seen) > 1)}:", ""]
    for look in seen:
        seeds = ", ".join(f"{first} to {first + count - 1}" for first, count in look["seeds"])
        changed = f"; changed: {look['changed']}" if look.get("changed") else ""
        afterwards = f"; changed after this result: {look['afterwards']}" if look.get("afterwards") else ""
        lines.append(f"- {look['found']}, seeds {seeds}: {look['effects']}{changed}{afterwards}")
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
