"""What the page about the architecture names exists, and what exists in the rooms that it lists is named."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)#]+)\)", PAGE)
# A name in backquotes directly before the link to its file, in a sentence or in a row of a table.
NAMES = re.findall(r"`([A-Za-z_.]+)`\s(?:\(|\| )\[[^\]]*\]\(\.\./((?:svl|callbacks)/[\w/]+\.py)\)", PAGE)
MENTIONED = set(re.findall(r"`([A-Z]+[a-z][A-Za-z]+(?:\.\w+)?)`", PAGE))


def module_name(path):
    name = path.removesuffix(".py").replace("/", ".")
    return name if name.startswith("svl.") else f"svl.{name}"  # svl.callbacks is a link to callbacks


def test_every_link_leads_to_a_file_or_folder():
    assert len(LINKS) > 40
    missing = [link for link in LINKS if not (ROOT / "docs" / link).resolve().exists()]
    assert missing == []


@pytest.mark.parametrize(("name", "path"), sorted(set(NAMES)))
def test_every_name_is_defined_in_the_file_beside_it(name, path):
    module = importlib.import_module(module_name(path))
    found = module
    for part in name.split("."):
        found = getattr(found, part)
    target = inspect.unwrap(found) if callable(found) else found
    assert getattr(target, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize("name", sorted(MENTIONED))
def test_every_class_that_is_mentioned_is_defined_in_a_file_that_is_linked(name):
    owner, _, method = name.partition(".")
    modules = [module_name(link[3:]) for link in LINKS if re.fullmatch(r"\.\./(svl|callbacks)/[\w/]+\.py", link)]
    defined = [
        module for module in map(importlib.import_module, modules) if inspect.isclass(getattr(module, owner, None))
    ]
    assert defined and (not method or hasattr(getattr(defined[0], owner), method))


def test_names_are_found():
    assert len(set(NAMES)) > 15 and len(MENTIONED) > 20


def test_every_route_has_its_row():
    files = {path.name for path in (ROOT / "svl" / "training" / "routes").glob("*.py")}
    interfaces = {"__init__.py", "route.py", "triton_kernel.py"}
    assert files - interfaces == set(re.findall(r"routes/(\w+\.py)\) \|", PAGE))
