"""On the command line, an error names the place of the object whose constructor refused the setting."""

import pytest
import yaml

from svl.cli.fit import run
from svl.errors import SettingError

NOISE = "svl.interventions.LabelNoise"


def noise(rate):
    return {"class_path": NOISE, "init_args": {"rate": rate}}


def settings(interventions=(), stream=(), callbacks=(), **more):
    """A fit with two streams, of which one has interventions."""
    fresh = {"batch_size": 8, "interventions": {"more": noise(0.3)}, **dict(stream)}
    streams = {
        "other": {"class_path": "svl.data.Subset", "init_args": {"size": 8}},
        "fresh": {"class_path": "svl.data.Subset", "init_args": fresh},
    }
    data = {
        "task": {"class_path": "svl.tasks.Parity", "init_args": {"dim": 20, "degree": 6}},
        "interventions": {"noise": noise(0.1), "other": noise(0.2), **dict(interventions)},
        "streams": streams,
    }
    trainer = {"callbacks": [{"class_path": "svl.callbacks.NormRatio"}, *callbacks]}
    return {"data": {"class_path": "svl.data.Subset", "init_args": data}, "trainer": trainer, **more}


CASES = {
    "data.interventions.noise.rate": settings({"noise": noise(2)}),
    "data.interventions.other.rate": settings({"other": noise(2)}),
    "data.interventions.third.rate": settings({"third": noise(float("nan"))}),
    "data.streams.fresh.interventions.more.rate": settings(stream={"interventions": {"more": noise(-1)}}),
    "data.streams.fresh.size": settings(stream={"size": -1}),
    "data.streams.fresh.axes": settings(stream={"axes": {"context": {"size": 3}}}),
    "model.interventions.second.max_norm": settings(
        model={
            "interventions": {
                name: {"class_path": "svl.interventions.ClipNorm", "init_args": {"max_norm": norm}}
                for name, norm in (("first", 1.0), ("second", -1.0))
            }
        }
    ),
    "model.parameterisation.base_width": settings(
        model={"parameterisation": {"class_path": "svl.optim.MuP", "init_args": {"base_width": 0}}}
    ),
    "model.optimizer.beta1": settings(
        model={"optimizer": {"class_path": "svl.optim.AdamW", "init_args": {"lr": 0.1, "beta1": 2.0}}}
    ),
    "trainer.callbacks.QueryKey.examples": settings(
        callbacks=[{"class_path": "svl.callbacks.QueryKey", "init_args": {"examples": 0}}]
    ),
    "checkpoint.every_n_steps": settings(checkpoint={"every_n_steps": 0}),
    "replicas.seeds": settings(replicas={"seeds": 0}),
    "model.threads": settings(model={"threads": 0}),
}


@pytest.mark.parametrize("key", CASES)
def test_the_setting_that_is_refused_is_named(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(CASES[key]))
    with pytest.raises(SettingError) as error:
        run(["fit", "--config", "wrong.yaml"])
    assert error.value.key == key
    assert not (tmp_path / "runs").exists()


def test_of_objects_with_equal_settings_it_is_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(settings({"other": noise(2), "third": noise(2)})))
    with pytest.raises(SettingError) as error:
        run(["fit", "--config", "wrong.yaml"])
    assert error.value.key == "data.interventions.other.rate"
