"""Which configs are the same fit, and in which settings two configs differ."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from svl.results.identity import content_hash, differences


def settings(**changes):
    config = {
        "data": {"class_path": "Subset", "init_args": {"size": 4, "task": {"class_path": "P", "init_args": {"dim": 3}}}}
    }
    config |= {
        "trainer": {"max_steps": 5, "max_time": None},
        "runs": "runs",
        "ckpt_path": None,
        "wandb": {"mode": "auto"},
    }
    return yaml.safe_dump(config | changes)


def test_differences_have_the_names_that_users_write():
    before = yaml.safe_load(settings())
    now = yaml.safe_load(settings())
    now["data"]["init_args"]["task"]["init_args"]["dim"] = 4
    now["data"]["init_args"]["reuse"] = "epochs"
    now["wandb"]["mode"] = "offline"
    assert differences(before, now) == [("data.reuse", None, "epochs"), ("data.task.dim", 3, 4)]


trees = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)


@given(trees, trees)
def test_equal_settings_differ_in_nothing_and_differences_are_symmetric(one, other):
    assert differences(one, one) == []
    assert sorted((key, b, a) for key, a, b in differences(one, other)) == sorted(
        differences(other, one)
    ) or isinstance(one, int) != isinstance(other, int)


def test_the_hash_of_a_fit_depends_on_what_it_computes_alone():
    fit = content_hash(settings())
    for free in ({"runs": "elsewhere"}, {"wandb": {"mode": "offline"}}, {"experiment": "other"}, {"ckpt_path": "last"}):
        assert content_hash(settings(**free)) == fit
    assert content_hash(settings(trainer={"max_steps": 5, "max_time": "00:01:00:00"})) == fit
    assert content_hash(settings(trainer={"max_steps": 6, "max_time": None})) != fit


def test_a_setting_that_is_new_and_unused_names_the_same_fit():
    before, now = yaml.safe_load(settings()), yaml.safe_load(settings())
    now["model"] = {"measure_at": None, "optimizer": {"init_args": {"nesterov": False, "dampening": 0.0}}}
    before["model"] = {"optimizer": {"init_args": {}}}
    assert differences(before, now) == []
    assert content_hash(yaml.safe_dump(before)) != content_hash(yaml.safe_dump(now | {"model": {"measure_at": [1]}}))
    plain = {"optimizer": {"init_args": {"lr": 0.1}}}
    more = {"optimizer": {"init_args": {"lr": 0.1, "nesterov": False, "dampening": 0.0}}, "measure_at": None}
    assert content_hash(settings(model=plain)) == content_hash(settings(model=more))
    assert differences({"a": {"lr": None}}, {"a": {"lr": 0.0}}) == [("a.lr", None, 0.0)]
