"""Which route a fit takes: the one that it names, the one that it was begun by, or the fastest by measurement."""

import json

import pytest

from svl.data import Online
from svl.errors import SettingError
from svl.interventions import ClipNorm
from svl.tasks import LinearRegression
from svl.training import fastest
from svl.training.routes.autograd import Autograd
from svl.training.routes.mlp_kernel import MLPKernel
from svl.training.routes.native_steps import NativeSteps
from svl.training.routes.step_by_step import StepByStep

ROUTES = {"loop": (NativeSteps, MLPKernel), "kernel": (StepByStep, MLPKernel), "autograd": (StepByStep, Autograd)}


def routes(stack):
    return stack.engine.plan.step_route, stack.engine.plan.batch_route


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Sets the seconds that a whole fit takes by each route; returns which routes are timed, once each round."""
    seconds, timed = {}, []

    def stand_in(timing, least):
        word = timing.engine.plan.choice.route
        timed.append(word)
        return seconds[word]

    monkeypatch.setattr(fastest.Timing, "seconds", stand_in)
    monkeypatch.setattr(fastest, "_OPERATIONS_WORTH_TIMING", 0)
    monkeypatch.setattr(fastest, "folders", lambda name: iter([tmp_path]))

    def set_to(**given):
        seconds.update(given)
        timed.clear()
        return timed

    return set_to


@pytest.mark.parametrize("word", ROUTES)
def test_a_fit_takes_the_route_that_it_names(lab, word):
    stack = lab.stack(compile="always", route=word)
    assert routes(stack) == ROUTES[word]
    stack.train_steps(0, 3)


def test_a_named_route_serves_a_fit_too_short_for_it_otherwise(lab):
    assert routes(lab.stack(steps=2, compile="auto", route="loop")) == ROUTES["loop"]


@pytest.mark.parametrize(
    ("steps", "settings", "is_loop"),
    [
        (20, {}, False),
        (400, {}, True),
        (400, {"route": "autograd"}, False),
        (400, {"fused": False}, False),
        (400, {"interventions": {"clip": ClipNorm(1.0)}}, False),
    ],
)
def test_a_fit_of_some_hundred_calls_takes_the_loop_and_compiles_nothing(lab, steps, settings, is_loop):
    plan = lab.stack(steps=steps, compile="auto", **settings).engine.plan
    assert (plan.step_route is NativeSteps) == plan.is_compiled == is_loop
    assert not plan.compiles_evaluation and not plan.compiles_gradients


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"route": "triton"}, r"the Triton kernel: "),
        ({"route": "loop", "interventions": {"clip": ClipNorm(1.0)}}, r"the C\+\+ loop: there are interventions"),
        ({"route": "kernel", "compile": "never"}, r"the C\+\+ kernel: model.compile is never"),
        ({"route": "loop", "fused": False}, r"the C\+\+ loop: model.fused is false"),
    ],
)
def test_a_route_that_cannot_serve_is_refused_with_the_reason(lab, settings, reason):
    with pytest.raises(SettingError, match=reason) as caught:
        lab.stack(**{"compile": "always", **settings})
    assert caught.value.key == "model.route"


def test_a_short_fit_takes_the_preferred_route_and_compiles_no_other(lab, measured):
    timed = measured(loop=100.0)
    assert routes(lab.stack(compile="always")) == ROUTES["loop"]
    assert set(timed) == {"loop"}


def test_a_fit_whose_examples_have_no_source_is_measured_sooner(lab, measured):
    timed = measured(loop=40.0, kernel=20.0, autograd=30.0)
    assert routes(lab.stack(compile="always")) == ROUTES["loop"] and set(timed) == {"loop"}
    timed = measured()
    data = Online(LinearRegression(10), batch_size=32, test_size=100)
    assert routes(lab.stack(data, compile="always", loss="squared")) == ROUTES["kernel"] and set(timed) == set(ROUTES)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"loop": 400.0, "kernel": 250.0, "autograd": 300.0}, "kernel"),
        ({"loop": 400.0, "kernel": 390.0, "autograd": 380.0}, "loop"),  # within a measurement's error
        ({"loop": 400.0, "kernel": 390.0, "autograd": 100.0}, "autograd"),
    ],
)
def test_a_long_fit_takes_the_fastest_and_remembers_it(lab, measured, tmp_path, seconds, chosen):
    timed = measured(**seconds)
    stack = lab.stack(compile="always")
    assert routes(stack) == ROUTES[chosen]
    assert set(timed) == set(ROUTES)
    timed = measured(loop=1.0, kernel=1.0, autograd=1.0)
    assert routes(lab.stack(compile="always")) == ROUTES[chosen] and not timed
    (file,) = tmp_path.glob("*.json")
    kept = json.loads(file.read_text())
    assert kept["chosen"] == {"200": chosen} and kept["seconds per step"]["loop"] == 2.0
    file.unlink()
    assert routes(lab.stack(compile="always")) == ROUTES["loop"] and set(timed) == {"loop"}


def test_a_fit_of_another_length_uses_the_times_and_one_of_another_shape_does_not(lab, measured, tmp_path):
    timed = measured(loop=400.0, kernel=250.0, autograd=300.0)
    assert routes(lab.stack(compile="always")) == ROUTES["kernel"]
    timed = measured()
    assert routes(lab.stack(steps=30, compile="always")) == ROUTES["kernel"] and not timed
    lab.stack(compile="always", network=lab.network(13)).engine  # noqa: B018
    assert timed and len(list(tmp_path.glob("*.json"))) == 2


def test_nothing_is_remembered_where_nothing_can_be_written(lab, measured, monkeypatch):
    measured(loop=1.0)
    monkeypatch.setattr(fastest, "folders", lambda name: iter([]))
    assert routes(lab.stack(compile="always")) == ROUTES["loop"]


def test_a_resumed_fit_goes_on_by_the_route_that_it_was_begun_by(lab, measured):
    measured(loop=400.0, kernel=100.0, autograd=300.0)
    begun = lab.stack(compile="always", route="autograd")
    begun.train_steps(0, 3)
    resumed = lab.stack(compile="always")
    assert routes(resumed) == ROUTES["kernel"]
    resumed.route = begun.route
    assert routes(resumed) == ROUTES["autograd"]
    again = lab.stack(compile="auto")  # a fit that would not be compiled by itself
    again.route = resumed.route
    assert again.engine.plan.is_compiled


def test_a_resumed_fit_says_so_if_its_route_is_missing(lab, monkeypatch):
    begun = lab.stack(compile="always")
    begun.train_steps(0, 3)
    monkeypatch.setattr(NativeSteps, "obstacle", classmethod(lambda *_: "no C++ compiler built it"))
    resumed = lab.stack(compile="always")
    resumed.route = begun.route
    with pytest.warns(UserWarning, match="computed by the route loop so far"):
        assert routes(resumed) == ROUTES["kernel"]


@pytest.mark.slow
def test_a_short_real_measurement_finds_what_a_clock_finds(lab, monkeypatch, tmp_path):
    monkeypatch.setattr(fastest, "_OPERATIONS_WORTH_TIMING", 0)
    monkeypatch.setattr(fastest, "_SECONDS_WORTH_MEASURING", 0.0)
    monkeypatch.setattr(fastest, "folders", lambda name: iter([tmp_path]))
    before = lab.stack(compile="always", network=lab.network(64))
    state = {name: value.clone() for name, value in before.parameters_by_name().items()}
    assert routes(before) in ROUTES.values()
    for name, value in before.parameters_by_name().items():
        assert value.equal(state[name])  # nothing was trained
    (file,) = tmp_path.glob("*.json")
    seconds = json.loads(file.read_text())["seconds per step"]
    assert seconds.keys() == ROUTES.keys() and all(0 < value < 1 for value in seconds.values())


def test_a_fit_that_is_trained_longer_goes_on_by_the_route_of_its_checkpoint(svl, tiny, tmp_path):
    words = [*tiny, "--model.compile", "auto", "--run_id", "a", "--ckpt_path", "auto"]
    ran = []
    for more in (["--trainer.max_steps", "20"], ["--trainer.max_steps", "1100"]):
        outcome = svl(tmp_path, *words, *more)
        assert outcome.status == 0, outcome.err
        ran.append(json.loads((outcome.path / "summary.json").read_text())["routes"])
    assert ran[0] == ran[1] == {"steps": "step by step", "device": "cpu", "gradients": "autograd", "is_compiled": False}
