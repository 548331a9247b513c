"""The lock of a run directory: one fit at a time writes there."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

_FILE = ".lock"


class Lock:
    """An exclusive lock on a folder, which the system releases when the process ends.

    Args:
        folder: the folder; the lock is on a file in it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            BlockingIOError: if another process holds it.
            OSError: if the file cannot be written.
        """
        try:
            self._file = self.path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give up the lock, if this object holds it."""
        if self._file:
            self._file.close()
            self._file = None


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock of a folder."""
    try:
        with (folder / _FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
