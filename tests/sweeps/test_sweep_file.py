"""Sweep files: W&B's format, its way of writing settings, and what is refused."""

import copy
import itertools
import math

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from svl.config_file import load_yaml
from svl.errors import SettingError
from svl.sweeps import agent
from svl.sweeps.manifest import each_settings
from svl.sweeps.sweep_file import check

COMMAND = ["${env}", "svl", "fit", "--config", "configs/quickstart.yaml", "${args}", "--wandb.mode", "online"]
GRID = {"command": COMMAND, "method": "grid", "parameters": {"a.b": {"values": [1, 2]}, "c": {"value": "x"}}}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc [],=1.e-", max_size=8)
)
NESTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner), max_leaves=5)


def sweep(**changes):
    return check({**GRID, **changes}, "name")


def settings(**parameters):
    """A hundred random draws of each parameter."""
    return list(each_settings(sweep(method="random", run_cap=100, parameters=parameters)))


@given(st.dictionaries(st.text("abc._", min_size=1), NESTS, min_size=1))
def test_settings_are_written_as_wandbs_agent_writes_them_and_mean_the_same(tmp_path_factory, values):
    parameters = {key: {"value": value} for key, value in values.items()}
    theirs = create_sweep_command_args({"args": parameters})["args"]
    named = [] if any(word.startswith("--experiment=") for word in theirs) else ["--experiment=name"]
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("agent") / "config.yaml"
        file.write_text(yaml.safe_dump({"wandb_version": 1, **parameters}, sort_keys=False), encoding="utf-8")
        patch.setenv("WANDB_SWEEP_PARAM_PATH", str(file))
        meant = agent.understood(theirs)
    assert sweep(parameters=parameters).words(values) == [*COMMAND[2:5], *named, *meant, *COMMAND[6:]]
    for word, (key, value), their in zip(meant, values.items(), theirs, strict=True):
        if isinstance(value, str):
            assert word == their
        else:
            assert load_yaml(word.removeprefix(f"--{key}=")) == value


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_a_grid_is_the_product_with_the_last_parameter_fastest(values):
    parameters = {str(number): {"values": one} for number, one in enumerate(values)}
    whole = sweep(parameters=parameters)
    assert [tuple(row.values()) for row in each_settings(whole)] == list(itertools.product(*values))
    assert whole.count == math.prod(map(len, values))


def test_whole_numbers_have_a_grid_too():
    assert [row["a"] for row in each_settings(sweep(parameters={"a": {"min": 2, "max": 5}}))] == [2, 3, 4, 5]


def test_fewer_fits_of_a_grid_are_its_first():
    assert list(each_settings(sweep(run_cap=1))) == [{"a.b": 1, "c": "x"}]
    assert check(GRID, "name", count=1).count == 1


def test_random_ranges_have_wandbs_distributions():
    drawn = settings(
        uniform={"min": -1.0, "max": 3.0},
        logarithmic={"distribution": "log_uniform_values", "min": 1e-3, "max": 10.0},
        exponents={"distribution": "log_uniform", "min": -2, "max": 2},
        whole={"min": 3, "max": 6},
        steps={"distribution": "q_uniform", "min": 0, "max": 2, "q": 0.5},
        counts={"distribution": "q_uniform", "min": 8, "max": 16, "q": 4},
        choice={"values": [[1, 2], "online"]},
        constant={"value": [1, 2]},
    )
    column = {key: [row[key] for row in drawn] for key in drawn[0]}
    for values, (low, high) in (
        (column["uniform"], (-1, 3)),
        (np.log(column["logarithmic"]), (math.log(1e-3), math.log(10))),
        (np.log(column["exponents"]), (-2, 2)),
    ):
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.01
    assert set(column["whole"]) == {3, 4, 5, 6}
    assert set(column["steps"]) == {0, 0.5, 1, 1.5, 2}
    assert set(map(str, column["counts"])) == {"8", "12", "16"}
    assert {str(value) for value in column["choice"]} == {"[1, 2]", "online"}
    assert column["constant"] == [[1, 2]] * 100


def test_more_random_fits_begin_with_the_same():
    parameters = {"a": {"min": 0.0, "max": 1.0}}
    few, many = (sweep(method="random", run_cap=count, parameters=parameters) for count in (3, 9))
    assert list(each_settings(many))[:3] == list(each_settings(few))


def test_the_key_is_of_the_question_not_of_the_number_of_fits():
    assert sweep().key == sweep(run_cap=1, name="other", project="p").key != sweep(method="random", run_cap=2).key


HALVING = {"type": "hyperband", "min_iter": 2}
METRIC = {"name": "mean/val/loss"}
WRONG = [
    ({"methd": "grid"}, "methd", "did you mean 'method'?"),
    ({"method": "annealing"}, "method", "grid, random or bayes"),
    ({"parameters": {}}, "parameters", "a mapping"),
    ({"parameters": {"a": 3}}, "parameters.a", "a mapping with value"),
    (
        {"parameters": {"a": {"parameters": {"b": {"value": 1}}}}},
        "parameters.a",
        "one dotted name for each setting: a.NAME",
    ),
    ({"parameters": {"a": {"values": []}}}, "parameters.a.values", "one or more"),
    ({"parameters": {"a": {"values": [1, 1]}}}, "parameters.a.values", "distinct"),
    ({"parameters": {"a": {"valeus": [1]}}}, "parameters.a.valeus", "did you mean 'values'?"),
    ({"parameters": {"a": {"min": 1}}}, "parameters.a.max", "a number"),
    ({"parameters": {"a": {"min": 0.5, "max": 1}}}, "parameters.a", "a grid needs a list"),
    ({"method": "random", "run_cap": 2, "parameters": {"a": {"min": 2, "max": 1}}}, "parameters.a.max", "at least"),
    (
        {"method": "random", "run_cap": 2, "parameters": {"a": {"min": 0, "max": 1, "distribution": "normal"}}},
        "parameters.a.distribution",
        "uniform",
    ),
    (
        {
            "method": "random",
            "run_cap": 2,
            "parameters": {"a": {"min": 0, "max": 1, "distribution": "log_uniform_values"}},
        },
        "parameters.a.min",
        "above 0",
    ),
    ({"method": "random"}, "run_cap", "random does not end by itself"),
    ({"method": "bayes", "run_cap": 3}, "metric", "which bayes needs"),
    ({"early_terminate": HALVING}, "metric", "which early_terminate needs"),
    ({"metric": METRIC, "early_terminate": {"type": "median"}}, "early_terminate", "hyperband"),
    ({"metric": METRIC, "early_terminate": {**HALVING, "eta": 1}}, "early_terminate.eta", "at least 2"),
    ({"metric": {**METRIC, "goal": "up"}}, "metric.goal", "minimize or maximize"),
    ({"run_cap": 0}, "run_cap", "at least 1"),
    ({"command": ["svl", "fit"]}, "command", "${args}"),
    ({"command": ["svl", "${args}"]}, "command", "fit"),
    ({"command": ["svl", "fit", "${args_no_hyphens}", "${args}"]}, "command", "${args}"),
]


@pytest.mark.parametrize(
    ("changes", "key", "allowed"), WRONG, ids=[f"{key}-{n}" for n, (_, key, _) in enumerate(WRONG)]
)
def test_what_is_wrong_is_named(changes, key, allowed):
    before = copy.deepcopy(changes)
    with pytest.raises(SettingError) as caught:
        sweep(**changes)
    assert caught.value.key == key and allowed in caught.value.allowed
    assert changes == before
