"""svl, "small versus large": when does training again and again on a small sample beat training on fresh data, and why?

From Python, ``svl.fit`` trains as the command line does, ``svl.load`` reads a run, and ``svl.compare`` lays several
over each other; see :mod:`svl.api`.

Legend of the axis names used in every signature:

=============  =====================================================================
``replica``    the R independent trainings of one stack (arm-major: arm 0's seeds first)
``batch``      the examples of one micro-batch
``dim``        the coordinates of an input
``output``     the network's outputs
``word``       32-bit words of a random block, held in int64
=============  =====================================================================

A key is two 32-bit words, an index a 64-bit integer; both live in int64 tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Comparison", "Run", "__version__", "compare", "fit", "load"]

if TYPE_CHECKING:
    from svl.api import Comparison, Run, compare, fit, load


def __getattr__(name: str) -> Any:
    """The Python API, imported when it is first used: ``import svl`` alone takes no time."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module 'svl' has no attribute {name!r}")
    return getattr(importlib.import_module("svl.api"), name)
