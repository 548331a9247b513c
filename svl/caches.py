"""Folders for what can be made again: compiled kernels, and what torch's compiler keeps.

Code from such a folder is run, so that a folder counts only if it belongs to this user and nobody else can write to it.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TORCH = "TORCHINDUCTOR_CACHE_DIR"


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


def settle_torch() -> None:
    """Give torch's compiler a folder that can be written, before torch is imported, which makes it.

    It is the one that ``TORCHINDUCTOR_CACHE_DIR`` names, or torch's own if that belongs to this user; else one of
    :func:`folders`, which is said in a line. Where there is none, compiling fails later, and steps are not compiled.
    """
    given = os.environ.get(_TORCH)
    reason = ""
    try:
        first = Path(given or Path(tempfile.gettempdir(), f"torchinductor_{_user()}"))
        first.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=first):
            if given or is_private(first):
                return
        reason = f"{first} belongs to others"
    except OSError as error:
        reason = f"{error.filename or error}: {error.strerror}" if error.strerror else str(error)
    for folder in folders("torch"):
        with suppress(OSError), tempfile.TemporaryFile(dir=folder):
            os.environ[_TORCH] = str(folder)
            print(f"svl: torch keeps what it compiles in {folder} ({reason})", file=sys.stderr)
            return
    os.environ[_TORCH] = os.sep


def settle_matplotlib() -> None:
    """Give matplotlib a folder that can be written, before it is imported, where the user's home cannot be.

    It would make a temporary one at each start, look for fonts anew, and say so in two lines.
    """
    if "MPLCONFIGDIR" in os.environ or not sys.platform.startswith("linux"):
        return
    try:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "matplotlib"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
    except (OSError, RuntimeError):
        pass
    found = next(folders("matplotlib"), None)
    if found:
        os.environ["MPLCONFIGDIR"] = str(found)


def _user() -> str:
    """The user's name as torch has it in the name of its folder."""
    try:
        name = getpass.getuser()
    except (KeyError, ModuleNotFoundError, OSError):
        name = f"uid_{os.getuid()}" if hasattr(os, "getuid") else "unknown_user"
    return re.sub(r'[\\/:*?"<>|]', "_", name)


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
    with suppress(FileNotFoundError):  # no directory for temporary files can be written
        # Directly in the directory, where the system lets nobody rename what belongs to others.
        yield Path(tempfile.gettempdir()) / f"svl-{name}-{user}"
