"""What this process may use of the machine: cores and memory, as its affinity and its control group allow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def cores(root: Path = _ROOT) -> int:
    """Cores that this process may use, at least 1: those of its affinity, or fewer by its control group's quota.

    Args:
        root: of the file system.
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = []
    for folder in _groups("cpu", root):
        words = (_text(folder / "cpu.max") or "").split()  # version 2: "max 100000" or "150000 100000"
        if not words:  # version 1: -1 stands for no quota
            words = [_text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""]
        if all(word.isdigit() for word in words) and int(words[1]) > 0:
            quotas.append(math.ceil(int(words[0]) / int(words[1])))
    return max(1, min([affine, *quotas]))


def memory(root: Path = _ROOT) -> int | None:
    """Bytes of memory that this process can have at most, with swap; ``None`` where the system does not say.

    Args:
        root: of the file system.
    """
    fields = dict(line.split(":", 1) for line in (_text(root / "proc/meminfo") or "").splitlines() if ":" in line)
    whole = sum(int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "SwapTotal") if name in fields)
    names = ("memory.max", "memory.limit_in_bytes")  # of versions 2 and 1
    texts = [_text(folder / name) for folder in _groups("memory", root) for name in names]
    limits = [int(text) for text in texts if text and text.isdigit()]  # "max" stands for none
    return min([*([whole] if whole else []), *limits], default=None)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, in both versions of the interface."""
    mount = root / "sys/fs/cgroup"
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            bases = [mount / controllers, mount / controller]
        elif number == "0":
            bases = [mount, mount / "unified"]
        else:
            continue
        # In a container the path may be that of the host, of which only the last group is mounted.
        parts = Path(path.lstrip("/")).parts
        for base in bases:
            yield from (base.joinpath(*parts[:end]) for end in range(len(parts), -1, -1))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
