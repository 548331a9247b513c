"""What is in a wheel, built here."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    return message_from_bytes(wheel.read(name))


def tracked(*folders):
    """Files of the checkout as they are in git, or, from a source distribution, as they lie there."""
    command = ["git", "ls-files", "-c", "-o", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True)
    if listed.returncode == 0:
        return {name for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()}
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_file()}


def test_everything_is_in_the_package_once(wheel):
    names = wheel.namelist()
    assert len(set(names)) == len(names)
    assert {name.partition("/")[0] for name in names} == {"svl", "svl-0.1.0.dist-info"}
    package = tracked("svl") - {"svl/callbacks"}
    moved = {f"svl/{name}" for name in tracked("callbacks", "configs", "slurm")}
    gallery = {f"svl/{name}" for name in tracked("docs/gallery") if name.endswith((".json", ".lock", ".yaml"))}
    assert len(gallery) > 100 and "svl/callbacks/norms.py" in moved and "svl/py.typed" in package
    assert {name for name in names if ".dist-info/" not in name} == package | moved | gallery


def test_the_readme_of_a_package_index_has_no_links_to_files(metadata):
    text = metadata.get_payload()
    assert text.startswith("# svl: small versus large") and len(text) > 5000
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", text)
    assert "`docs/statistics.md`" in text and metadata["Description-Content-Type"] == "text/markdown"


def test_with_a_repository_the_readme_s_links_lead_there():
    text = readme(SVL_REPOSITORY="https://forge/group/svl")
    links = re.findall(r"\]\((?!#)([^)]*)\)", text)
    assert len(links) > 25 and "![" not in text
    for link in links:
        path = re.fullmatch(r"https://forge/group/svl/blob/main/([^#]+)(#.+)?", link)[1]
        assert (ROOT / path).is_file()


def readme(**variables):
    """The text in the metadata of a wheel that is built with environment variables."""
    command = [sys.executable, "-m", "hatchling", "metadata"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, timeout=120)
    return json.loads(done.stdout)["readme"]["text"]


def test_a_source_distribution_has_svl_callbacks_and_builds_the_same_wheel(wheel, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path), "-t"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", tmp_path], check=True, timeout=120)
    unpacked = archive.with_suffix("").with_suffix("")
    assert {name.partition("/")[0] for name in tracked(".")} - {".ci", ".pre-commit-config.yaml"} <= {
        path.name for path in unpacked.iterdir()
    }
    for path in (ROOT / "callbacks").glob("*.py"):
        assert (unpacked / "callbacks" / path.name).read_bytes() == path.read_bytes()
        assert (unpacked / "svl" / "callbacks" / path.name).read_bytes() == path.read_bytes()
    subprocess.run([*build, "wheel"], cwd=unpacked, check=True, capture_output=True, timeout=120)
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == Path(wheel.filename).read_bytes()


def test_nothing_that_only_tests_or_extras_need_is_required(metadata):
    required = {found.name for found in map(Requirement, metadata.get_all("Requires-Dist")) if not found.marker}
    assert required.isdisjoint({"beartype", "scikit-learn", "wandb-workspaces", "tensorboard", "shtab", "pytest"})
    assert {"torch", "lightning", "wandb", "optuna"} <= required


def test_the_lower_bounds_are_those_of_every_library_that_svl_needs():
    command = [sys.executable, str(ROOT / "tests" / "packaging" / "lower_bounds.py"), "torch==2.13.0"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    bounds = dict(line.split("==") for line in printed.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().lower()
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", lines, re.MULTILINE))
    for requirement in map(Requirement, project["dependencies"]):
        bound = Version(bounds[requirement.name])
        assert requirement.specifier.contains(bound) and bound <= Version(pinned[requirement.name.lower()])
    assert {"scikit-learn", "wandb-workspaces", "tensorboard", "shtab"} <= set(bounds)
    assert bounds["torch"] == "2.13.0"
