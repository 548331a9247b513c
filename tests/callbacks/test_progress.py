"""What a user sees while a fit runs: a bar on a terminal, lines elsewhere."""

import contextlib
import os
import pty
import re
import sys
import threading

import pytest

SHOWN = ["--trainer.enable_progress_bar", "true"]


@contextlib.contextmanager
def terminal():
    """A terminal: the list that what is written to it is collected in, and its descriptor."""
    parent, child = pty.openpty()
    chunks: list[bytes] = []

    def collect():
        with contextlib.suppress(OSError):
            while chunk := os.read(parent, 65536):
                chunks.append(chunk)

    reader = threading.Thread(target=collect)
    reader.start()
    try:
        yield chunks, child
    finally:
        os.close(child)
        reader.join(10)
        os.close(parent)


def test_elsewhere_a_line_every_tenth_of_the_run(svl, tiny, tmp_path):
    outcome = svl(tmp_path, *tiny, *SHOWN, "--replicas.vary.data.size", "[32, online]")
    lines = outcome.err.splitlines()
    # Lightning batches are of five steps here, so four of the ten lines.
    assert len(lines) == 4
    for step, line in zip((5, 10, 15, 20), lines, strict=True):
        assert re.fullmatch(
            rf"step {step} of 20, \d:\d\d:\d\d left: {16 * step} samples, "
            r"val/accuracy by size: 32 0\.\d{3}, online 0\.\d{3}",
            line,
        )


def test_many_arms_are_summed_up(svl, tiny, tmp_path):
    vary = ["--replicas.vary.data.size", "[8, 16, 32]", "--replicas.vary.model.optimizer.lr", "[0.1, 0.2, 0.3]"]
    line = svl(tmp_path, *tiny, *SHOWN, *vary).err.splitlines()[-1]
    assert "val/accuracy by size/lr: 8/0.1 0." in line
    assert line.endswith(" and 3 more")


def test_the_metric_of_the_target_is_shown(svl, tiny, tmp_path):
    line = svl(tmp_path, *tiny, *SHOWN, "--target.metric", "norm_ratio", "--target.value", "2").err.splitlines()[-1]
    assert re.search(r"320 samples, norm_ratio \d\.\d{3}$", line)


def test_without_a_progress_bar_nothing_is_shown(svl, tiny, tmp_path):
    assert svl(tmp_path, *tiny, "--trainer.enable_progress_bar", "false").err == ""


@pytest.mark.parametrize("columns", [80, 40])
def test_on_a_terminal_a_bar_that_fits_it(tiny, tmp_path, columns, monkeypatch, capsys):
    from svl.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    words = [*tiny, *SHOWN, "--replicas.vary.data.size", "[8, 16, 32, online]"]
    with terminal() as (chunks, child), os.fdopen(os.dup(child), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        status = main(words)
    monkeypatch.undo()
    assert status == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(chunks).decode())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert max(map(len, lines)) <= columns
    assert "320 samples, val/accuracy" in text
    if columns == 80:
        assert "320 samples, val/accuracy by size: 8 0." in text
        assert "20/20 steps" in text
        assert re.search(r"0:00:\d\d and 0:00:00 left", text)
    assert capsys.readouterr().out.splitlines()[-1].startswith("runs/tiny/")
