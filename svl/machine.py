"""What a fit runs on: the processor and the C++ compiler, by name."""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path

from svl.compat.torch import cpp_compiler


@functools.cache
def processor() -> str:
    """The processor's model, for example ``AMD EPYC 7713``."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def compiler() -> str | None:
    """The first line of what the C++ compiler says of its version; ``None`` where there is no compiler."""
    try:
        asked = subprocess.run([cpp_compiler(), "--version"], capture_output=True, check=True)
    except Exception:  # the compiler search raises errors of several unrelated kinds
        return None
    return next(iter(asked.stdout.decode(errors="replace").splitlines()), None)
