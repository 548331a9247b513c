"""The names under which settings of interventions were given."""

import pytest

from svl.errors import SettingError, in_full

GIVEN = {
    "data.interventions.noise.class_path": "LabelNoise",
    "data.interventions.noise.rate": 0.5,
    "data.streams.fresh.interventions.more.rate": "3",
    "model.interventions.clip.max_norm": -1,
    "data.size": 8,
}


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("data.interventions.rate", 3.0, "data.streams.fresh.interventions.more.rate"),
        ("data.interventions.rate", 0.5, "data.interventions.noise.rate"),
        ("model.interventions.max_norm", -1.0, "model.interventions.clip.max_norm"),
        # Nothing given fits, or the name is whole.
        ("data.interventions.rate", 7.0, "data.interventions.rate"),
        ("model.interventions.rate", 3.0, "model.interventions.rate"),
        ("data.size", 8, "data.size"),
        ("data.interventions.noise.rate", 0.5, "data.interventions.noise.rate"),
    ],
)
def test_an_error_names_the_setting_as_it_was_given(key, value, name):
    error = in_full(SettingError(key, value, "less"), GIVEN)
    assert (error.key, error.given, error.allowed) == (name, value, "less")


def test_two_that_fit_leave_it_open():
    given = {f"data.interventions.{name}.rate": 3 for name in "ab"}
    assert in_full(SettingError("data.interventions.rate", 3, "less"), given).key == "data.interventions.rate"
