"""Arms that have reached the target stop: what was measured until then, and of all other arms, stays the same."""

import json

import pandas as pd
import pytest
import torch

from svl.callbacks import StopAtTarget
from svl.errors import SettingError

# The arm with the large rate learns within some steps, that with the small one never does.
ARMS = ("--replicas.vary.model.optimizer.lr", "[0.001, 1.0]", "--replicas.seeds", "3", "--model.block_size", "3")
LENGTH = ("--trainer.max_steps", "200", "--trainer.log_every_n_steps", "10")
FIT = (*ARMS, *LENGTH, "--target.value", "0.8")
STOP = ("--trainer.callbacks+", "StopAtTarget")


def read(run):
    return pd.read_parquet(run / "history.parquet")


@pytest.fixture(scope="module")
def both(svl, tiny, tmp_path_factory):
    """The run directories of the same fit without and with the callback."""
    folder = tmp_path_factory.mktemp("stop")
    paths = []
    for number, more in enumerate(((), STOP)):
        done = svl(folder, *tiny, *FIT, *more, "--run_id", str(number))
        assert done.status == 0, done.err
        paths.append(done.path)
    return paths


def test_the_history_is_that_without_it_up_to_the_stop(both):
    without, stopped = map(read, both)
    ends = stopped.groupby("arm")["step"].max()
    slow, fast = ends.index[ends == 200], ends.index[ends < 200]
    assert len(slow) == len(fast) == 1
    expected = without[without["step"] <= without["arm"].map(ends)].reset_index(drop=True)
    pd.testing.assert_frame_equal(stopped.reset_index(drop=True), expected)
    passed = expected[expected["arm"] == fast[0]]
    first = passed[passed["val/accuracy"] >= 0.8].groupby("seed")["step"].min()
    assert ends[fast[0]] == first.max()


def test_times_and_speed_ups_are_the_same(both):
    first, second = (json.loads((run / "summary.json").read_text())["arms"] for run in both)
    for one, other in zip(first, second, strict=True):
        assert one["steps_to_target"] == other["steps_to_target"] and one["speed_up"] == other["speed_up"]
        assert one["censored"] == other["censored"]


def test_a_stopped_arm_keeps_the_weights_that_it_has_then(svl, tiny, tmp_path, both):
    end = read(both[1]).groupby("arm")["step"].max().min()
    words = [*FIT, "--trainer.max_steps", str(end)]
    shorter = svl(tmp_path, *tiny, *words)
    assert shorter.status == 0, shorter.err
    weights, expected, undisturbed = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (both[1], shorter.path, both[0])
    )
    names = [name for name in weights if name.endswith("weight")]
    assert names
    for name in names:
        torch.testing.assert_close(weights[name][3:], expected[name][3:], rtol=0, atol=0)
        torch.testing.assert_close(weights[name][:3], undisturbed[name][:3], rtol=0, atol=0)
        assert not torch.equal(weights[name][3:], undisturbed[name][3:])


def test_a_resumed_fit_goes_on_without_the_arm_that_has_stopped(svl, tiny, tmp_path, both):
    end = int(read(both[1]).groupby("arm")["step"].max().min())
    words = [*tiny, *FIT, *STOP, "--run_id", "a"]
    first = svl(tmp_path, *words, "--trainer.max_steps", str(end + 20))
    assert first.status == 0, first.err
    second = svl(tmp_path, *words, "--ckpt_path", "last")
    assert second.status == 0, second.err
    pd.testing.assert_frame_equal(read(second.path), read(both[1]))


def test_a_share_of_the_seeds_suffices(svl, tiny, tmp_path, both):
    third = svl(tmp_path, *tiny, *FIT, "--trainer.callbacks+", "{class_path: StopAtTarget, init_args: {share: 0.3}}")
    assert third.status == 0, third.err
    rows = read(both[0])
    fast = rows[(rows["val/accuracy"] >= 0.8)].groupby("seed")["step"].min()
    assert read(third.path).groupby("arm")["step"].max().min() == fast.min()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{share: 0}", "above 0"),
        ("{value: 0.5}", "monitor"),
        ("{monitor: val/nothing, value: 0.5}", "val/nothing"),
    ],
)
def test_wrong_settings_are_one_line(svl, tiny, tmp_path, settings, said):
    done = svl(tmp_path, *tiny, "--trainer.callbacks+", f"{{class_path: StopAtTarget, init_args: {settings}}}")
    assert done.status == 2 and said in done.err and done.err.count("\n") == 1


def test_in_a_plain_trainer_it_needs_a_target_of_its_own():
    callback = StopAtTarget()
    callback.aim("val/loss", 0.1)
    assert (callback.monitor, callback.value) == ("val/loss", 0.1)
    own = StopAtTarget("val/accuracy", 0.5)
    own.aim("val/loss", 0.1)
    assert (own.monitor, own.value) == ("val/accuracy", 0.5)
    with pytest.raises(SettingError, match="neither"):
        StopAtTarget("val/loss")
