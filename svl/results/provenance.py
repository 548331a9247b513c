"""The provenance of a run: what produced it."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "lightning", "numpy")
_CHECKOUT = Path(__file__).resolve().parents[2]


def provenance(words: Sequence[str]) -> dict[str, Any]:
    """What produced a run: versions, machine, git commit, command.

    The commit is that of svl's own checkout or, for an installed svl, that of the working directory.

    Args:
        words: the command line after the program's name.
    """
    return {
        "versions": {
            "svl": version("svl"),
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine()},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "command": shlex.join(["svl", *words]),
    }


def _git(*arguments: str) -> str | None:
    folder = _CHECKOUT if (_CHECKOUT / ".git").exists() else Path()
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
