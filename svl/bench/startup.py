"""The time of ``svl fit`` until its first step, and of the commands that only read YAML or print help."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from svl.bench.section import Section, spread

COLD, CACHED = 2, 4  # numbers of fits
LIGHT = (
    "--help",
    "configs list",
    "theory",
    "sweep run sweeps/width --dry-run",
    "reproduce --list",
)
"""Commands that need none of the heavy libraries."""
LIMIT = 2.0
"""CPU seconds that each of them may take."""


class FirstStep(pl.Callback):
    """Prints the time at which the first optimisation steps are done, and ends the fit."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        print(f"first step {time.time()}", file=sys.stderr, flush=True)
        trainer.should_stop = True


def measure(rounds: int) -> list[Section]:
    """The quickstart's fit, started from a shell; there are fewer cold ones because they take long."""
    seconds: dict[str, list[float]] = {"cold": [], "cached": []}
    for _ in range(min(rounds, COLD)):
        with tempfile.TemporaryDirectory() as folder:
            seconds["cold"].append(first_step(Path(folder)))
            seconds["cached"] += [first_step(Path(folder)) for _ in range(CACHED // COLD)]
    text = """From the shell's command to the end of the first optimisation steps of `configs/quickstart.yaml`: Python's
imports, the checks of the settings, compilation, the measurement at step 0. *Cached*: as any fit whose shapes and code
were compiled before, which torch keeps in `TORCHINDUCTOR_CACHE_DIR`."""
    rows = [[name, spread(times)] for name, times in seconds.items()]
    return [Section("Start-up", text, ("compilation", "seconds"), rows), light_commands(rounds)]


def light_commands(rounds: int) -> Section:
    """The commands of :data:`LIGHT`, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        spent = {words: [cpu_seconds(words.split(), Path(folder)) for _ in range(rounds)] for words in LIGHT}
    text = f"""CPU seconds of a process, from Python's start to its end, of commands that read YAML or print help. They
import no numerical library; a test fails if one of them takes {LIMIT:g} seconds."""
    rows = [[f"`svl {words}`", spread(times, "{:.2f}")] for words, times in spent.items()]
    return Section("Commands that train nothing", text, ("command", "CPU seconds"), rows)


def cpu_seconds(words: list[str], folder: Path) -> float:
    """CPU seconds, of the user and the system, of one command.

    Args:
        words: those after ``svl``.
        folder: working directory.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "svl", *words], cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_step(folder: Path, *words: str) -> float:
    """Seconds until the first step of a fit whose caches and run directory are in ``folder``.

    Args:
        folder: folder of the caches and of the run directory.
        words: settings in addition to those of the quickstart.
    """
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "svl", "fit", "--config", "configs/quickstart.yaml", "--runs", str(folder)]
    command += ["--trainer.callbacks", "[svl.bench.startup.FirstStep]", "--trainer.logger", "false", *words]
    began = time.time()
    done = subprocess.run(command, env={**os.environ, **caches}, capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if line.startswith("first step "))
    return float(line.split()[-1]) - began
