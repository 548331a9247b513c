"""The provenance of a run: what produced it."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from svl import machine

_PACKAGES = ("torch", "lightning", "numpy")
_CHECKOUT = Path(__file__).resolve().parents[2]


def provenance(words: Sequence[str]) -> dict[str, Any]:
    """What produced a run: versions, machine, commits, command.

    ``git_commit`` is that of the working directory; ``svl_commit`` is that of svl's own checkout, or ``None`` for an
    installed svl, whose version says what it is.

    Args:
        words: the command line after the program's name.
    """
    return {
        "versions": {
            "svl": version("svl"),
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "machine": {
            "system": platform.platform(),
            "processor": machine.processor(),
            "cores": os.cpu_count(),
            "compiler": machine.compiler(),
        },
        "git_commit": _git(Path(), "rev-parse", "HEAD"),
        "git_dirty": bool(_git(Path(), "status", "--porcelain")),
        "svl_commit": _git(_CHECKOUT, "rev-parse", "HEAD") if is_in_checkout(_CHECKOUT / "svl") else None,
        "command": shlex.join(["svl", *words]),
    }


def is_in_checkout(path: Path) -> bool:
    """Whether a path lies in the checkout of svl, and not in an installed copy."""
    return (_CHECKOUT / ".git").exists() and path.resolve().is_relative_to(_CHECKOUT)


def committed(path: Path) -> str | None:
    """The commit that last changed a file; ``None`` if the file is not committed as it is."""
    if _git(path.parent, "status", "--porcelain", "--", path.name) != "":
        return None
    return _git(path.parent, "log", "-1", "--format=%H", "--", path.name) or None


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
