"""The run directory: made, found again, locked, and finished."""

from __future__ import annotations

import fcntl
import platform
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from svl.errors import SettingError
from svl.results import figure, history, summary
from svl.results.atomic import replacing

CONFIG, CHECKPOINT, FIGURE = "config.yaml", Path("checkpoints") / "last.ckpt", Path("figures") / "curves"
# Settings that change no number of a run, so that a resumed run may have others.
_FREE = ("ckpt_path", "runs", "verbose", "weights_only", "wandb", "checkpoint", "trainer.enable_progress_bar", "trainer.max_time")


@dataclass
class RunDirectory:
    """``runs/<experiment>/<run id>``; the process that holds it is its only writer.

    Attributes:
        path: the directory.
        checkpoint: where to go on from, ``None`` for a new run.
    """

    path: Path
    checkpoint: Path | None = None

    @property
    def id(self) -> str:
        """The run's name, also on W&B."""
        return self.path.name

    @classmethod
    def create(cls, folder: Path, config: str) -> RunDirectory:
        """A new directory with the resolved config in it.

        Raises:
            SettingError: if it cannot be written.
        """
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True)
            with replacing(path / CONFIG) as file:
                file.write_text(config)
        except OSError as error:
            raise SettingError("runs", str(folder), f"a folder that can be written ({error.strerror})") from None
        run = cls(path)
        run.lock()
        return run

    @classmethod
    def resume(cls, folder: Path, ckpt_path: str, config: str) -> RunDirectory:
        """The directory of a checkpoint, or of the experiment's latest run for ``last``.

        Raises:
            SettingError: if there is none, another fit holds it, or it was made with other settings.
        """
        run = cls.find(folder, ckpt_path)
        changed = differences(yaml.safe_load((run.path / CONFIG).read_text()), yaml.safe_load(config))
        if changed:
            key, before, now = changed[0]
            raise SettingError(key, now, f"{before!r}, as in {run.path / CONFIG}: a resumed run keeps its settings")
        run.lock()
        return run

    @classmethod
    def find(cls, folder: Path, ckpt_path: str) -> RunDirectory:
        """The run directory that a checkpoint belongs to.

        Raises:
            SettingError: if there is none.
        """
        if ckpt_path == "last":
            found = sorted(folder.glob(f"*/{CHECKPOINT}"), key=lambda path: path.parent.parent.name)
            if not found:
                raise SettingError("ckpt_path", ckpt_path, f"an experiment with a checkpoint; there is none in {folder}")
            path = found[-1]
        else:
            path = Path(ckpt_path)
            if not path.is_file() or not (path.parent.parent / CONFIG).is_file():
                raise SettingError("ckpt_path", ckpt_path, "'last', or a file checkpoints/last.ckpt in a run directory")
        return cls(path.parent.parent, path)

    def lock(self) -> None:
        """Keep other fits out until this process ends.

        Raises:
            SettingError: if another fit is writing here.
        """
        self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held until the process ends
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingError("ckpt_path", str(self.path), "a run directory that no other fit is writing to") from None

    def finish(self, vary: Sequence[str], metric: str, target: float, extra: Mapping[str, Any]) -> Table:
        """Join the history, write ``summary.json`` and the figure, and return the table of arms."""
        history.finish(self.path)
        rows = history.read(self.path)
        result = summary.summarise(rows, list(vary), metric, target, extra=extra)
        summary.write(self.path, result)
        figure.save(figure.curves(rows, list(vary), metric, target), self.path / FIGURE)
        return summary.table(result)


def provenance() -> dict[str, Any]:
    """What made a run: versions, machine, git commit of the working directory, command."""
    packages = ("torch", "lightning", "numpy")
    return {
        "versions": {"svl": version("svl"), "python": platform.python_version(), **{name: version(name) for name in packages}},
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine()},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def differences(before: Any, now: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Settings in which two resolved configs differ, but for those that change no number: ``(key, before, now)``."""
    if prefix.rstrip(".") in _FREE:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        return [d for key in keys for d in differences(before.get(key), now.get(key), f"{prefix}{key}.")]
    return [] if before == now else [(prefix.rstrip("."), before, now)]
