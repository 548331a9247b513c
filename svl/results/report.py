"""``svl report``: runs as one HTML page that needs nothing but a browser."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from svl.errors import SettingError
from svl.results import history, panels, summary
from svl.results.arm_label import short_names
from svl.results.arms import compared_setting, metrics, varied
from svl.results.atomic import replacing
from svl.results.figure import MOST_COLUMNS, columns_of
from svl.results.inline_svg import inline_svg, palette
from svl.results.quantity import quantity, setting
from svl.results.run import CONFIG
from svl.results.summary import SUMMARY

REPORT = "report.html"
USAGE = "svl report RUN [RUN ...] [--output FILE]"
SYMBOLS = {"faster": "▲", "slower": "▼", "undecided": "◆"}
# pictures of one metric and of all the metrics that are not the target's; the rest stays in the history
MOST_PANELS, MOST_FIGURES = 12, 48


@dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Attributes:
        name: its experiment and its id.
        config: the resolved config as it was written.
        settings: the same, read.
        history: as far as it goes.
        summary: the run's own; of the history so far while the fit is not finished.
        finished: whether the fit has written its results.
    """

    name: str
    config: str
    settings: dict[str, Any]
    history: pd.DataFrame
    summary: dict[str, Any]
    finished: bool

    @property
    def step(self) -> int:
        """How far the fit got."""
        return int(self.history["step"].max())


def main(words: Sequence[str]) -> int:
    """Write a report and print its path.

    Args:
        words: the command line after ``svl report``.

    Raises:
        SettingError: for a path that is neither a run directory nor a folder of them, or a file that cannot be written.
    """
    parser = _Parser(prog="svl report", usage=USAGE, allow_abbrev=False)
    parser.description = "Write runs as one HTML page: question, verdicts, curves, times to target, arms, settings."
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or an experiment's folder: all its runs")
    default = f"{REPORT} in the run directory, in the working directory for several runs"
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"default: {default}")
    given = parser.parse_args(words)
    folders = list(dict.fromkeys(folder for path in given.runs for folder in find(Path(path))))
    output = given.output or (folders[0] if len(folders) == 1 else Path()) / REPORT
    page = render([load(folder) for folder in folders])
    try:
        with replacing(output) as file:
            file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingError("--output", str(output), f"a file that can be written ({error.strerror})") from None
    print(output)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError("report", message, USAGE)


def find(path: Path) -> list[Path]:
    """The run directories that a path stands for, in the order in which they began; those without a history are named.

    Raises:
        SettingError: if there is none.
    """
    if (path / CONFIG).is_file():
        return [path]
    runs = sorted(config.parent for config in path.glob(f"*/{CONFIG}"))
    measured = [run for run in runs if (run / history.TABLE).exists() or any((run / history.PARTS).glob("*.parquet"))]
    if not measured:
        raise SettingError("RUN", str(path), f"a run directory (with a {CONFIG}), or a folder of measured runs")
    for run in runs:
        if run not in measured:
            print(f"left out: {run}, where nothing has been measured", file=sys.stderr)
    return measured


def load(path: Path) -> Run:
    """Reads a run directory.

    Raises:
        SettingError: if nothing has been measured there or a file of it cannot be read.
    """
    try:
        config = (path / CONFIG).read_text(encoding="utf-8")
        settings = dict(yaml.safe_load(config))
        rows = history.read(path)
        # a fit that goes on takes its finished history apart and leaves the summary of the time before
        finished = (path / SUMMARY).exists() and (path / history.TABLE).exists()
        if finished:
            found = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
        else:
            target = settings["target"]
            vary = varied(settings["replicas"])
            found = summary.summarise(rows, vary, target["metric"], target["value"])
    except FileNotFoundError:
        raise SettingError("RUN", str(path), "a run whose fit has measured something") from None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingError("RUN", str(path), f"a run whose files can be read ({reason})") from None
    return Run("/".join(path.resolve().parts[-2:]), config, settings, rows, found, finished)


