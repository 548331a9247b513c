"""The double of the W&B server, and fits that talk to it."""

import importlib.util
import multiprocessing
import os
import runpy
import signal
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def load(name):
    """A module beside this file, which pytest's import mode leaves out of the path."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def serve():
    """Starts a server, with a fault if one is given; all are closed at the end."""
    started = []

    def start(fault=None):
        started.append(load("wandb_server").WandbServer(fault))
        return started[-1]

    yield start
    for server in started:
        server.close()
    assert [name for server in started for name in server.unknown] == []


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Makes an environment for a server's address: nothing of the user's is read or written, nothing is left running.

    W&B's own process can outlive the one that started it where a server has gone; it inherits a mark.
    """
    mark, home = uuid.uuid4().hex, tmp_path_factory.mktemp("home")

    def make(url):
        return {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": str(home),
            "SVL_TEST": mark,
            "WANDB_BASE_URL": url,
            "WANDB_API_KEY": "0" * 40,
            "WANDB_ERROR_REPORTING": "false",
            "OMP_NUM_THREADS": "1",
            # Whole seconds between what W&B's process sends; 15 are its habit.
            "WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "1",
        }

    yield make
    left = marked(mark)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def marked(mark):
    """Processes whose environment has the mark; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@dataclass
class Fit:
    """A command of svl in a process of its own."""

    folder: Path
    process: multiprocessing.Process
    mark: str

    def wait(self, status=0, timeout=600):
        self.process.join(timeout)
        assert self.status == status, (self.out, self.err)
        return self

    def signal(self, number):
        os.kill(self.process.pid, number)

    def go_on(self):
        """Let a fit that waits at a step go on."""
        (self.folder / "go").touch()

    def lose_wandb(self, timeout=60):
        """Wait until W&B's own processes have ended, which outlive a fit that is killed and send what they have."""
        end = time.monotonic() + timeout
        while marked(self.mark):
            if time.monotonic() > end:
                for process in marked(self.mark):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            time.sleep(0.05)

    @property
    def status(self):
        return self.process.exitcode

    @property
    def out(self):
        return (self.folder / "out.txt").read_text()

    @property
    def err(self):
        return (self.folder / "err.txt").read_text()

    @property
    def path(self):
        """The run directory of a fit that has ended."""
        return self.folder / self.out.splitlines()[-1]


@pytest.fixture(scope="session")
def until():
    """Waits for something to be true."""

    def wait(true, timeout=600):
        end = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < end
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def processes():
    """Processes that begin where svl has been imported, which takes longer than a small fit does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["svl.cli.fit", "svl.results.figure"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


@pytest.fixture(scope="module")
def fit(processes, environment):
    """Starts a command in a folder, against a server's address."""
    started = []

    def start(folder, url, *words, patience=300.0, hold=float("inf"), **more):
        folder.mkdir(exist_ok=True)
        (folder / "go").unlink(missing_ok=True)
        surroundings = environment(url) | more
        names = {"folder": str(folder), "environment": surroundings, "patience": patience, "hold": hold}
        arguments = (str(HERE / "fit.py"), names | {"words": list(map(str, words))})
        started.append(processes.Process(target=runpy.run_path, args=arguments))
        started[-1].start()
        return Fit(folder, started[-1], surroundings["SVL_TEST"])

    yield start
    for process in started:
        process.kill()
        process.join()
