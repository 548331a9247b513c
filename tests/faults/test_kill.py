"""A fit that is killed anywhere goes on to the history of an undisturbed one, bit for bit."""

import json
import signal

import pandas as pd
import pytest

# Replicas with phases of their own, of which some diverge; AdamW, whose state is the largest.
HARD = [
    *("--data", "AutomaticPhases", "--data.phases", "3", "--data.first", "24", "--data.last", "96"),
    *("--data.max_epochs", "40", "--data.accuracy", "0.6", "--model.optimizer", "AdamW"),
    *("--replicas.vary.model.optimizer.lr", "[0.01, 1e30]", "--model.loss", "squared"),
    *("--trainer.max_steps", "1000", "--trainer.log_every_n_steps", "10", "--checkpoint.every_n_steps", "15"),
]
RANDOM = [signal.SIGKILL] * 12
STEP, STACK, HISTORY, ATOMIC = "svl.training.update", "svl.training.stack", "svl.results.history", "svl.results.atomic"
PLACES = [
    ("svl.training.routes.step_by_step", "StepByStep.advance", 2, "after"),  # a step
    (STEP, "Update.__call__", 17, "before"),  # a step between gradients and update
    ("svl.data.automatic_phases", "AutomaticPhases.advance", 9, "after"),  # a phase change
    (STACK, "ReplicaStack.test_sums", 3, "before"),  # an evaluation
    (STACK, "ReplicaStack.test_sums", 2, "after"),
    ("svl.training.replica_module", "ReplicaModule.on_validation_epoch_end", 2, "after"),  # measured, in no row
    ("svl.callbacks.history", "History.on_validation_end", 3, "after"),  # a row that waits in memory
    (HISTORY, "append", 2, "before"),  # a checkpoint: its rows
    (HISTORY, "append", 3, "after"),  # rows, but no checkpoint yet
    (ATOMIC, "sync", 2, "before"),  # a file that is written, but has not got its name
    ("svl.callbacks.checkpoint", "AtomicCheckpointIO.save_checkpoint", 2, "before"),
    ("svl.callbacks.checkpoint", "torch.save", 2, "after"),  # a checkpoint in memory
    ("pathlib", "Path.write_bytes", 1, "after"),  # written, but neither synced nor under its name
    ("svl.callbacks.checkpoint", "AtomicCheckpointIO.save_checkpoint", 3, "after"),
    (HISTORY, "discard_after", 1, "after"),  # just resumed
]
AT_THE_END = [
    ("svl.results.history", "_joined", 1, "after"),  # the history's table is being written
    ("svl.results.summary", "write", 1, "before"),
    ("svl.results.figure", "save", 1, "after"),
]


@pytest.mark.slow
def test_a_fit_killed_anywhere_has_the_history_of_an_undisturbed_one(killed, tiny, tmp_path):
    moments = [*PLACES, *RANDOM, *AT_THE_END]
    statuses, run, undisturbed = killed(tmp_path / "fit", moments, [*tiny, *HARD])
    assert statuses[-2:] == [0, 0]
    assert statuses[:-2] == [-signal.SIGKILL] * len(moments)
    for file in ("history.parquet", "history.csv"):
        assert (run / file).read_bytes() == (undisturbed / file).read_bytes()
    history = pd.read_parquet(run / "history.parquet")
    steps = history.groupby(["model.optimizer.lr", "seed"])["step"].apply(list)
    assert all(one == list(range(0, 1001, 10)) for one in steps)
    assert history["diverged"].any() and not history["diverged"].all()
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]
    summaries = [json.loads((path / "summary.json").read_text()) for path in (run, undisturbed)]
    assert summaries[0]["arms"] == summaries[1]["arms"]
