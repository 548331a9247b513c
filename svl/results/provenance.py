"""The provenance of a run: what produced it."""

from __future__ import annotations

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
        "machine": {"system": platform.platform(), "processor": machine.processor(), "compiler": machine.compiler()},
        "git_commit": _git(Path(), "rev-parse", "HEAD"),
        "git_dirty": bool(_git(Path(), "status", "--porcelain")),
        "svl_commit": _git(_CHECKOUT, "rev-parse", "HEAD") if (_CHECKOUT / ".git").exists() else None,
        "command": shlex.join(["svl", *words]),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
