"""The text of the CUDA kernels, which NVRTC compiles at their first use."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_INCLUDED = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def kernel_path(name: str) -> Path:
    """Where the source of a kernel is."""
    return _FOLDER / f"{name}.cu"


def kernel_source(name: str) -> str:
    """The source of a kernel with the headers that it includes, each of them once."""
    done: set[str] = set()

    def included(match: re.Match[str]) -> str:
        if match[1] in done:
            return ""
        done.add(match[1])
        return _INCLUDED.sub(included, (_FOLDER / match[1]).read_text(encoding="utf-8"))

    return _INCLUDED.sub(included, kernel_path(name).read_text(encoding="utf-8"))
