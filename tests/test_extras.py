"""What needs a package that only an extra of svl installs says so in one line."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from svl import extras
from svl.errors import SettingError

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {"sklearn": "scikit-learn", "wandb_workspaces": "wandb-workspaces"}


@pytest.fixture
def without(monkeypatch):
    """Hides packages as if they were not installed."""

    def hide(*packages):
        for package in packages:
            for module in [name for name in sys.modules if name.partition(".")[0] == package]:
                monkeypatch.delitem(sys.modules, module)
            monkeypatch.setitem(sys.modules, package, None)
        find = extras.find_spec
        monkeypatch.setattr(extras, "find_spec", lambda name: None if name in packages else find(name))

    return hide


def test_each_extra_installs_its_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for package, extra in extras.EXTRAS.items():
        names = {Requirement(text).name for text in project["optional-dependencies"][extra]}
        assert names == {DISTRIBUTIONS.get(package, package)}
        assert names.isdisjoint({Requirement(text).name for text in project["dependencies"]})


def test_a_dashboard(svl, tmp_path, without):
    without("wandb_workspaces")
    refused = svl(tmp_path, "dashboard", "quickstart", "--project", "svl", "--dry-run")
    assert (refused.status, refused.out) == (2, "")
    said = "dashboard: got 'no package wandb_workspaces'; allowed: after pip install \"svl[dashboard]\""
    assert refused.err == f"svl: error: {said}\n"


def test_the_digits(svl, tmp_path, without):
    without("sklearn")
    refused = svl(tmp_path, "fit", "--config", "digits/mlp", "--trainer.max_steps", "2")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("svl: error: data.task.dataset: got 'sklearn.datasets.load_digits'; allowed: ")
    assert 'pip install "svl[digits]" installs it' in refused.err and refused.err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_other_packages_are_not_said_to_be_in_an_extra():
    assert extras.advice(ModuleNotFoundError("no", name="nothing.at.all")) == ""
    assert (
        extras.advice(ModuleNotFoundError("no", name="sklearn.datasets")) == '; pip install "svl[digits]" installs it'
    )
    assert extras.advice(ValueError("other")) == ""


def test_what_is_installed_is_no_error():
    extras.require("dashboard", "wandb_workspaces")
    with pytest.raises(SettingError, match=re.escape("tracking: got 'no package nothing'")):
        extras.EXTRAS["nothing"] = "some"
        try:
            extras.require("tracking", "nothing")
        finally:
            del extras.EXTRAS["nothing"]
