"""A report: runs as one HTML page that needs only a browser."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from svl.results import tables
from svl.results.arm_label import short_names
from svl.results.comparison import FASTER, SLOWER, TOO_FEW, UNDECIDED
from svl.results.curve_data import packed
from svl.results.differing import differing
from svl.results.inline_svg import palette
from svl.results.quantity import quantity, setting
from svl.results.question import against, goal, question
from svl.results.report_pictures import pictures
from svl.results.reported_run import ReportedRun, find, load
from svl.results.setup_lines import setup_lines
from svl.results.verdict_words import answer

REPORT = "report.html"
PARTS = Path(__file__).with_name("page")
SCRIPTS = ("scale.js", "panel.js", "report.js")
RELOADING = '<noscript><meta http-equiv="refresh" content="{0}"></noscript><meta name="reload" content="{0}">'
SYMBOLS = {FASTER: "▲", SLOWER: "▼", UNDECIDED: "◆", TOO_FEW: "◇"}


__all__ = ["REPORT", "find", "load", "render"]


def render(runs: Sequence[ReportedRun], reload: int | None = None) -> str:
    """The HTML page of the runs; equal runs make equal pages.

    Args:
        reload: seconds after which the page reloads itself in a browser; it does not if ``None``.
    """
    environment = Environment(
        loader=FileSystemLoader(PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(run, f"run{number}") for number, run in enumerate(runs, 1)]
    svgs = [
        picture.svg
        for section in sections
        for group in (section["time_figures"], *section["curves"].values(), *section["others"].values())
        for picture in group
    ]
    drawn = [f"var(--{arm['colour']})" for section in sections for arm in section["data"]["arms"]]
    environment.globals |= {"zip": zip, "dict": dict, "symbols": SYMBOLS, "packed": packed, "ordinal": _ordinal}
    script = "\n".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return environment.get_template("report.html.j2").render(
        sections=sections,
        side_by_side=_side_by_side(sections) if len(sections) > 1 else {},
        palette=palette([*svgs, *drawn]),
        style=Markup((PARTS / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        reload=Markup(RELOADING.format(reload)) if reload else "",
    )


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def without_reloading(page: str) -> str:
    """A page that was made to reload itself, as one that does not."""
    return re.sub(RELOADING.replace("{0}", r"\d+"), "", page)


def _side_by_side(sections: Sequence[Mapping[str, Any]]) -> tables.Columns:
    """The settings in which runs differ: a row for each run, or for each setting where those are more."""
    values = differing([section["run"].settings for section in sections])
    by_setting = dict(zip(values, short_names(list(values)), strict=True))
    columns = {
        by_setting[key]: ["-" if cell is None else setting(cell) for cell in cells] for key, cells in values.items()
    }
    names = [section["run"].name for section in sections]
    if len(columns) <= len(names):
        return {"run": names, **columns}
    rows = {name: [cells[place] for cells in columns.values()] for place, name in enumerate(names)}
    return {"setting": list(columns), **rows}


def _section(run: ReportedRun, name: str) -> dict[str, Any]:
    """The variables of the template for one run."""
    results, settings = run.summary, run.settings
    verdicts = tables.verdict_columns(results)
    drawn = pictures(run, name)
    return {
        "id": name,
        "link": f"#{name}",
        "name": run.name,
        "experiment": settings.get("experiment", run.name),
        "run": run,
        "steps": settings["trainer"]["max_steps"],
        "question": question(results),
        "answer": answer(results) if results["target"] else "",
        "setup": setup_lines(settings, results),
        "threshold": goal(results),
        "against": against(results),
        "each_with": tables.each_with(results) + tables.intervals(results),
        "verdicts": verdicts,
        "counts": Counter(verdicts["verdict"]),
        **drawn,
        "data": {"name": run.name, "table": _table_of_arms(results), **drawn["data"]},
        "times": tables.time_columns(results) if results["target"] else {},
        "arms": tables.arm_columns(results),
        "finals": tables.final_columns(results),
        "settings_count": len(results["vary"]),
        "command": _command(results),
        "environment": _environment(results),
        "diverged": sum(row["diverged"] for row in results["arms"]),
    }


def _table_of_arms(results: Mapping[str, Any]) -> str:
    """The numbers of every arm as CSV; the bounds of an interval are the columns that end in ``low`` and ``high``."""
    rows = []
    for arm in results["arms"]:
        row = {"arm": arm["label"], **arm["settings"]}
        row |= {key: arm[key] for key in ("seeds", "diverged", "censored", "verdict", "corrected_p") if key in arm}
        gains = arm.get("speed_up") or {}
        nests = {f"speed_up.{unit}": gain for unit, gain in gains.items()}
        nests |= {key: arm[key] for key in ("success", "samples_to_target", "steps_to_target") if key in arm}
        nests |= {f"final.{metric}": entry for metric, entry in arm["final"].items()}
        row |= {f"{name}.{key}": value for name, entry in nests.items() for key, value in entry.items()}
        rows.append(row)
    return pd.DataFrame(rows).to_csv(index=False)


def _command(results: Mapping[str, Any]) -> str:
    """The command with each setting on a line of its own; it can be pasted into a shell."""
    words = map(shlex.quote, shlex.split(results.get("command", "")))
    return " ".join(f"\\\n  {word}" if word.startswith("--") else word for word in words)


def _environment(results: Mapping[str, Any]) -> dict[str, str]:
    """Commit, wall time, versions and machine; empty while the fit is not finished."""
    if "versions" not in results:
        return {}
    commit = results["git_commit"] or "not in a git repository"
    seconds = results["wall_seconds"]
    return {
        "git commit": f"{commit}{' with uncommitted changes' if results['git_dirty'] else ''}",
        **({"data digest": results["data_digest"]} if "data_digest" in results else {}),
        "wall time": f"{quantity(seconds)} s" if seconds < 120 else f"{quantity(seconds / 60)} min",
        **results["versions"],
        **results["machine"],
    }
