import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svl import random
from svl.data import Phases, Subset
from svl.errors import SettingError
from svl.optim import AdamW
from svl.replicas import Replicas, replace, settings
from svl.tasks import Parity


def test_arms_come_one_after_another_with_the_same_seeds_each():
    replicas = Replicas(seeds=3, first_seed=100, vary={"data.size": [64, "online"], "model.optimizer.lr": [0.1, 1.0]})
    assert len(replicas) == 12
    assert replicas.seed == [100, 101, 102] * 4
    assert replicas.column("data.size", None) == [64] * 6 + ["online"] * 6
    assert replicas.column("model.optimizer.lr", None) == ([0.1] * 3 + [1.0] * 3) * 2
    assert replicas.column("model.optimizer.momentum", 0.9) == [0.9] * 12


def test_without_varied_settings_there_is_one_arm():
    replicas = Replicas(seeds=2)
    assert (replicas.arms, replicas.seed, len(replicas)) == ([{}], [0, 1], 2)


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=3, unique=True), max_size=3), st.integers(1, 3))
def test_arms_are_the_cartesian_product(values, seeds):
    replicas = Replicas(seeds, vary={f"key{number}": some for number, some in enumerate(values)})
    columns = [replicas.column(f"key{number}", None) for number in range(len(values))]
    product = [arm for arm in itertools.product(*values) for _ in range(seeds)]
    assert list(zip(*columns, strict=True)) == (product if values else [])
    assert len(replicas) == len(product)


def test_arms_can_be_named_where_they_are_no_product():
    arms = {"small": {"data.size": 64, "data.x": 1.0}, "large": {"data.size": "online", "data.x": 0.1}}
    replicas = Replicas(2, arms=arms)
    assert replicas.arms == list(arms.values())
    assert replicas.column("data.size", None) == [64, 64, "online", "online"]
    assert replicas.vary == {"data.size": [64, "online"], "data.x": [1.0, 0.1]}
    assert replicas.named_arms == arms
    assert replicas.arm == ["small", "small", "large", "large"]


def test_an_arm_without_a_name_is_named_by_its_settings():
    replicas = Replicas(2, vary={"data.size": [64, "online"], "model.optimizer.lr": [1.0]})
    assert replicas.arm_names == ["size=64, lr=1", "size=online, lr=1"]
    assert replicas.arm == ["size=64, lr=1"] * 2 + ["size=online, lr=1"] * 2
    assert Replicas(1).arm_names == ["all"]


def test_arms_whose_values_read_the_same_are_refused():
    with pytest.raises(SettingError, match=r"replicas\.vary: .*values that differ as text"):
        Replicas(1, vary={"data.size": [64, "64"]})


def test_settings_of_one_owner_that_fit_together_only_jointly_vary_jointly():
    arms = {
        "phases": {"data.sizes": [8, 64, 128], "data.durations": [3, 5]},
        "one": {"data.sizes": [8], "data.durations": []},
    }
    data = Phases(Parity(20, 6), [4, 8], [1])
    columns = Replicas(1, arms=arms).columns("data.", data)
    assert columns == {"sizes": [[8, 64, 128], [8]], "durations": [[3, 5], []]}
    with pytest.raises(SettingError, match=r"data\.durations"):
        Replicas(1, vary={"data.sizes": [[8], [8, 64, 128]]}).columns("data.", data)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"arms": {"a": {"x": 1}}, "vary": {"x": [1]}}, "vary"),
        ({"arms": {"a": {}}}, "arms"),
        ({"arms": {"a": 1}}, "arms"),
        ({"arms": {"a": {"x": 1}, "b": {"y": 1}}}, "arms.b"),
        ({"arms": {"a": {"x": 1}, "b": {"x": 1}}}, "arms.a"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(wrong, key):
    with pytest.raises(SettingError) as refused:
        Replicas(1, **wrong)
    assert refused.value.key == key


def test_replicas_of_one_seed_share_their_key_across_arms():
    key = Replicas(seeds=2, first_seed=7, vary={"data.size": [1, 2, 3]}).key()
    assert torch.equal(key, torch.stack([random.key(7), random.key(8)]).repeat(3, 1))


def test_a_seed_is_the_same_replica_in_whatever_range_of_seeds():
    assert torch.equal(Replicas(5, 10).key()[3], Replicas(1, 13).key()[0])
    assert torch.equal(Replicas(1, 2**62 - 1).key()[0], torch.tensor([2**32 - 1, 2**30 - 1]))


def test_numbers_are_the_owners_own_where_they_do_not_vary():
    replicas = Replicas(2, vary={"model.optimizer.lr": [0.5, 0.25]})
    numbers = replicas.columns("model.optimizer.", AdamW(lr=0.1, weight_decay=0.3))
    assert set(numbers) == AdamW.per_replica
    assert numbers["lr"] == [0.5, 0.5, 0.25, 0.25]
    assert numbers["weight_decay"] == [0.3] * 4


def test_varied_values_are_checked_as_given_ones_are():
    data = Subset(Parity(10, 3), 64)
    assert Replicas(1, vary={"data.size": [1, 1024, "online"]}).columns("data.", data) == {"size": [1, 1024, "online"]}
    with pytest.raises(SettingError, match=r"data\.size: got 1025"):
        Replicas(1, vary={"data.size": [64, 1025]}).columns("data.", data)


def test_a_copy_with_changes_keeps_the_rest():
    data = Subset(Parity(10, 3), 64, "replacement", batch_size=32, test_size=100)
    assert settings(replace(data, size=65)) == {**settings(data), "size": 65}
    assert data.size == 64


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("data.sise", "did you mean 'data.size'?"),
        ("model.network.width", "this one changes shapes or code: vary it by a sweep across fits"),
        ("zzz", "choose from data.size, model.optimizer.lr"),
    ],
)
def test_a_setting_that_cannot_vary_is_refused_with_advice(key, words):
    replicas = Replicas(1, vary={key: [1, 2]})
    with pytest.raises(SettingError) as error:
        replicas.check_keys(["model.optimizer.lr", "data.size"], ["model.network.width", "data.size"])
    assert error.value.key == f"replicas.vary.{key}"
    assert words in str(error.value)


def test_settings_that_can_vary_pass_even_if_they_are_constructor_arguments_too():
    Replicas(1, vary={"data.size": [1, 2]}).check_keys(["data.size"], ["data.size"])
