"""The benchmark measures what it names."""

import torch

from svl.bench import __main__ as bench
from svl.bench import peers


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
    page = bench._page(lines)
    assert "| stack | 40 [10, 40] | 10 [10, 20] | not measured |" in page and torch.__version__ in page
