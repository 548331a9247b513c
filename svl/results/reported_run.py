"""A run directory as a report reads it: config, history and summary, also while the fit is running."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from svl.errors import SettingError
from svl.results import history, summary
from svl.results.arms import varied
from svl.results.files import CONFIG, SUMMARY


@dataclass(frozen=True)
class ReportedRun:
    """The contents of a run directory.

    Attributes:
        name: the experiment and the run's id.
        config: the text of the resolved config.
        settings: the resolved config.
        history: all measurements so far.
        summary: the run's own, with the statistics of this svl where an older one wrote it; that of the history so far
            while the fit is not finished.
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
        """The last measured step."""
        return int(self.history["step"].max())


def find(path: Path) -> list[Path]:
    """The run directories at a path, in the order in which they began; directories without a history are skipped.

    A line on standard error names each that is skipped.

    Raises:
        SettingError: if there is no run directory with a history.
    """
    runs = runs_at(path)
    if runs == [path]:
        return runs
    measured = [run for run in runs if is_measured(run)]
    if not measured:
        raise SettingError("RUN", str(path), f"a run directory (with a {CONFIG}), or a folder of measured runs")
    for run in runs:
        if run not in measured:
            print(f"skipped {run}: it has no measurements", file=sys.stderr)
    return measured


def runs_at(path: Path) -> list[Path]:
    """The run directories at a path, measured or not: the path itself, or those in the folder."""
    if (path / CONFIG).is_file():
        return [path]
    return sorted(config.parent for config in path.glob(f"*/{CONFIG}"))


def is_measured(run: Path) -> bool:
    """Whether a run directory has a history."""
    return (run / history.TABLE).exists() or any((run / history.PARTS).glob("*.parquet"))


def load(path: Path) -> ReportedRun:
    """Read a run directory.

    Raises:
        SettingError: if it has no measurements or one of its files cannot be read.
    """
    try:
        config = (path / CONFIG).read_text(encoding="utf-8")
        settings = dict(yaml.safe_load(config))
        rows = history.read(path)
        # A resumed fit splits its finished history into parts again but leaves the earlier summary.
        finished = (path / SUMMARY).exists() and (path / history.TABLE).exists()
        if finished:
            loaded = _with_current_statistics(json.loads((path / SUMMARY).read_text(encoding="utf-8")), rows)
        else:
            target = settings["target"]
            vary = varied(settings["replicas"])
            loaded = summary.summarise(rows, vary, target["metric"], target["value"])
    except FileNotFoundError:
        raise SettingError("RUN", str(path), "a run whose fit has measured something") from None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingError("RUN", str(path), f"a run whose files can be read ({reason})") from None
    return ReportedRun("/".join(path.resolve().parts[-2:]), config, settings, rows, loaded, finished)


def _with_current_statistics(loaded: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """A summary whose intervals and verdicts are those of this svl."""
    if loaded.get("intervals") == summary.INTERVALS:
        return loaded
    target = loaded["target"] or {"metric": None, "value": 0.0}
    reference = {key: _as_in(rows, key, value) for key, value in loaded["reference"].items()}
    return {**loaded, **summary.summarise(rows, loaded["vary"], target["metric"], target["value"], reference)}


def _as_in(rows: pd.DataFrame, key: str, value: Any) -> Any:
    """A setting's value as the history writes it, where numbers and words are all text."""
    return str(value) if key in rows and rows[key].dtype.kind in "OUT" and not isinstance(value, str) else value
