"""Speed and memory reach the loggers, are what the clock and the kernel say, and leave the history as it is."""

import re
import time
from pathlib import Path

import pandas as pd
import pytest

from callbacks import NormRatio

LOGGER = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: logs}}"
NAP = 0.3


def peak():
    """The kernel's own account of this process's largest resident memory, in GiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20


def test_speed_and_memory_are_logged_at_every_measurement(svl, tiny, tmp_path, monkeypatch):
    measure = NormRatio.measure

    def slowly(self, module):
        time.sleep(NAP)
        return measure(self, module)

    plain = svl(tmp_path, *tiny)
    monkeypatch.setattr(NormRatio, "measure", slowly)
    words = ["--trainer.callbacks", "[NormRatio, Throughput]", "--trainer.logger", LOGGER]
    before = peak()
    done = svl(tmp_path, *tiny, *words)
    assert done.status == 0, done.err
    (file,) = tmp_path.glob("logs/**/metrics.csv")
    logged = pd.read_csv(file).dropna(subset="throughput/samples_per_second")
    assert logged["step"].tolist() == [5, 10, 15, 20]
    # Two replicas take five steps of 16 examples between two measurements, in far less time than these.
    rate = logged["throughput/replica_steps_per_second"]
    assert logged["throughput/samples_per_second"].tolist() == pytest.approx((16 * rate).tolist())
    assert 0 < (10 / rate).median() < NAP / 4
    assert logged["memory/peak_gib"].between(0.999 * before, 1.001 * peak()).all()
    assert (done.path / "history.parquet").read_bytes() == (plain.path / "history.parquet").read_bytes()
