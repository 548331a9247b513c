import pandas as pd
import pytest

from svl.errors import SettingError
from svl.results.arm_label import arm_label, short_names
from svl.results.arms import arms, metrics, references, varied, with_arms

LR = "model.optimizer.lr"


def test_arms_come_in_the_order_in_which_they_were_varied(nine_arms):
    found = arms(nine_arms, ["data.size", LR])
    assert [arm.settings for arm in found] == [
        {"data.size": size, LR: lr} for size in (4096, 16384, "online") for lr in (0.1, 0.3, 1.0)
    ]
    assert found[5].label == "data.size=16384, model.optimizer.lr=1"
    assert sum(len(arm.rows) for arm in found) == len(nine_arms)
    pd.testing.assert_frame_equal(pd.concat(arm.rows for arm in found).sort_index(), nine_arms)


def test_without_varied_settings_there_is_one_arm_which_is_its_own_reference(two_arms):
    found = arms(two_arms, [])
    assert [arm.label for arm in found] == ["all"]
    assert references(found) == found


def test_each_learning_rate_has_its_own_reference(nine_arms):
    found = arms(nine_arms, ["data.size", LR])
    assert [reference.settings for reference in references(found)] == [
        {"data.size": "online", LR: lr} for _ in range(3) for lr in (0.1, 0.3, 1.0)
    ]


@pytest.mark.parametrize(
    ("sizes", "large"),
    [(["population", "4096"], "population"), (["1024", "online", "4096"], "online"), ([1024, 4096], 4096)],
)
def test_the_reference_is_the_large_arm_else_the_last(curves_of, sizes, large):
    found = arms(curves_of({"data.size": sizes}, lambda _: 500, seeds=2), ["data.size"])
    assert {reference.settings["data.size"] for reference in references(found)} == {large}


def test_a_size_that_is_not_the_first_setting_is_what_is_compared(curves_of):
    vary = {LR: [0.1, 1.0], "data.init_args.size": [1024, 4096]}
    found = references(arms(curves_of(vary, lambda _: 500, seeds=2), list(vary)))
    assert [tuple(reference.settings.values()) for reference in found] == [(0.1, 4096)] * 2 + [(1.0, 4096)] * 2


def test_the_reference_can_be_chosen(nine_arms):
    found = arms(nine_arms, ["data.size", LR])
    chosen = references(found, {"data.size": 4096, LR: 0.3})
    assert {reference.label for reference in chosen} == {"data.size=4096, model.optimizer.lr=0.3"}
    with pytest.raises(SettingError, match=r"reference: got \{'data.size': 5\}; allowed: .*data.size=4096"):
        references(found, {"data.size": 5})


def test_arms_that_are_no_product_have_the_only_arm_of_the_reference(nine_arms):
    tuned = {(4096, 0.3), (16384, 0.3), ("online", 1.0)}
    rows = nine_arms[[pair in tuned for pair in zip(nine_arms["data.size"], nine_arms[LR], strict=True)]]
    found = arms(rows, ["data.size", LR])
    assert {reference.label for reference in references(found)} == {"data.size=online, model.optimizer.lr=1"}
    both = arms(
        pd.concat([rows, nine_arms[(nine_arms["data.size"] == "online") & (nine_arms[LR] == 0.1)]]), ["data.size", LR]
    )
    assert [reference is arm for arm, reference in zip(both, references(both), strict=True)] == [True] * 4


def test_an_unknown_setting_is_named(two_arms):
    with pytest.raises(SettingError, match=r"replicas\.vary: got 'data\.sise'"):
        arms(two_arms, ["data.sise"])


def test_metrics_are_the_numbers_that_are_neither_counters_nor_settings(nine_arms):
    assert metrics(nine_arms, ["data.size", LR]) == ["val/accuracy", "val/loss", "norm_ratio"]


def test_short_names_are_as_long_as_they_must_be():
    assert short_names(["data.size", LR]) == ["size", "lr"]
    assert short_names(["model.query.lr", "model.key.lr"]) == ["query.lr", "key.lr"]
    assert short_names([]) == []


def test_an_arms_label_is_its_settings_by_their_short_names():
    assert arm_label({"data.size": "online", LR: 1.0}) == "size=online, lr=1"
    assert arm_label({"data.sizes": [16, "online"]}) == "sizes=[16, online]"
    assert arm_label({}) == "all"


def test_rows_belong_to_the_arm_that_they_name(two_arms):
    """Where values vary that a table cannot tell apart, the column can."""
    names = {4096: "small", "online": "large"}
    named = two_arms.assign(arm=two_arms["data.size"].map(names), **{"data.size": "online"})
    assert [arm.rows["arm"].unique().tolist() for arm in arms(named, ["data.size"])] == [["small"], ["large"]]


def resumed(history):
    """A history that an older svl began, without the column, and a newer one resumed."""
    return history.assign(arm=history["arm"].where(history["step"] > 500))


@pytest.mark.parametrize("older", [lambda history: history.drop(columns="arm"), resumed])
def test_a_history_without_the_column_has_the_same_arms(nine_arms, older):
    found, expected = (arms(history, ["data.size", LR]) for history in (older(nine_arms), nine_arms))
    assert found == expected
    for arm, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(arm.rows.drop(columns="arm", errors="ignore"), other.rows.drop(columns="arm"))
    names = [f"number {place}" for place in range(9)]
    filled = with_arms(older(nine_arms), ["data.size", LR], names)
    assert [arm.rows["arm"].unique().tolist() for arm in arms(filled, ["data.size", LR])] == [[name] for name in names]
    assert with_arms(nine_arms, ["data.size", LR], names) is nine_arms
    assert set(with_arms(older(nine_arms), [], ["all"])["arm"]) == {"all"}


@pytest.mark.parametrize(
    ("replicas", "keys"),
    [
        ({"vary": {"data.size": [1, 2], LR: [0.1]}, "arms": None}, ["data.size", LR]),
        ({"vary": None, "arms": {"a": {LR: 1, "data.size": 2}, "b": {LR: 2, "data.size": 3}}}, [LR, "data.size"]),
        ({"vary": None}, []),
    ],
)
def test_what_varies_is_read_from_a_config(replicas, keys):
    assert varied(replicas) == keys
