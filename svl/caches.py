"""Folders for what can be made again: compiled kernels, and what torch's compiler keeps.

Code from such a folder is run, so that a folder counts only if it belongs to this user and nobody else can write to it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def folders(name: str) -> Iterator[Path]:
    """Private folders in which something can be kept, the preferred one first; each is there when it is yielded.

    In turn: in ``XDG_CACHE_HOME``, in ``.cache`` of the user's home, and in a folder of this user's in the directory
    for temporary files. A folder that cannot be made, or that others can write to, is left out. Whoever fails to write
    to one, because its disk is full for instance, tries the next.

    Args:
        name: of what is kept: ``native`` for ``<cache>/svl/native``.
    """
    for folder in _places(name):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_private(folder):
                yield folder
        except OSError:
            continue


def is_private(folder: Path) -> bool:
    """Whether the folder, and the link that stands in its place, belong to this user and only this user can write.

    Raises:
        OSError: if there is no such folder.
    """
    status = folder.stat()
    if not hasattr(os, "getuid"):
        return True
    return {status.st_uid, folder.lstat().st_uid} == {os.getuid()} and not status.st_mode & 0o022


def _places(name: str) -> Iterator[Path]:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # the specification says to ignore any other; an empty variable counts as unset
        yield given / "svl" / name
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry in the system's list, and without HOME
        home = Path()
    if home.is_absolute():
        yield home / ".cache" / "svl" / name
    user = os.getuid() if hasattr(os, "getuid") else "user"
    # Directly in the directory, where the system lets nobody rename what belongs to others.
    yield Path(tempfile.gettempdir()) / f"svl-{name}-{user}"