def render(runs: Sequence[Run]) -> str:
    """The page; equal runs make equal pages."""
    template = Path(__file__).with_suffix(".html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sections = [_section(run, f"run{number}") for number, run in enumerate(runs, 1)]
    drawn = [
        svg
        for section in sections
        for svgs in (section["time_figures"], *section["curves"].values(), *section["others"].values())
        for svg in svgs
    ]
    environment.globals |= {"zip": zip, "symbols": SYMBOLS}
    return environment.from_string(template).render(sections=sections, palette=palette(drawn))


def _section(run: Run, name: str) -> dict[str, Any]:
    """What the template shows of a run."""
    found, settings = run.summary, run.settings
    verdicts = summary.verdict_columns(found)
    return {
        "id": name,
        "name": run.name,
        "experiment": settings.get("experiment", run.name),
        "run": run,
        "steps": settings["trainer"]["max_steps"],
        "question": question(found),
        "setup": _setup(settings, found),
        "threshold": _goal(found),
        "against": _against(found),
        "each_with": summary.each_with(found),
        "verdicts": verdicts,
        "counts": Counter(verdicts["verdict"]),
        **_pictures(run, name),
        "times": summary.time_columns(found) if found["target"] else {},
        "arms": summary.arm_columns(found),
        "finals": summary.final_columns(found),
        "settings_count": len(found["vary"]),
        "command": _command(found),
        "environment": _environment(found),
        "diverged": sum(row["diverged"] for row in found["arms"]),
    }


def question(found: Mapping[str, Any]) -> str:
    """What the arms of a run were made to answer, in a sentence."""
    target, vary = found["target"], found["vary"]
    if not target:
        return "How do the measured quantities develop?"
    goal = _goal(found)
    key = compared_setting(vary)
    if key is None or len(found["arms"]) == 1:
        return f"After how many samples does the network reach {goal}?"
    names = dict(zip(vary, short_names(vary), strict=True))
    values = _values(found)
    others = [value for value in values[key] if value != setting(found["reference"][key])]
    at = [f"{names[each]} = {_listed(values[each])}" for each in vary if each != key]
    where = f", at {' and '.join(at)}" if at else ""
    return f"Does {names[key]} = {_listed(others)} reach {goal} after fewer samples than {_against(found)}{where}?"


def _values(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of each varied setting."""
    rows = [row["settings"] for row in found["arms"]]
    return {key: list(dict.fromkeys(setting(row[key]) for row in rows)) for key in found["vary"]}


def _goal(found: Mapping[str, Any]) -> str:
    target = found["target"]
    if not target:
        return ""
    return f"{target['metric']}{' of' * target['metric'].endswith('accuracy')} {summary.threshold(target)}"


def _against(found: Mapping[str, Any]) -> str:
    """``size = online``: what makes the reference arms of a run."""
    names = dict(zip(found["vary"], short_names(found["vary"]), strict=True))
    return ", ".join(f"{names[key]} = {setting(value)}" for key, value in found["reference"].items())


def _listed(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else "".join(values)


def _setup(settings: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """The choices that define the experiment, one line each; what is varied is left to the arms."""
    data, model = settings["data"], settings["model"]
    varied = {key.rpartition(".")[2] for key in found["vary"]}
    task = (data.get("init_args") or {}).get("task")
    parts = {
        "task": task,
        "data": data,
        "network": model.get("network"),
        "loss": model.get("loss"),
        "optimizer": model.get("optimizer"),
    }
    lines = {name: _described(part, varied) for name, part in parts.items() if part}
    strategy = data.get("init_args") or {}
    named = {
        "axes": strategy.get("axes"),
        "streams": strategy.get("streams"),
        "interventions": {**(strategy.get("interventions") or {}), **(model.get("interventions") or {})},
        "groups": model.get("groups"),
        "schedules": model.get("schedules"),
    }
    for name, several in named.items():
        if several:
            lines[name] = "; ".join(f"{one}: {_described(part, varied)}" for one, part in several.items())
    if model.get("parameterisation"):
        lines["parameterisation"] = _described(model["parameterisation"], varied)
    values = (f"{key}: {', '.join(each)}" for key, each in _values(found).items())
    seeds = [row["seeds"] for row in found["arms"]]
    each = _listed(list(map(str, sorted(set(seeds)))))
    return {
        **lines,
        **({"varied": "; ".join(values)} if found["vary"] else {}),
        "replicas": f"{len(seeds)} arm{'s' * (len(seeds) > 1)} of {each} seed{'s' * (max(seeds) > 1)}",
    }


def _described(part: Any, varied: set[str]) -> str:
    """``Parity: dim 20, degree 6``: a class, if it is one, and those of its settings that are values or lists."""
    if not isinstance(part, Mapping):
        return str(part)
    settings = (part.get("init_args") or {}) if "class_path" in part else part
    given = {
        key: value
        for key, value in settings.items()
        if key not in varied
        and (isinstance(value, str | int | float) or (isinstance(value, list) and not any(map(_is_nest, value))))
    }
    text = ", ".join(
        f"{key} {json.dumps(value) if isinstance(value, bool) else setting(value)}" for key, value in given.items()
    )
    if "class_path" not in part:
        return text
    return f"{str(part['class_path']).rpartition('.')[2]}{': ' * bool(text)}{text}"


def _is_nest(value: Any) -> bool:
    return isinstance(value, Mapping)


def _command(found: Mapping[str, Any]) -> str:
    """The command with a line for each setting, to be read and to be pasted."""
    words = map(shlex.quote, shlex.split(found.get("command", "")))
    return " ".join(f"\\\n  {word}" if word.startswith("--") else word for word in words)


def _environment(found: Mapping[str, Any]) -> dict[str, str]:
    if "versions" not in found:
        return {}
    commit = found["git_commit"] or "not in a git repository"
    seconds = found["wall_seconds"]
    return {
        "git commit": f"{commit}{' with uncommitted changes' if found['git_dirty'] else ''}",
        **({"data digest": found["data_digest"]} if "data_digest" in found else {}),
        "wall time": f"{quantity(seconds)} s" if seconds < 120 else f"{quantity(seconds / 60)} min",
        **found["versions"],
        **found["machine"],
    }


def _pictures(run: Run, name: str) -> dict[str, Any]:
    """Curves by metric, the target's and the norm ratio first; times to the target; the metrics that are not drawn."""
    found = run.summary
    vary, target = found["vary"], found["target"]
    goal = {target["metric"]: target["value"]} if target else {}

    def inline(figures: Mapping[str, Figure], number: int, text: str) -> list[Markup]:
        return [
            Markup(inline_svg(figure, f"{name}-{number}-{place}", f"{text}{', ' * bool(title)}{title}"))
            for place, (title, figure) in enumerate(figures.items())
        ]

    others = worth_a_picture(run.history, vary, goal)
    columns = min(len(columns_of(run.history, vary)), MOST_COLUMNS)
    shown = [*goal, *sorted(others[: MOST_FIGURES // columns], key=metrics(run.history, vary).index)]
    curves = {}
    for number, metric in enumerate(shown, 1):
        most = MOST_PANELS if metric in goal else MOST_COLUMNS
        figures = panels.curves(run.history, vary, metric, goal.get(metric), most=most)
        curves[metric] = inline(figures, number, f"Curves of {metric} against samples")
    first = {metric: curves.pop(metric) for metric in (*goal, "norm_ratio") if metric in curves}
    times = panels.times(run.history, vary, *next(iter(goal.items())), most=MOST_PANELS) if goal else {}
    return {
        "curves": first or curves,
        "others": curves if first else {},
        "time_figures": inline(times, 0, f"Samples at which each seed reached {_goal(found)}"),
        "left_out": others[len(shown) - len(goal) :],
    }


def worth_a_picture(rows: pd.DataFrame, vary: Sequence[str], but: Mapping[str, Any]) -> list[str]:
    """Metrics that change, the first of every family (what is before ``/``) before the second of any."""
    families: Counter[str] = Counter()
    ranks = {}
    for metric in metrics(rows, vary):
        if metric not in but and not metric.startswith("reference/") and rows[metric].nunique() > 1:
            ranks[metric] = families[metric.partition("/")[0]]
            families[metric.partition("/")[0]] += 1
    return sorted(ranks, key=lambda metric: ranks[metric])
