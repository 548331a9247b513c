"""A fit that begins with another run's weights."""

import pytest
import torch

import svl
from svl.errors import SettingError

ARM = "size=64, lr=0.5"


def transferred(config, init, **more):
    """A fit of one arm on another task, which keeps its first weights."""
    config["replicas"] = {"seeds": 2, "first_seed": 3}
    at = {"class_path": "Snapshots", "init_args": {"at": [0]}}
    more = {"data.task.degree": 3, "model.init": init, **more}
    return svl.fit(config, trainer={"callbacks": [at]}, **more)


def same(network, other):
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_each_seed_begins_with_its_own_weights(run, here, config):
    fine = transferred(config, {"run": str(run.path), "arm": ARM})
    for seed in (3, 4):
        assert same(fine.network(seed=seed, step=0), run.network(ARM, seed))
        assert not same(fine.network(seed=seed), run.network(ARM, seed))


def test_one_seed_of_a_snapshot_for_all(run, here, config):
    fine = transferred(config, {"run": str(run.path), "arm": ARM, "seed": 4, "step": 10})
    for seed in (3, 4):
        assert same(fine.network(seed=seed, step=0), run.network(ARM, 4, step=10))


def test_the_command_line_takes_it_too(run, here, config):
    fine = svl.fit(config, **{"model.init.run": str(run.path), "model.init.arm": ARM, "replicas.seeds": 1})
    assert fine.config["model"]["init"]["arm"] == ARM


@pytest.mark.parametrize(
    ("init", "more", "key"),
    [
        ({}, {}, "model.init.arm"),
        ({"arm": "size=1"}, {}, "model.init.arm"),
        ({"arm": ARM, "seed": 9}, {}, "model.init.seed"),
        ({"arm": ARM, "step": 3}, {}, "model.init.step"),
        ({"arm": ARM, "run": "nowhere"}, {}, "model.init.run"),
        ({"arm": ARM}, {"model.network.width": 9}, "model.init.network"),
        ({"arm": ARM}, {"replicas.first_seed": 5}, "model.init.seed"),
        ({"arm": ARM}, {"model.parameterisation": "Alpha"}, "model.init"),
    ],
)
def test_weights_that_are_not_there_or_do_not_fit_are_refused(run, here, config, init, more, key):
    with pytest.raises(SettingError) as caught:
        transferred(config, {"run": str(run.path), **init}, **more)
    assert caught.value.key == key and "\n" not in str(caught.value)
