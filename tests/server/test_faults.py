"""Servers that are away, slow, refuse or die: the fit ends as it would without W&B, and its rows are on the disk."""

import json
import subprocess
import threading
import time
from dataclasses import dataclass

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def refusing(status, *operations):
    return lambda operation: status if operation in operations or not operations else None


def slow(operation):
    time.sleep(2)


def never(*operations):
    return lambda operation: threading.Event().wait() if operation in operations or not operations else None


@dataclass
class Fault:
    """What is wrong with a server, and whether the fit can begin an online run there; ``None`` is for no server."""

    fault: object
    online: bool
    patience: float = 3.0


FAULTS = {
    "away": Fault(None, False),
    "refuses everyone": Fault(refusing(401), False),
    "refuses the run": Fault(refusing(403, "UpsertBucket"), False),
    "broken": Fault(refusing(500), False),
    "silent": Fault(never(), False),
    "slow": Fault(slow, True, 30.0),
    "silent to rows": Fault(never("file_stream"), True, 10.0),
    "refuses rows": Fault(refusing(403, "file_stream"), True, 10.0),
    "dies": Fault(None, True, 10.0),
}


@pytest.fixture(scope="module")
def fits(tiny, fit, serve, tmp_path_factory):
    """Fits side by side, one for each fault and one without W&B, all at their ends."""
    folder = tmp_path_factory.mktemp("faults")
    # Wide enough for a step of some milliseconds.
    words = [
        *(*tiny, "--trainer.max_steps", "150", "--trainer.log_every_n_steps", "15", "--data.batch_size", "64"),
        *("--model.network.width", "64", "--replicas.seeds", "16", "--wandb.mode"),
    ]
    # Seconds that W&B waits, twice, for an answer about an artifact; 10 are its habit.
    impatient = {"WANDB_HTTP_TIMEOUT": "4"}
    started = {"none": fit(folder / "none", "", *words, "disabled")}
    for name, fault in FAULTS.items():
        server = serve(fault.fault)
        if name == "dies":
            # When it has the table of arms, with which training begins.
            server.fault = lambda operation, server=server: server.close() if operation == "CommitArtifact" else None
        if name == "away":
            server.close()
        place = folder / name.replace(" ", "-")
        started[name] = fit(place, server.url, *words, "online", patience=fault.patience, **impatient)
    return {name: one.wait() for name, one in started.items()}


@pytest.fixture(scope="module")
def synced(fits, serve, environment, tmp_path_factory):
    """The runs on a server that is well, after ``wandb sync`` of what the fits left."""
    server = serve()
    kept = [
        str(path)
        for name, fault in FAULTS.items()
        for path in fits[name].path.glob("wandb/run-*" if fault.online else "wandb/offline-run-*")
    ]
    assert len(kept) == len(FAULTS)
    done = subprocess.run(
        ["wandb", "sync", "--include-online", *kept],
        cwd=tmp_path_factory.mktemp("synced"),
        env=environment(server.url),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return server.runs


@pytest.mark.parametrize("name", FAULTS)
def test_the_history_is_that_of_a_fit_without_wandb(fits, name):
    expected, found = (pd.read_parquet(fits[key].path / "history.parquet") for key in ("none", name))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    # One line for each thing that failed, and no traceback.
    lines = fits[name].err.splitlines()
    assert all(line.startswith("W&B: ") for line in lines)
    assert any("kept offline" in line for line in lines) != FAULTS[name].online


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(fits, synced, name):
    path = fits[name].path
    frame, run = pd.read_parquet(path / "history.parquet"), synced[path.name]
    rows = [row for row in run.history if "samples" in row]
    assert [row["step"] for row in rows] == sorted(set(frame["step"]))
    losses = frame.groupby("step")["val/loss"].apply(lambda seeds: seeds.to_numpy("float64").mean())
    assert [row["val/loss/all"] for row in rows] == pytest.approx(losses.to_list())
    assert run.config["experiment"] == "tiny"


@pytest.mark.parametrize("name", FAULTS)
def test_training_spends_less_than_a_twentieth_on_it(fits, name):
    spent, seconds = (fits[name].folder / "spent.txt").read_text(), (fits[name].path / "summary.json").read_text()
    assert 0 < float(spent) < 0.05 * json.loads(seconds)["wall_seconds"]
