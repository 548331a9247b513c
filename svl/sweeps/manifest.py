"""A sweep's manifest: its fits, with their resolved settings and their run directories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.results.files import is_finished
from svl.results.quantity import number
from svl.sweeps.sweep_file import Settings, Sweep, check

FOLDER, FAILED = "sweep", "failed"
"""The folder of a sweep's own files, next to its run directories: manifests, failures, logs, Optuna's journal."""


@dataclass(frozen=True)
class Row:
    """One fit.

    Attributes:
        number: its place in the sweep.
        settings: what the sweep gives it; ``None`` where they are chosen when the fit begins (``bayes``).
        run: its run directory, ``<runs>/<experiment>/<content hash>``.
        arms: number of arms.
        seeds: number of replicas of each arm.
    """

    number: int
    settings: Settings | None = None
    run: str | None = None
    arms: int = 0
    seeds: int = 0


@dataclass(frozen=True)
class Manifest:
    """The fits of a sweep.

    Attributes:
        sweep: the content of the sweep file.
        runs: the folder of all run directories.
        rows: the fits.
    """

    sweep: Sweep
    runs: str
    rows: list[Row]

    @property
    def folder(self) -> Path:
        """Where the sweep's own files are."""
        return Path(self.runs) / self.sweep.name / FOLDER

    @property
    def path(self) -> Path:
        """The manifest's file, named by its content: tasks that were submitted keep theirs when the sweep is edited."""
        return self.folder / f"{self.sweep.key}-{len(self.rows)}.json"

    def write(self) -> Path:
        """Write the manifest, completely or not at all.

        Raises:
            SettingError: if it cannot be written.
        """
        content = {"name": self.sweep.name, "sweep": self.sweep.content, "count": self.sweep.count, "runs": self.runs}
        try:
            with replacing(self.path) as path:
                path.write_text(
                    json.dumps({**content, "rows": [asdict(row) for row in self.rows]}, indent=1) + "\n",
                    encoding="utf-8",
                )
        except OSError as error:
            raise SettingError("runs", self.runs, f"a folder that can be written ({error.strerror})") from None
        return self.path

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest that :meth:`write` has written.

        Raises:
            SettingError: for any other file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            sweep = check(content["sweep"], content["name"], content["count"])
            return cls(sweep, content["runs"], [Row(**row) for row in content["rows"]])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SettingError("MANIFEST", str(path), f"a manifest that svl sweep has written ({error})") from None


def expansion(manifest: Manifest) -> str:
    """How many fits and training runs a sweep has: ``6 fits, each of 6 arms x 64 seeds: 2,304 training runs``."""
    rows = manifest.rows
    shapes = {(row.arms, row.seeds) for row in rows}
    if manifest.sweep.method == "bayes":
        return f"{manifest.sweep.name}: {number(len(rows), 'fit')}, each chosen after the ones before it"
    each = ""
    if len(shapes) == 1:
        ((arms, seeds),) = shapes
        each = f", each of {number(arms, 'arm')} x {number(seeds, 'seed')}"
    total = sum(row.arms * row.seeds for row in rows)
    return f"{manifest.sweep.name}: {number(len(rows), 'fit')}{each}: {number(total, 'training run')}"


def each_settings(sweep: Sweep) -> Iterator[Settings]:
    """The combinations of a grid, or random ones, of which the first n are the same whatever the count."""
    if sweep.method == "grid":
        yield from sweep.grid()[: sweep.count]
        return
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {key: parameter.distribution for key, parameter in sweep.parameters.items()}
    for _ in range(sweep.count):
        yield drawn(sweep, study.ask(distributions).params)


def drawn(sweep: Sweep, params: dict[str, Any]) -> Settings:
    """The settings that Optuna's parameters stand for."""
    return {key: parameter.value(params[key]) for key, parameter in sweep.parameters.items()}


def is_done(row: Row) -> bool:
    """Whether the row's fit has reached its last step."""
    return is_finished(Path(str(row.run)))


def failure(manifest: Manifest, row: Row) -> str | None:
    """The error of the row's fit; ``None`` if it has not failed."""
    path = failure_file(manifest, row)
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def failure_file(manifest: Manifest, row: Row) -> Path:
    """Where the error of a fit that fails is written."""
    return manifest.folder / FAILED / f"{Path(row.run).name if row.run else f'{manifest.sweep.key}-{row.number}'}.txt"
