"""The lock of a run directory: one fit at a time writes there."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import IO

from svl.console import say

_FILE = ".lock"
_WITHOUT = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL}
"""The errors of a file system that has no locks, such as Lustre mounted without ``flock``."""


class Lock:
    """An exclusive lock on a folder, which the system releases when the process ends.

    Args:
        folder: the folder; the lock is on a file in it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting; where the file system has no locks, say so and go on without.

        Raises:
            BlockingIOError: if another process holds it.
            OSError: if the file cannot be written.
        """
        try:
            self._file = self.path.open("wb")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self._file and error.errno in _WITHOUT:
                folder = self.path.parent
                say(f"svl: {folder} has no locks ({error.strerror}): nothing keeps another fit from writing there")
                return
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
        with (folder / _FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
