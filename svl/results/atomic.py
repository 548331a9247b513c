"""Atomic writes: a file appears completely or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WITHOUT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""The errors of a file system that has no fsync."""
_FOLDERS = (errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR)
"""Further ones of a file system that has none for folders, and of a folder that can be written but not listed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that replaces ``path``, synced to disk, when the block ends without an exception.

    It is in the same folder. Its name starts with a dot and is always the same, so the file that a killed process
    leaves is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    # That of another user, in a folder that is shared, can be removed but not written to.
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the file's content, or the folder's list of names, is on disk, where the file system can say so."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (*_WITHOUT, *(_FOLDERS if is_folder else ())):
            raise
