"""The run directory of a fit: created, found, resumed, locked, and finished."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from svl.errors import SettingError
from svl.results import history
from svl.results.atomic import replacing
from svl.results.files import CHECKPOINT, CONFIG, FIGURE
from svl.results.identity import FREE, FREE_TO_MEASURE, FREE_TO_RESUME, differences
from svl.results.lock import Lock

FOLLOWED = "SVL_RUN_DIRECTORY"
"""Environment variable that tells the other processes of a fit which run directory the first one has opened."""
CKPT_PATH = "'last', a file in the folder checkpoints of a run directory, or 'auto' to resume the run if it has begun"
_NAME = re.compile(r"[A-Za-z0-9][\w.=,-]{0,99}")
_TIME, _DATED = "%Y%m%d-%H%M%S", r"\d{8}-\d{6}"


class RunDirectory:
    """``runs/<experiment>/<run id>``; the process that holds its lock is its only writer.

    Args:
        path: the directory.
        checkpoint: the checkpoint to resume from, ``None`` for a new run.
        follows: whether another process of the same fit is the writer.

    Attributes:
        changed: settings that differ from those of the run so far: ``(key, before, now)``.
    """

    changed: Sequence[tuple[str, Any, Any]] = ()

    def __init__(self, path: Path, checkpoint: Path | None = None, follows: bool = False) -> None:
        self.path, self.checkpoint, self.follows = path, checkpoint, follows
        self._lock = Lock(path)
        # Folders that are removed with a run that never began.
        self._missing = [parent for parent in path.parents if not parent.exists()]

    @property
    def id(self) -> str:
        """The run's name, also on W&B."""
        return self.path.name

    @property
    def is_dated(self) -> bool:
        """Whether the run's name is the time at which it began, and not one that was given."""
        return re.match(_DATED, self.path.name) is not None

    @classmethod
    def create(cls, folder: Path, config: str, run_id: str | None = None, may_exist: bool = False) -> RunDirectory:
        """Create a directory with the resolved config in it.

        Args:
            folder: of the experiment.
            config: the resolved config.
            run_id: the directory's name; the time and four letters if ``None``.
            may_exist: whether the directory may exist already, from a fit that was killed before its first checkpoint.

        Raises:
            SettingError: if it cannot be written, or exists already.
        """
        path = folder / (run_id or f"{time.strftime(_TIME)}-{secrets.token_hex(2)}")
        run = cls(path)
        try:
            try:
                path.mkdir(parents=True, exist_ok=may_exist)
            except FileExistsError:
                allowed = f"a name that no run in {folder} has yet; add --ckpt_path auto to resume a run by its name"
                raise SettingError("run_id", run_id, allowed) from None
            run.lock("runs")
            with replacing(path / CONFIG) as file:
                file.write_text(config, encoding="utf-8")
        except OSError as error:
            run.discard()
            raise SettingError("runs", str(folder), f"a folder that can be written ({error.strerror})") from None
        return run

    @classmethod
    def follow(cls, folder: Path, run_id: str | None) -> RunDirectory:
        """The directory of the first process of a fit on several devices, for its other processes.

        Args:
            folder: of the experiment.
            run_id: the run's name, required where svl has not started the processes itself.

        Raises:
            SettingError: if it is required and missing.
        """
        opened = os.environ.get(FOLLOWED)
        if opened is None and run_id is None:
            allowed = "a name: --run_id is required when processes are launched externally (e.g. by srun)"
            raise SettingError("run_id", run_id, allowed)
        path = Path(opened) if opened else folder / str(run_id)
        return cls(path, path / CHECKPOINT if (path / CHECKPOINT).exists() else None, follows=True)

    def discard(self) -> None:
        """Remove a new directory and the folders that were created for it, if nothing was trained."""
        self.close()
        if self.follows:
            return
        if self.checkpoint is None and not (self.path / CHECKPOINT).exists():
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._missing:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    @classmethod
    def resume(cls, folder: Path, ckpt_path: str, config: str, run_id: str | None = None) -> RunDirectory:
        """Open and lock the run directory to resume.

        Args:
            folder: of the experiment.
            ckpt_path: the path of a checkpoint; ``last`` for that of the run ``run_id`` or of the experiment's latest
                run; ``auto`` for that of the run ``run_id``, which is created if it has no checkpoint.
            config: the resolved config.
            run_id: the run's name.

        Raises:
            SettingError: if there is no such checkpoint, another fit holds the lock, or settings differ from the run's.
        """
        if ckpt_path == "auto":
            if run_id is None:
                raise SettingError("ckpt_path", ckpt_path, "together with --run_id, which names the run to resume")
            if not (folder / run_id / CHECKPOINT).exists():
                return cls.create(folder, config, run_id, may_exist=True)
            ckpt_path = "last"
        run = cls.find(folder, ckpt_path, run_id)
        run.changed = run.check_settings(config, FREE, FREE_TO_RESUME)
        run.lock()
        return run

    @classmethod
    def measure(cls, folder: Path, ckpt_path: str, config: str, run_id: str | None = None) -> RunDirectory:
        """The directory of a checkpoint that is only evaluated.

        Raises:
            SettingError: if there is no such checkpoint, or settings differ from the run's.
        """
        run = cls.find(folder, ckpt_path, run_id)
        run.check_settings(config, FREE_TO_MEASURE)
        return run

    def check_settings(
        self, config: str, free: Sequence[str], allowed: Sequence[str] = ()
    ) -> list[tuple[str, Any, Any]]:
        """Refuse settings that differ from the run's.

        Args:
            config: the resolved config.
            free: settings that may differ.
            allowed: further settings that may differ, which are returned: ``(key, before, now)``.

        Raises:
            SettingError: naming the first setting that differs.
        """
        changed = differences(self._saved(), yaml.safe_load(config), free)
        for key, before, now in changed:
            if not any(key == name or key.startswith(f"{name}.") for name in allowed):
                raise SettingError(key, now, f"{before!r}, as in {self.path / CONFIG}: a checkpoint keeps its settings")
            if key == "trainer.max_steps" and now < before:
                allowed_steps = f"at least {before}, as in {self.path / CONFIG}: a fit can only become longer"
                raise SettingError(key, now, allowed_steps)
        return changed

    def update(self, config: str) -> None:
        """Write the settings with which the run is resumed; the run keeps its name.

        Args:
            config: the resolved config.
        """
        kept = {key: value for key, value in self._saved().items() if key in ("run_id", "ckpt_path")}
        with replacing(self.path / CONFIG) as file:
            text = yaml.safe_dump({**yaml.safe_load(config), **kept}, sort_keys=False, allow_unicode=True)
            file.write_text(text, encoding="utf-8")

    def _saved(self) -> dict[str, Any]:
        try:
            return dict(yaml.safe_load((self.path / CONFIG).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            raise SettingError("ckpt_path", str(self.checkpoint), f"a run whose {CONFIG} can be read") from None

    @classmethod
    def find(cls, folder: Path, ckpt_path: str, run_id: str | None = None) -> RunDirectory:
        """The run directory that a checkpoint belongs to.

        Raises:
            SettingError: if there is no such checkpoint.
        """
        if ckpt_path == "last":
            every = folder.glob(f"{run_id or '*'}/{CHECKPOINT}")
            checkpoints = [path for path in every if (path.parent.parent / CONFIG).is_file()]
            if not checkpoints:
                place = folder / run_id if run_id else folder
                raise SettingError("ckpt_path", ckpt_path, f"an experiment with a checkpoint; there is none in {place}")
            path = max(checkpoints, key=lambda path: _began(path.parent.parent))
        else:
            path = Path(ckpt_path)
            if not path.is_file():
                raise SettingError("ckpt_path", ckpt_path, f"{CKPT_PATH}; there is no such file")
            if not (path.parent.parent / CONFIG).is_file():
                allowed = f"{CKPT_PATH}; this file is not in the folder checkpoints of a run directory: move it there"
                raise SettingError("ckpt_path", ckpt_path, allowed)
        return cls(path.parent.parent, path)

    def lock(self, key: str = "ckpt_path") -> None:
        """Keep other fits out until :meth:`close` or the end of this process.

        Args:
            key: the setting that an error names.

        Raises:
            SettingError: if another fit is writing here, or this one is not allowed to.
        """
        allowed = "a run directory that no other fit is writing to"
        try:
            self._lock.acquire()
        except BlockingIOError:
            raise SettingError(key, str(self.path), allowed) from None
        except OSError as error:
            allowed += f", and that can be written ({error.strerror})"
            raise SettingError(key, str(self.path), allowed) from None

    def close(self) -> None:
        """Let other fits in."""
        self._lock.release()

    def draw(self, vary: Sequence[str], metric: str, target: float) -> None:
        """Write the figure."""
        from svl.results import figure  # matplotlib takes a second to import: not when a fit begins

        figure.save(figure.curves(history.read(self.path), list(vary), metric, target), self.path / FIGURE)


def check_name(run_id: str | None) -> None:
    """Refuse a name that is not a plain folder's.

    Raises:
        SettingError: for an empty name, one with a slash, one that begins with a dot, or a very long one.
    """
    if run_id is not None and not _NAME.fullmatch(run_id):
        raise SettingError("run_id", run_id, "a folder's name: letters, digits and .,=-_, at most 100")


def _began(run: Path) -> tuple[str, int]:
    """When a run began: to the second by its name, which survives copying, and finer by the time of its config."""
    written = (run / CONFIG).stat().st_mtime_ns
    by_name = re.match(_DATED, run.name)
    return by_name[0] if by_name else time.strftime(_TIME, time.localtime(written / 1e9)), written


def steps_done(run: Path) -> tuple[int, int]:
    """The step of a run's checkpoint, and its last one.

    Raises:
        SettingError: for a folder that is not a run directory with a checkpoint.
    """
    import torch  # takes seconds to import

    try:
        settings = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
        saved = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
        return int(saved["global_step"]), int(settings["trainer"]["max_steps"])
    except Exception as error:  # torch and YAML have errors of many classes for files that are not theirs
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError("RUN", str(run), f"a run directory with a checkpoint ({reason[:120]})") from None
