"""Phases against a count of each replica's own steps, and the table that a fit leaves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from svl.callbacks import PhaseLog
from svl.data import AutomaticPhases, Phases, Subset
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training.replica_module import ReplicaModule

BATCH = 8


def module(data, replicas=None):
    made = ReplicaModule(MLP, "logistic", SGD(lr=0.5), replicas=replicas or Replicas(2), compile="never")
    made.prepare(data, 60, 60)
    return made


def at(made, step):
    made.trainer = SimpleNamespace(global_step=step, state=SimpleNamespace(fn="fit"))
    return {name: column.numpy() for name, column in PhaseLog().measure(made).items()}


def test_phases_of_steps_are_counted_from_one_and_their_epochs_from_nought():
    sizes = [16, 40, "online"]
    made = module(Phases(Parity(6, 2), sizes=sizes, durations=[6, 10], batch_size=BATCH, test_size=8))
    for step, number, size, epoch in [(0, 1, 16, 0), (5, 1, 16, 2.5), (6, 2, 40, 0), (15, 2, 40, 1.8)]:
        found = at(made, step)
        assert found["phase/number"].tolist() == [number] * 2 and found["phase/size"].tolist() == [size] * 2
        np.testing.assert_allclose(found["phase/epoch"], epoch)
    fresh = at(made, 16)
    assert fresh["phase/number"].tolist() == [3, 3]
    assert np.isnan(fresh["phase/size"]).all() and np.isnan(fresh["phase/epoch"]).all()


def test_a_strategy_without_phases_has_one_and_counts_epochs_by_each_replicas_own_batches():
    data = Subset(Parity(6, 2), size=40, batch_size=BATCH, test_size=8, batch_ratio=0.1)
    found = at(module(data, Replicas(1, vary={"data.batch_ratio": [0.1, 0.2]})), 15)
    assert found["phase/number"].tolist() == [1, 1] and found["phase/size"].tolist() == [40, 40]
    np.testing.assert_allclose(found["phase/epoch"], [4 * 15 / 40, 8 * 15 / 40])


def test_automatic_phases_are_those_that_a_count_of_steps_gives():
    data = AutomaticPhases(
        Parity(6, 2), phases=3, first=16, last=48, accuracy=1.0, max_epochs=2, batch_size=BATCH, test_size=8
    )
    made = module(data, Replicas(2, vary={"data.max_epochs": [1, 2]}))
    sizes, limits = made.stack.settings["sizes"].tolist(), [1, 1, 2, 2]
    state = [{"phase": 0, "step": 0, "hits": 0.0} for _ in range(4)]
    for step in range(20):
        found = at(made, step)
        for replica, one in enumerate(state):
            size = sizes[replica][one["phase"]]
            row = [found[name][replica] for name in PhaseLog.metrics]
            np.testing.assert_allclose(row, [one["phase"] + 1, size, one["step"] * BATCH / size], rtol=1e-6)
        made.stack.train_steps(step, 1)
        correct = made.stack.train_metrics()["train/accuracy"].tolist()
        for replica, one in enumerate(state):
            epoch = -(-sizes[replica][one["phase"]] // BATCH)
            one["step"] += 1
            one["hits"] += correct[replica]
            if one["step"] % epoch == 0:
                done = one["hits"] / epoch > 1 - 1e-5 or one["step"] >= limits[replica] * epoch
                one["hits"] = 0.0
                if done and one["phase"] < 2:
                    one["phase"], one["step"] = one["phase"] + 1, 0
    assert {one["phase"] for one in state} == {2}


def test_a_fit_leaves_a_table_of_its_phases(svl, tiny, tmp_path):
    phases = ["--data", "AutomaticPhases", "--data.phases", "3", "--data.first", "16", "--data.last", "64"]
    own = [*phases, "--data.max_epochs", "2", "--replicas.vary.data.accuracy", "[0.01, 1.0]"]
    at_subset = tiny.index("--data.size")
    words = [*tiny[:at_subset], *tiny[at_subset + 2 :], *own, "--trainer.callbacks", "[PhaseLog]"]
    words[words.index("Subset")] = "AutomaticPhases"
    words[words.index("--trainer.log_every_n_steps") + 1] = "1"
    done = svl(tmp_path, *words)
    assert done.status == 0, done.err
    table = pd.read_csv(done.path / "phases.csv")
    history = pd.read_parquet(done.path / "history.parquet")
    columns = ["seed", "data.accuracy", "phase", "size", "first_step", "train/accuracy"]
    assert list(table) == columns
    # Each change that the history shows is a row.
    trained = history[history["step"] < 20]
    replica = trained.groupby(["data.accuracy", "seed", "phase/number"], sort=False)
    first = replica["step"].min().reset_index().rename(columns={"phase/number": "phase", "step": "first_step"})
    keys = ["data.accuracy", "seed", "phase"]
    both = table.merge(first, on=keys, suffixes=("", "_seen"))
    assert len(both) == len(table) == len(first) == 12
    assert (both["first_step"] == both["first_step_seen"]).all()
    for row in table.itertuples(index=False):
        seen = history[(history["seed"] == row.seed) & (history["data.accuracy"] == row[1])].set_index("step")
        assert seen.loc[row.first_step, "phase/size"] == row.size
        after = table[(table["seed"] == row.seed) & (table["data.accuracy"] == row[1])].set_index("phase")["first_step"]
        if row.phase == 3:
            assert np.isnan(row[-1])
            continue
        # The mean over the last epoch before the advance, of accuracies measured before each step.
        end, epoch = after[row.phase + 1], -(-row.size // 16)
        assert np.isclose(row[-1], seen.loc[end - epoch + 1 : end, "train/accuracy"].mean(), rtol=1e-5)
