"""The run directory: made, found again, locked, and finished."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
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

from svl.arguments import flatten
from svl.errors import SettingError
from svl.results import history, summary
from svl.results.atomic import replacing

CONFIG, CHECKPOINT, FIGURE = "config.yaml", Path("checkpoints") / "last.ckpt", Path("figures") / "curves"
LOCK, FOLLOWED = ".lock", "SVL_RUN_DIRECTORY"
# Settings that change no number of a run, so that a resumed run may have others.
_FREE = (
    "ckpt_path",
    "run_id",
    "runs",
    "verbose",
    "wandb",
    "figure",
    "checkpoint",
    "trainer.enable_progress_bar",
    "trainer.max_time",
    "trainer.devices",
)
# Those that a measurement of a finished run may have of its own.
_FREE_TO_MEASURE = (*_FREE, "trainer", "target", "data.test_size")
CKPT_PATH = "'last', a file checkpoints/last.ckpt in a run directory, or 'auto': go on if the run has begun"
_NAME = re.compile(r"[A-Za-z0-9][\w.=,-]{0,99}")
_TIME, _DATED = "%Y%m%d-%H%M%S", r"\d{8}-\d{6}"


@dataclass
class RunDirectory:
    """``runs/<experiment>/<run id>``; the process that holds it is its only writer.

    Attributes:
        path: the directory.
        checkpoint: where to go on from, ``None`` for a new run.
        follows: whether another process of the same fit is the writer.
    """

    path: Path
    checkpoint: Path | None = None
    follows: bool = False
    _made: list[Path] = field(default_factory=list, repr=False)
    _lock: IO[str] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The run's name, also on W&B."""
        return self.path.name

    @property
    def is_dated(self) -> bool:
        """Whether the run's name is the time at which it began, and not one that was given."""
        return re.match(_DATED, self.path.name) is not None

    @classmethod
    def create(cls, folder: Path, config: str, run_id: str | None = None, goes_on: bool = False) -> RunDirectory:
        """A new directory with the resolved config in it.

        Args:
            folder: of the experiment.
            config: the resolved config.
            run_id: the directory's name; the time and four letters if ``None``.
            goes_on: whether the directory may be there already, from a fit that was killed before its first checkpoint.

        Raises:
            SettingError: if it cannot be written, or is there already.
        """
        path = folder / (run_id or f"{time.strftime(_TIME)}-{secrets.token_hex(2)}")
        run = cls(path, _made=[parent for parent in path.parents if not parent.exists()])
        try:
            path.mkdir(parents=True, exist_ok=goes_on)
        except FileExistsError:
            allowed = f"a name that no run in {folder} has yet; with --ckpt_path auto a fit goes on where it was"
            raise SettingError("run_id", run_id, allowed) from None
        except OSError as error:
            raise run._unwritable(error) from None
        run.lock()
        try:
            with replacing(path / CONFIG) as file:
                file.write_text(config)
        except OSError as error:
            raise run._unwritable(error) from None
        return run

    def _unwritable(self, error: OSError) -> SettingError:
        self.discard()
        return SettingError("runs", str(self.path.parent), f"a folder that can be written ({error.strerror})")

    @classmethod
    def follow(cls, folder: Path, run_id: str | None) -> RunDirectory:
        """That of the first process of a fit on several devices, which has opened it or is about to.

        Args:
            folder: of the experiment.
            run_id: the run's, which processes that SLURM has started have to be told.

        Raises:
            SettingError: if they were not.
        """
        told = os.environ.get(FOLLOWED)
        if told is None and run_id is None:
            raise SettingError("run_id", run_id, "a name: not svl has started these processes")
        path = Path(told) if told else folder / str(run_id)
        return cls(path, path / CHECKPOINT if (path / CHECKPOINT).exists() else None, follows=True)

    def discard(self) -> None:
        """Remove a new directory and the folders that were made for it, if nothing was trained."""
        self.close()
        if self.follows:
            return
        if self.checkpoint is None and not (self.path / CHECKPOINT).exists():
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    @classmethod
    def resume(cls, folder: Path, ckpt_path: str, config: str, run_id: str | None = None) -> RunDirectory:
        """The directory of a checkpoint; of the run, or the experiment's latest run, for ``last``; any for ``auto``.

        Raises:
            SettingError: if there is none, another fit holds it, or it was made with other settings.
        """
        if ckpt_path == "auto":
            if run_id is None:
                raise SettingError("ckpt_path", ckpt_path, "together with --run_id, which names the run to go on with")
            if not (folder / run_id / CHECKPOINT).exists():
                return cls.create(folder, config, run_id, goes_on=True)
            ckpt_path = "last"
        run = cls.find(folder, ckpt_path, run_id)
        run.check_settings(config, _FREE)
        run.lock()
        return run

    @classmethod
    def measure(cls, folder: Path, ckpt_path: str, config: str, run_id: str | None = None) -> RunDirectory:
        """The directory of a checkpoint that is only read.

        Raises:
            SettingError: if there is none, or it was made with other settings.
        """
        run = cls.find(folder, ckpt_path, run_id)
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
    def find(cls, folder: Path, ckpt_path: str, run_id: str | None = None) -> RunDirectory:
        """The run directory that a checkpoint belongs to.

        Raises:
            SettingError: if there is none.
        """
        if ckpt_path == "last":
            every = folder.glob(f"{run_id or '*'}/{CHECKPOINT}")
            found = [path for path in every if (path.parent.parent / CONFIG).is_file()]
            if not found:
                place = folder / run_id if run_id else folder
                raise SettingError("ckpt_path", ckpt_path, f"an experiment with a checkpoint; there is none in {place}")
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
            self._lock = (self.path / LOCK).open("w")
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


def check_name(run_id: str | None) -> None:
    """Refuse a name that is no plain folder's.

    Raises:
        SettingError: for an empty one, one with a slash or that begins with a dot, or a very long one.
    """
    if run_id is not None and not _NAME.fullmatch(run_id):
        raise SettingError("run_id", run_id, "a folder's name: letters, digits and .,=-_, at most 100")


def _began(run: Path) -> tuple[str, int]:
    """When a run began: to the second by its name, which copying keeps, and finer by its config, written once."""
    written = (run / CONFIG).stat().st_mtime_ns
    by_name = re.match(_DATED, run.name)
    return by_name[0] if by_name else time.strftime(_TIME, time.localtime(written / 1e9)), written


def is_finished(run: Path) -> bool:
    """Whether a run has reached its last step."""
    try:
        return bool(json.loads((run / summary.SUMMARY).read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_held(run: Path) -> bool:
    """Whether a fit is writing to a run directory."""
    try:
        with (run / LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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


def content_hash(config: str) -> str:
    """Names a fit by what it computes: equal for configs that differ in nothing but where and how it is recorded.

    Args:
        config: the resolved config.
    """
    leaves = flatten(yaml.safe_load(config))
    free = (*_FREE, "experiment")
    own = {key: value for key, value in leaves if not any(key == one or key.startswith(f"{one}.") for one in free)}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]


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
