"""The benchmark measures what it names."""

from types import SimpleNamespace

import pytest
import torch

import callbacks
from callbacks import Feature, GradientSimilarity, Measurement, Throughput
from svl.bench import __main__ as bench
from svl.bench import overhead, peers
from svl.training import ReplicaStack


def test_peers_count_replica_steps(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "JAX_PYTHON", tmp_path / "absent")
    moments = iter(range(0, 1000, 2))
    monkeypatch.setattr(peers.time, "perf_counter", lambda: float(next(moments)))
    assert peers.plain_loop(steps=3)() == 3 / 2
    assert peers.stack(4, 5, compile="never")() == 4 * 5 / 2
    assert peers.jax_scan(4, 5) is None


def test_the_page_gives_ratios_within_a_round(capsys):
    rates = {"plain": [1.0, 2.0, 4.0], "stack": [10.0, 40.0, 40.0]}
    lines = bench._lines(rates, ["plain", "stack", "jax"])
    assert lines[1][2] == "10 [10, 20]" and lines[1][3] == "not measured"
    page = bench._page(lines, [])
    assert "| stack | 40 [10, 40] | 10 [10, 20] | not measured |" in page and torch.__version__ in page


def test_overheads_are_the_callbacks_time_in_that_of_the_steps_between(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(overhead, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    small = {
        "REPLICAS": 2,
        "TRANSFORMER_REPLICAS": 1,
        "STEPS": 2,
        "TRANSFORMER_STEPS": 2,
        "TOTAL_STEPS": 10,
        "SIZE": 256,
    }
    for name, value in small.items():
        monkeypatch.setattr(overhead, name, value)

    def taking(kind, name, seconds):
        method = getattr(kind, name)

        def timed(self, *arguments):
            clock.now += seconds
            return method(self, *arguments)

        monkeypatch.setattr(kind, name, timed)

    taking(ReplicaStack, "train_steps", 0.5)
    taking(GradientSimilarity, "measure", 0.2)
    taking(Feature, "measure", 0.01)
    taking(Throughput, "on_train_batch_end", 0.001)
    found = {one.name: one for one in overhead.measure(rounds=3)}
    # Four gradients are below 5 % of 80 steps, or 40 measurements.
    expected = {"GradientSimilarity": (0.2, 0.01), "Feature": (0.01, 0.02), "Throughput": (0.001, 0.002)}
    for name, one in found.items():
        seconds, share = expected.get(name, (0, 0))
        assert one.first == pytest.approx(seconds)
        assert one.seconds == pytest.approx([seconds] * 3) and one.shares == pytest.approx([share] * 3)
    rows = {row[0]: row[1:] for row in bench._overheads(list(found.values()))}
    assert rows["`Feature`"] == ("10", "10 [10, 10]", "2 [2, 2]")
    assert "`GradientSimilarity`, at every 40th measurement" in rows
    assert "| `Feature` | 10 | 10 [10, 10] | 2 [2, 2] |" in bench._page([], bench._overheads(list(found.values())))


def test_the_overhead_of_every_callback_is_measured():
    kinds = [getattr(callbacks, name) for name in callbacks.__all__]
    chosen = {kind for kind in kinds if issubclass(kind, Measurement)} - {Measurement} | {Throughput}
    assert chosen == {*overhead.OF_MLP, *overhead.OF_TRANSFORMER}
