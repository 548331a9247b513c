"""Prints the lower bounds of svl's requirements as constraints for pip: ``python tests/packaging/lower_bounds.py``.

``make lower-bounds`` installs these versions and runs the fast tests with them. What only the tests need is as
constraints.txt has it. An argument ``torch==2.13.0`` takes that version in place of the lower bound.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = ("digits", "dashboard", "tensorboard", "completion")


def lower_bounds() -> dict[str, str]:
    """The lowest version of each library that svl itself needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(library for extra in EXTRAS for library in extras[extra])]
    found = [re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)(?:,<[\w.]+)?", text) for text in requirements]
    return {match[1]: match[2] for match in found if match}


if __name__ == "__main__":
    bounds = lower_bounds() | dict(word.split("==") for word in sys.argv[1:])
    print("\n".join(f"{name}=={version}" for name, version in bounds.items()))
