"""Which numbers each parameter of each replica gets."""

import re

import pytest
import torch

from svl.errors import SettingError
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.training import ParameterGroup
from svl.training.groups import stack_hyper

NAMES = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]


def hyper(groups, rule=None, **vary):
    return stack_hyper(NAMES, rule or SGD(0.1), groups, Replicas(2, vary=vary.get("vary")))


def test_what_no_group_names_has_the_optimizer_s_own_numbers():
    found = hyper({"first": ParameterGroup("layers.0.*", lr=0.5)}, AdamW(0.1, weight_decay=0.2))
    assert set(found.rule["layers.1.bias"]) == {"lr", "beta1", "beta2", "eps", "weight_decay"}
    assert [found.rule[name]["lr"].tolist() for name in NAMES] == [[0.5] * 2, [0.5] * 2, [0.1] * 2, [0.1] * 2]
    assert all(found.rule[name]["weight_decay"].tolist() == [0.2, 0.2] for name in NAMES)
    assert [found.group[name] for name in NAMES] == ["first", "first", "", ""]
    assert all(found.scale[name].tolist() == [1, 1] and not found.frozen[name].any() for name in NAMES)


def test_numbers_of_a_group_vary_by_replica():
    vary = {
        "model.optimizer.lr": [0.1, 0.2],
        "model.groups.biases.lr": [None, 3],
        "model.groups.biases.scale": [1.0, -0.5],
    }
    found = hyper({"biases": ParameterGroup("*.bias", weight_decay=0.7)}, vary=vary)
    assert found.rule["layers.1.weight"]["lr"].tolist() == [0.1] * 8 + [0.2] * 8
    assert found.rule["layers.0.bias"]["lr"].tolist() == [0.1] * 4 + [3] * 4 + [0.2] * 4 + [3] * 4
    assert found.rule["layers.0.bias"]["weight_decay"].tolist() == [0.7] * 16
    assert found.scale["layers.1.bias"].tolist() == [1, 1, -0.5, -0.5] * 4
    assert found.scale["layers.1.bias"].dtype == found.rule["layers.0.bias"]["lr"].dtype == torch.float64


def test_a_pattern_that_matches_nothing_lists_the_names():
    with pytest.raises(SettingError, match=r"model\.groups\.out\.params: got 'layers\.2\.\*'") as caught:
        hyper({"out": ParameterGroup(["layers.1.*", "layers.2.*"])})
    assert all(name in str(caught.value) for name in NAMES)


def test_patterns_match_the_case_and_the_whole_name():
    for pattern in ("Layers.*", "layers", "bias"):
        with pytest.raises(SettingError):
            hyper({"some": ParameterGroup(pattern)})
    assert hyper({"some": ParameterGroup("layers.[01].b*")}).group["layers.1.bias"] == "some"


def test_a_parameter_in_two_groups_is_refused_and_named():
    groups = {"first": ParameterGroup("layers.0.*"), "biases": ParameterGroup("*.bias")}
    with pytest.raises(SettingError, match=r"model\.groups\.biases\.params.*layers\.0\.bias is in first"):
        hyper(groups)


def test_patterns_of_one_group_may_overlap():
    found = hyper({"first": ParameterGroup(["layers.0.*", "*.bias"])})
    assert [found.group[name] for name in NAMES] == ["first", "first", "", "first"]


BAD = [
    ("lr", -0.1),
    ("lr", float("nan")),
    ("lr", float("inf")),
    ("lr", True),
    ("lr", "fast"),
    ("weight_decay", -1e-9),
    ("scale", float("inf")),
    ("scale", float("-inf")),
    ("scale", float("nan")),
    ("scale", None),
    ("scale", False),
    ("frozen", 1),
    ("frozen", "yes"),
]


@pytest.mark.parametrize(("number", "value"), BAD)
@pytest.mark.parametrize("varied", [False, True])
def test_numbers_out_of_range_are_refused(number, value, varied):
    key = f"model.groups.some.{number}"
    with pytest.raises(SettingError, match=re.escape(key)) as caught:
        if varied:
            hyper({"some": ParameterGroup("layers.0.*")}, vary={key: [getattr(ParameterGroup("*"), number), value]})
        else:
            group = ParameterGroup("layers.0.*")
            setattr(group, number, value)  # past the type checks of the tests' import hook
            hyper({"some": group})
    assert caught.value.key == key and repr(caught.value.given) == repr(value)


def test_a_scale_may_be_zero_or_negative():
    assert hyper({"some": ParameterGroup("*", scale=0)}).scale[NAMES[0]].tolist() == [0, 0]
    assert hyper({"some": ParameterGroup("*", scale=-3.5)}).scale[NAMES[0]].tolist() == [-3.5, -3.5]
