"""A report: runs as one HTML page that needs only a browser."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from svl.results import tables
from svl.results.comparison import FASTER, SLOWER, TOO_FEW, UNDECIDED
from svl.results.inline_svg import palette
from svl.results.quantity import quantity
from svl.results.question import against, goal, question
from svl.results.report_pictures import pictures
from svl.results.reported_run import ReportedRun, find, load
from svl.results.setup_lines import setup_lines

REPORT = "report.html"
SYMBOLS = {FASTER: "▲", SLOWER: "▼", UNDECIDED: "◆", TOO_FEW: "◇"}


__all__ = ["REPORT", "find", "load", "render"]


def render(runs: Sequence[ReportedRun]) -> str:
    """The HTML page of the runs; equal runs make equal pages."""
    template = Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sections = [_section(run, f"run{number}") for number, run in enumerate(runs, 1)]
    svgs = [
        svg
        for section in sections
        for group in (section["time_figures"], *section["curves"].values(), *section["others"].values())
        for svg in group
    ]
    environment.globals |= {"zip": zip, "symbols": SYMBOLS}
    return environment.from_string(template).render(sections=sections, palette=palette(svgs))


def _section(run: ReportedRun, name: str) -> dict[str, Any]:
    """The variables of the template for one run."""
    results, settings = run.summary, run.settings
    verdicts = tables.verdict_columns(results)
    return {
        "id": name,
        "name": run.name,
        "experiment": settings.get("experiment", run.name),
        "run": run,
        "steps": settings["trainer"]["max_steps"],
        "question": question(results),
        "setup": setup_lines(settings, results),
        "threshold": goal(results),
        "against": against(results),
        "each_with": tables.each_with(results) + tables.intervals(results),
        "verdicts": verdicts,
        "counts": Counter(verdicts["verdict"]),
        **pictures(run, name),
        "times": tables.time_columns(results) if results["target"] else {},
        "arms": tables.arm_columns(results),
        "finals": tables.final_columns(results),
        "settings_count": len(results["vary"]),
        "command": _command(results),
        "environment": _environment(results),
        "diverged": sum(row["diverged"] for row in results["arms"]),
    }


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
