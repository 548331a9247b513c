"""SLURM: the job that this process is, submitting arrays, and asking what is queued."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from svl.errors import SettingError

_PATIENCE = 60
"""Seconds to wait for a SLURM command."""


def job() -> str | None:
    """This batch job's id, ``<array>_<task>`` in an array; ``None`` outside of SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def requeue(received: signal.Signals) -> str | None:
    """Have SLURM run this job again after a signal that announces its end; returns a line on what came of it.

    ``None`` where there is nothing to requeue: outside of a job, after Ctrl-C, and for a job that is already ending:
    what ``scancel`` ended stays ended, and what a preemption ended SLURM requeues itself.
    """
    own = job()
    if own is None or received == signal.SIGINT:
        return None
    if _ask("squeue", "--noheader", "--jobs", own, "--format", "%T").stdout.strip() != "RUNNING":
        return None
    done = _ask("scontrol", "requeue", own)
    if done.returncode == 0:
        return f"requeued as job {own}"
    reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    return f"job {own} could not be requeued ({reason}); the checkpoint is in place, for the same command to go on from"


def submit(
    script: str, arguments: Sequence[str], numbers: Sequence[int], options: Sequence[str], parallel: int | None = None
) -> list[tuple[str, int]]:
    """Submit array jobs whose tasks run ``script`` with ``arguments``, an offset and their number.

    The task's number is ``offset + SLURM_ARRAY_TASK_ID``: one array can have no more than the cluster's
    ``MaxArraySize`` tasks and no higher numbers, so that more of them are several arrays.
    Returns each array's job id and offset.

    Args:
        numbers: of the tasks.
        options: for ``sbatch``, over those in the script.
        parallel: tasks of an array that run at a time; all if ``None``.

    Raises:
        SettingError: if there is no SLURM here, or it refuses the job.
    """
    most, jobs, limit = _array_size(), [], f"%{parallel}" if parallel else ""
    for offset in range(0, max(numbers) + 1, most):
        tasks = [number - offset for number in numbers if 0 <= number - offset < most]
        if tasks:
            command = [
                "sbatch",
                "--parsable",
                f"--array={ranges(tasks)}{limit}",
                *options,
                script,
                *arguments,
                str(offset),
            ]
            os.environ["SVL"] = str(Path(sys.executable).with_name("svl"))
            done = _ask(*command)
            if done.returncode:
                raise SettingError("sbatch", " ".join(options), f"what SLURM accepts ({' '.join(done.stderr.split())})")
            jobs.append((done.stdout.strip().partition(";")[0], offset))
    return jobs


def queued(jobs: Sequence[str]) -> dict[tuple[str, int], str]:
    """State (``PENDING``, ``RUNNING``, ...) of every task of the array jobs that SLURM still has, by job and task."""
    if not jobs:
        return {}
    try:
        done = _ask("squeue", "--noheader", "--array", "--jobs", ",".join(jobs), "--format", "%F %K %T")
    except SettingError:
        return {}
    rows = (line.split() for line in done.stdout.splitlines())
    return {(array, int(task)): state for array, task, state in rows if task.isdigit()}


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as SLURM writes them: ``0-3,7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _array_size() -> int:
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config").stdout)
    return int(found[1]) if found else 1001


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingError("slurm", command[0], f"a machine that can reach SLURM ({error})") from None
