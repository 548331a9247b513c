"""The run directory: made, found again, locked, and finished."""

from __future__ import annotations

import fcntl
import platform
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import yaml
from rich.table import Table

from svl.errors import SettingError
from svl.results import history, summary
from svl.results.atomic import replacing

CONFIG, CHECKPOINT, FIGURE = "config.yaml", Path("checkpoints") / "last.ckpt", Path("figures") / "curves"
# Settings that change no number of a run, so that a resumed run may have others.
_FREE = ("ckpt_path", "runs", "verbose", "wandb", "checkpoint", "trainer.enable_progress_bar", "trainer.max_time")
# Those that a measurement of a finished run may have of its own.
_FREE_TO_MEASURE = (*_FREE, "trainer", "target", "data.test_size")
CKPT_PATH = "'last', or a file checkpoints/last.ckpt in a run directory"


@dataclass
class RunDirectory:
    """``runs/<experiment>/<run id>``; the process that holds it is its only writer.

    Attributes:
        path: the directory.
        checkpoint: where to go on from, ``None`` for a new run.
    """

    path: Path
    checkpoint: Path | None = None
    _made: list[Path] = field(default_factory=list, repr=False)
    _lock: IO[str] | None = field(default=None, repr=False)

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
        run = cls(path, _made=[parent for parent in path.parents if not parent.exists()])
        try:
            path.mkdir(parents=True)
            with replacing(path / CONFIG) as file:
                file.write_text(config)
            run.lock()
        except OSError as error:
            run.discard()
            raise SettingError("runs", str(folder), f"a folder that can be written ({error.strerror})") from None
        return run

    def discard(self) -> None:
        """Remove a new directory and the folders that were made for it, if nothing was trained."""
        self.close()
        if self.checkpoint is None and not (self.path / CHECKPOINT).exists():
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    @classmethod
    def resume(cls, folder: Path, ckpt_path: str, config: str) -> RunDirectory:
        """The directory of a checkpoint, or of the experiment's latest run for ``last``.

        Raises:
            SettingError: if there is none, another fit holds it, or it was made with other settings.
        """
        run = cls.find(folder, ckpt_path)
        run.check_settings(config, _FREE)
        run.lock()
        return run

    @classmethod
    def measure(cls, folder: Path, ckpt_path: str, config: str) -> RunDirectory:
        """The directory of a checkpoint that is only read.

        Raises:
            SettingError: if there is none, or it was made with other settings.
        """
        run = cls.find(folder, ckpt_path)
        run.check_settings(config, _FREE_TO_MEASURE)
        return run

    def check_settings(self, config: str, free: Sequence[str]) -> None:
        """Refuse settings that are not the run's own.

        Args:
            config: the resolved config.
            free: settings that may differ.

        Raises:
            SettingError: naming the first setting that differs.
        """
        try:
            own = yaml.safe_load((self.path / CONFIG).read_text())
        except (OSError, ValueError, yaml.YAMLError):
            raise SettingError("ckpt_path", str(self.checkpoint), f"a run whose {CONFIG} can be read") from None
        changed = differences(own, yaml.safe_load(config), free)
        if changed:
            key, before, now = changed[0]
            raise SettingError(key, now, f"{before!r}, as in {self.path / CONFIG}: a checkpoint keeps its settings")

    @classmethod
    def find(cls, folder: Path, ckpt_path: str) -> RunDirectory:
        """The run directory that a checkpoint belongs to.

        Raises:
            SettingError: if there is none.
        """
        if ckpt_path == "last":
            found = [path for path in folder.glob(f"*/{CHECKPOINT}") if (path.parent.parent / CONFIG).is_file()]
            if not found:
                raise SettingError(
                    "ckpt_path", ckpt_path, f"an experiment with a checkpoint; there is none in {folder}"
                )
            path = max(found, key=lambda path: _began(path.parent.parent))
        else:
            path = Path(ckpt_path)
            if not path.is_file() or not (path.parent.parent / CONFIG).is_file():
                raise SettingError("ckpt_path", ckpt_path, CKPT_PATH)
        return cls(path.parent.parent, path)

    def lock(self) -> None:
        """Keep other fits out until :meth:`close` or the end of this process.

        Raises:
            SettingError: if another fit is writing here, or this one may not.
        """
        allowed = "a run directory that no other fit is writing to"
        try:
            self._lock = (self.path / ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise SettingError("ckpt_path", str(self.path), allowed) from None
        except OSError as error:
            self.close()
            raise SettingError(
                "ckpt_path", str(self.path), f"{allowed}, and that can be written ({error.strerror})"
            ) from None

    def close(self) -> None:
        """Let other fits in."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def finish(self, vary: Sequence[str], metric: str, target: float, extra: Mapping[str, Any]) -> Table:
        """Join the history, write ``summary.json`` and the figure, and return the table of arms."""
        from svl.results import figure  # matplotlib takes a second to import: not when a fit begins

        history.finish(self.path)
        rows = history.read(self.path)
        result = summary.summarise(rows, list(vary), metric, target, extra=extra)
        summary.write(self.path, result)
        figure.save(figure.curves(rows, list(vary), metric, target), self.path / FIGURE)
        return summary.table(result)


def _began(run: Path) -> tuple[str, int]:
    """When a run began: to the second by its name, which copying keeps, and finer by its config, written once."""
    return run.name[:15], (run / CONFIG).stat().st_mtime_ns


def provenance(words: Sequence[str]) -> dict[str, Any]:
    """What made a run: versions, machine, git commit of the working directory, command.

    Args:
        words: the command line after the program's name.
    """
    packages = ("torch", "lightning", "numpy")
    return {
        "versions": {
            "svl": version("svl"),
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine()},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "command": shlex.join(["svl", *words]),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def differences(before: Any, now: Any, free: Sequence[str] = _FREE, key: str = "") -> list[tuple[str, Any, Any]]:
    """Settings in which two resolved configs differ, but for those that are ``free``: ``(key, before, now)``.

    Keys are as users write them, without ``init_args``.
    """
    if key in free:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            difference
            for name in sorted({*before, *now})
            for difference in differences(
                before.get(name), now.get(name), free, key if name == "init_args" else f"{key}.{name}".lstrip(".")
            )
        ]
    return [] if before == now else [(key, before, now)]
