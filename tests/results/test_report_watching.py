"""``svl report --watch`` follows a fit: new rows make a new page, the fit's end ends it, an interrupt is quiet."""

import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from svl.cli import report_watching
from svl.results import history, summary
from svl.results.lock import Lock

PROGRAM = "import sys; from svl.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(report_watching, "INTERVAL", 0.05)
    monkeypatch.setattr(report_watching, "SHARE", 0)


@pytest.fixture(scope="module")
def rows(curves_of):
    return curves_of({"data.size": [4096, "online"]}, lambda _: 500, seeds=2, norm_ratio=False)


@pytest.fixture
def running(tmp_path, rows, make_run):
    """A run that a fit is writing to, up to step 500."""
    path = make_run(tmp_path / "e" / "r", rows[rows["step"] <= 500], ["data.size"], finished=False)
    lock = Lock(path)
    lock.acquire()
    yield path, lock
    lock.release()


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_page_follows_the_rows_until_the_fit_ends(running, rows, svl, tmp_path):
    path, lock = running
    page, outcomes = path / "report.html", []
    thread = threading.Thread(target=lambda: outcomes.append(svl(tmp_path, "report", "--watch", "e/r")))
    thread.start()
    wait_until(lambda: page.exists())
    first = page.read_text(encoding="utf-8")
    assert "not finished: step 500 of 2,000" in first
    assert '<meta http-equiv="refresh" content="5">' in first
    written = page.stat().st_mtime_ns
    time.sleep(0.5)
    assert page.stat().st_mtime_ns == written  # nothing new
    history.append(path, rows[(rows["step"] > 500) & (rows["step"] <= 1200)])
    wait_until(lambda: "step 1,200 of" in page.read_text(encoding="utf-8"))
    history.append(path, rows[rows["step"] > 1200])
    history.finish(path)
    summary.write(path, summary.summarise(history.read(path), ["data.size"]))
    lock.release()
    thread.join(60)
    assert not thread.is_alive()
    last = page.read_text(encoding="utf-8")
    assert "finished, 2,000 steps" in last and "refresh" not in last.replace("/refresh", "")
    (outcome,) = outcomes
    assert (outcome.status, outcome.out, outcome.err) == (0, "e/r/report.html\n", "")


def test_a_fit_that_stopped_is_named(running, svl, tmp_path):
    _, lock = running
    lock.release()
    outcome = svl(tmp_path, "report", "--watch", "e/r", "--output", "page.html")
    assert (outcome.status, outcome.out) == (0, "page.html\n")
    assert outcome.err == "no fit is writing to e/r: it stopped after step 500\n"
    assert 'http-equiv="refresh"' not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_it_waits_for_the_first_measurements(running, rows, svl, tmp_path):
    path, lock = running
    shutil.rmtree(path / history.PARTS)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(svl(tmp_path, "report", "--watch", "e")))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive() and not list(tmp_path.rglob("report.html"))
    history.append(path, rows)
    wait_until(lambda: (path / "report.html").exists())
    lock.release()
    thread.join(60)
    assert outcomes[0].status == 0
    assert "waiting for the first measurements" in outcomes[0].err


@pytest.mark.parametrize("words", ["nowhere", "empty"])
def test_what_cannot_be_watched_is_one_line(svl, tmp_path, words):
    (tmp_path / "empty").mkdir()
    outcome = svl(tmp_path, "report", "--watch", words)
    assert outcome.status == 2
    assert f"RUN: got '{words}'" in outcome.err and len(outcome.err.splitlines()) == 1


@pytest.mark.slow
def test_an_interrupt_is_quiet_and_leaves_a_page_that_does_not_reload(running, tmp_path):
    path, _ = running
    words = [sys.executable, "-c", PROGRAM, "report", "--watch", str(path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    page = path / "report.html"
    # The tests themselves may run where interrupts are ignored, as a shell's commands in the background are.
    with subprocess.Popen(words, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        try:
            wait_until(lambda: page.exists())
            assert process.stdout.readline() == f"{page}\n"
            assert "refresh" in page.read_text(encoding="utf-8")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")
    assert 'http-equiv="refresh"' not in page.read_text(encoding="utf-8")
