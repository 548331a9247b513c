"""Speed and memory reach the loggers, are what the clock and the kernel say, and leave the history as it is."""

import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from svl.callbacks import NormRatio, throughput
from svl.training import ReplicaStack

LOGGER = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: logs}}"


def peak():
    """The kernel's own account of this process's largest resident memory, in GiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))[1]) / 2**20


def taking(monkeypatch, clock, owner, name, seconds):
    """Each call of a method takes so long on the clock."""
    method = getattr(owner, name)

    def timed(self, *arguments):
        clock.now += seconds(*arguments)
        return method(self, *arguments)

    monkeypatch.setattr(owner, name, timed)


def test_speed_and_memory_are_logged_at_every_measurement(svl, tiny, tmp_path, monkeypatch):
    plain = svl(tmp_path, *tiny)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    taking(monkeypatch, clock, NormRatio, "measure", lambda module: 100.0)
    taking(monkeypatch, clock, ReplicaStack, "train_steps", lambda start, count: 0.5 * count)
    before = peak()
    done = svl(tmp_path, *tiny, "--trainer.callbacks", "[NormRatio, Throughput]", "--trainer.logger", LOGGER)
    assert done.status == 0, done.err
    (file,) = tmp_path.glob("logs/**/metrics.csv")
    logged = pd.read_csv(file).dropna(subset="throughput/samples_per_second")
    assert logged["step"].tolist() == [5, 10, 15, 20]
    # Two replicas take steps of 16 examples, two a second, and a measurement's own time does not count.
    assert logged["throughput/replica_steps_per_second"].tolist() == [4.0] * 4
    assert logged["throughput/samples_per_second"].tolist() == [64.0] * 4
    assert logged["memory/peak_gib"].between(0.999 * before, 1.001 * peak()).all()
    assert (done.path / "history.parquet").read_bytes() == (plain.path / "history.parquet").read_bytes()
