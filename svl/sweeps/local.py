"""A sweep on this machine: several processes, each with one fit at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from svl import limits
from svl.console import console
from svl.processes import environment
from svl.results.arm_label import short_names
from svl.signals import SIGNALS, handled_by
from svl.sweeps.manifest import Manifest, Row
from svl.sweeps.status import shown_value

LOGS = "logs"
_PAUSE = 0.1


@dataclass
class _Worker:
    """A process that trains a row.

    Attributes:
        slot: its number among the processes that run at a time, from 0.
        began: when it was started, by the monotonic clock, in seconds.
    """

    row: Row
    slot: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float


def run(manifest: Manifest, numbers: list[int], processes: int) -> tuple[list[int], signal.Signals | None]:
    """Train rows of the manifest.

    Each process gets an equal share of the cores; GPUs are assigned to the processes in turn. A signal is passed on to
    the fits, which save and end; the same command resumes them.

    Args:
        numbers: those of the rows, in the order in which they begin.
        processes: number of fits at a time.

    Returns:
        the numbers of the rows that failed, and the signal that stopped the sweep, if one did.
    """
    manifest_path, waiting = manifest.write(), list(numbers)
    logs = manifest.folder / LOGS
    logs.mkdir(exist_ok=True)
    received: list[signal.Signals] = []
    running: list[_Worker] = []
    failed: list[int] = []
    shown = console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        stack.enter_context(handled_by(lambda number, frame: received.append(signal.Signals(number))))
        bar = stack.enter_context(Progress(*columns, console=shown, disable=not shown.is_terminal))
        task = bar.add_task("fits", total=len(waiting))
        stack.callback(_stop, running)
        while running or (waiting and not received):
            while waiting and len(running) < processes and not received:
                slot = min(set(range(processes)) - {worker.slot for worker in running})
                row = manifest.rows[waiting.pop(0)]
                running.append(_start(manifest_path, row, slot, processes, logs))
            time.sleep(_PAUSE)
            if received:
                _stop(running)
            for worker in [worker for worker in running if worker.process.poll() is not None]:
                running.remove(worker)
                worker.log.close()
                status = worker.process.returncode
                if status and not received:
                    failed.append(worker.row.number)
                shown.print(_line(worker, status), soft_wrap=True)
                bar.advance(task)
    return failed, received[0] if received else None


def _stop(running: list[_Worker]) -> None:
    """Tell the fits to save and end, and wait until they have."""
    # One signal each: a second one would interrupt the saving.
    for worker in running:
        worker.process.send_signal(signal.SIGTERM)
    for worker in running:
        worker.process.wait()


def _start(manifest: Path, row: Row, slot: int, processes: int, logs: Path) -> _Worker:
    threads = {"OMP_NUM_THREADS": str(max(1, limits.cores() // processes))}
    log = (logs / f"{manifest.stem}-{row.number}.log").open("ab")
    command = [sys.executable, "-m", "svl", "sweep", "fit", str(manifest), str(row.number)]
    # A session of its own: the terminal sends Ctrl-C to this process alone, which passes it on.
    variables = environment(threads | dict(os.environ) | _device(slot))
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    return _Worker(row, slot, process, log, time.monotonic())


def _device(slot: int) -> dict[str, str]:
    """Environment variables that give a process one of several GPUs."""
    import torch

    count = torch.cuda.device_count()
    return {"CUDA_VISIBLE_DEVICES": str(slot % count)} if count > 1 else {}


def _line(worker: _Worker, status: int) -> str:
    settings = worker.row.settings or {}
    named = ", ".join(
        f"{n}={shown_value(v)}" for n, v in zip(short_names(list(settings)), settings.values(), strict=True)
    )
    outcome = "done" if status == 0 else "stopped" if status in {128 + number for number in SIGNALS} else "FAILED"
    seconds = time.monotonic() - worker.began
    return f"{worker.row.number:>4} {outcome:8} {seconds:7.1f} s  {named}" + (f"  {worker.log.name}" if status else "")
