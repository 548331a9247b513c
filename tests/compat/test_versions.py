"""Libraries whose private parts are used have an upper bound, above the version that is tested."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
REQUIREMENTS = {found.name: found for found in map(Requirement, [*PROJECT["dependencies"], *EXTRAS])}
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["torch", "lightning", "jsonargparse", "optuna", "wandb", "wandb-workspaces"])
def test_a_library_whose_private_parts_are_used_has_an_upper_bound(name):
    specifier = REQUIREMENTS[name].specifier
    assert specifier.contains(PINNED[name])
    (bound,) = [Version(part.version) for part in specifier if part.operator == "<"]
    pinned = Version(PINNED[name])
    assert bound == Version(f"{pinned.major}.{pinned.minor + 1}")


def test_every_library_in_compat_is_among_them():
    modules = {path.stem for path in (ROOT / "svl" / "compat").glob("*.py")} - {"__init__"}
    assert modules == {"torch", "lightning", "lightning_cli", "jsonargparse", "optuna", "wandb"}
