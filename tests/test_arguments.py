"""Before jsonargparse: configs are found and read, varied settings merged."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from svl.cli.arguments import NOTHING, prepare
from svl.config_file import flatten, load_yaml, locate
from svl.errors import SettingError


def vary_of(words):
    return yaml.safe_load(words[words.index("--replicas.vary") + 1])


@pytest.fixture
def config(tmp_path):
    def write(content, name="config.yaml"):
        path = tmp_path / name
        path.write_text(content)
        return str(path)

    return write


@given(st.floats(allow_nan=False))
def test_every_python_spelling_of_a_float_is_a_number(number):
    assert load_yaml(repr(number).replace("inf", ".inf")) == number
    assert load_yaml(f"[{number:.3e}]") == [float(f"{number:.3e}".replace(".inf", "inf"))] or abs(number) == float(
        "inf"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E4", 50000),
        ("1.5e0", 1.5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("10", 10),
        ("1e", "1e"),
        ("e3", "e3"),
    ],
)
def test_numbers_without_a_point_are_numbers_and_words_are_words(text, value):
    assert load_yaml(text) == value
    assert type(load_yaml(text)) is type(value)


def test_shipped_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("configs/quickstart.yaml").endswith("configs/quickstart.yaml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.yaml").write_text("experiment: mine\n")
    assert locate("configs/quickstart.yaml") == "configs/quickstart.yaml"


@pytest.mark.parametrize("path", ["", "nope.yaml", "/nope/nope.yaml", "configs"])
def test_a_config_that_is_not_there_is_named(path):
    with pytest.raises(SettingError, match="--config"):
        locate(path)


def test_the_command_line_varies_over_the_config(config):
    path = config("replicas:\n  vary:\n    data.size: [1, 2]\n    model.optimizer.lr: [0.1]\n")
    words = prepare(["fit", f"--config={path}", "--replicas.vary.data.size=[4, online]"]).words
    assert vary_of(words) == {"data.size": [4, "online"], "model.optimizer.lr": [0.1]}
    # The order of the config is the order of the arms.
    assert list(vary_of(words)) == ["data.size", "model.optimizer.lr"]
    words = prepare(
        ["fit", "--config", path, "--replicas.vary.data.size", "null", "--replicas.vary.data.task.dim", "[1e-3]"]
    ).words
    assert vary_of(words) == {"model.optimizer.lr": [0.1], "data.task.dim": [0.001]}


def test_a_whole_vary_replaces_what_stands_before_it(config):
    path = config("replicas: {vary: {a: [1]}}\n")
    assert vary_of(prepare(["--config", path, "--replicas.vary", "{b: [2]}"]).words) == {"b": [2]}
    assert vary_of(prepare(["--config", path, "--replicas.vary={b: [2]}", "--replicas.vary.c", "[3]"]).words) == {
        "b": [2],
        "c": [3],
    }
    assert "--replicas.vary" not in prepare(["--config", path]).words


values = st.lists(
    st.one_of(
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["online", "population", "no", "1e3"]),
    ),
    min_size=1,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,3}", fullmatch=True), values, min_size=1))
def test_any_values_survive_the_way_to_the_parser(vary):
    words = [word for key, value in vary.items() for word in (f"--replicas.vary.{key}", json.dumps(value))]
    assert load_yaml(prepare(words).words[-1]) == vary


@pytest.mark.parametrize("text", ["[1, 2", "{a: ]", "--trainer.max_steps"])
def test_a_list_that_is_not_yaml_is_named(text):
    with pytest.raises(SettingError, match=r"^replicas\.vary\.data\.size: got ") as error:
        prepare(["fit", "--replicas.vary.data.size", text])
    assert (error.value.given is NOTHING) == text.startswith("--")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("data:\n  a: 1\n   b: [\n", "line 3"),
        ("- 1\n- 2\n", "settings"),
        ("", "settings"),
        ("{", "line 1"),
        ("3\n", "settings"),
        ("a: \x00", "special characters"),
    ],
)
def test_a_config_that_is_not_a_mapping_in_yaml_is_named_with_its_line(config, content, reason):
    path = config(content)
    with pytest.raises(SettingError) as error:
        prepare(["fit", "--config", path])
    assert error.value.given == path
    assert reason in error.value.allowed


def test_given_settings_have_the_names_that_users_write(config):
    path = config(
        "data: {class_path: Subset, init_args: {size: 4, task: {class_path: Parity, init_args: {dim: 3}}}}\n"
        "trainer: {callbacks: [{class_path: A, init_args: {x: 1}}, B]}\n"
    )
    given_settings = prepare(["fit", "--config", path, "--data.init_args.size", "5", "--runs=x", "--wandb.mode"]).given
    assert given_settings == {
        "data.class_path": "Subset",
        "data.size": "5",
        "data.task.class_path": "Parity",
        "data.task.dim": 3,
        "trainer.callbacks.0.class_path": "A",
        "trainer.callbacks.0.x": 1,
        "trainer.callbacks.1": "B",
        "runs": "x",
        "wandb.mode": NOTHING,
    }


def test_flatten_keeps_what_is_empty():
    assert dict(flatten({"a": {}, "b": [], "c": {"d": None}})) == {"a": {}, "b": [], "c.d": None}
