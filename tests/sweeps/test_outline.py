"""The fits of a sweep by its YAML alone, against those with resolved configs."""

import inspect
import re

import pytest
import yaml

from svl.errors import SettingError
from svl.replicas import Replicas
from svl.sweeps.expanding import expand
from svl.sweeps.outline import SEEDS, outline
from svl.sweeps.sweep_file import check, read

ARGS = "${args}"


def shapes(manifest):
    return [(row.settings, row.arms, row.seeds) for row in manifest.rows]


def test_the_default_number_of_seeds_is_that_of_the_replicas():
    assert inspect.signature(Replicas).parameters["seeds"].default == SEEDS


@pytest.mark.parametrize("file", ["configs/sweeps/width.yaml", "configs/sweeps/search.yaml"])
def test_a_shipped_sweep_has_the_fits_that_it_resolves_to(file):
    assert shapes(outline(read(file), "runs")) == shapes(expand(read(file), "runs"))


@pytest.mark.parametrize(
    ("config", "words", "parameters"),
    [
        ({"replicas": {"vary": {"data.size": [32, 64, "online"]}}}, [], {"replicas.seeds": {"values": [1, 3]}}),
        ({"replicas": {"vary": {"data.size": [32, 64]}}}, ["--replicas.vary.model.optimizer.lr", "[0.1, 0.2]"], None),
        ({"replicas": {"arms": {"a.b": {"data.size": 32}, "c": {"data.size": 64}}}}, ["--replicas.seeds=5"], None),
        ({"replicas": {"seeds": 2}}, [], {"replicas.vary.data.size": {"values": [[32, 64], [32], None]}}),
        ({}, ["--replicas.vary", "{data.size: [32, 64]}"], None),
    ],
)
def test_arms_and_seeds_are_those_of_the_resolved_fits(tiny, tmp_path, config, words, parameters):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"experiment": "some", **config}))
    at = tiny.index("--replicas.seeds")
    rest = tiny[1:at] + tiny[at + 2 :]
    command = ["svl", "fit", "--config", str(path), *rest, *words, ARGS]
    given = {"command": command, "method": "grid", "parameters": parameters or {"model.network.width": {"value": 4}}}
    sweep = check(given, "some")
    assert shapes(outline(sweep, "runs")) == shapes(expand(sweep, "runs"))


def test_what_varies_and_is_no_list_is_refused():
    command = ["fit", "--replicas.vary", "{data.size: 32}", ARGS]
    sweep = check({"command": command, "method": "grid", "parameters": {"data.size": {"value": 4}}}, "some")
    with pytest.raises(SettingError, match=re.escape("replicas.vary: got {'data.size': 32}; allowed: a mapping")):
        outline(sweep, "runs")


def test_a_dry_run_checks_nothing_before_there_are_runs_and_shows_what_is_done_afterwards(svl, tiny, tmp_path):
    content = {
        "command": ["svl", *tiny, ARGS],
        "method": "grid",
        "parameters": {"model.network.width": {"values": [4, 8]}, "experiment": {"value": "some"}},
    }
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(content))
    told = svl(tmp_path, "sweep", "run", str(path), "--dry-run")
    assert told.status == 0 and "2 fits: 2 missing" in told.out
    assert told.out.endswith("the settings of each fit are checked when the sweep runs, and by svl sweep status\n")
    assert list(tmp_path.iterdir()) == [path]
    assert svl(tmp_path, "sweep", "run", str(path), "--count", "1").status == 0
    told = svl(tmp_path, "sweep", "run", str(path), "--dry-run")
    assert told.status == 0 and "2 fits: 1 done, 1 missing" in told.out and "are checked" not in told.out
