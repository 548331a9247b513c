"""SLURM: this process's job, requeueing it, submitting array jobs, and asking what is queued."""

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
    """The id of the job that this process belongs to, ``<array>_<task>`` in an array; ``None`` outside of SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def requeue(received: signal.Signals) -> str | None:
    """Ask SLURM to run this job again, after a signal that announces its end.

    Nothing is requeued outside of a job, after Ctrl-C, and for a job that is already ending: a job that ``scancel``
    ended stays ended, and a preempted job is requeued by SLURM itself.

    Returns:
        a line that says whether the job was requeued; ``None`` where there was nothing to requeue.
    """
    current = job()
    if current is None or received == signal.SIGINT:
        return None
    if _ask("squeue", "--noheader", "--jobs", current, "--format", "%T").stdout.strip() != "RUNNING":
        return None
    done = _ask("scontrol", "requeue", current)
    if done.returncode == 0:
        return f"requeued as job {current}"
    reason = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    return f"job {current} could not be requeued ({reason}); the checkpoint is written: give the same command to resume"


def submit(
    script: str, arguments: Sequence[str], numbers: Sequence[int], options: Sequence[str], parallel: int | None = None
) -> list[tuple[str, int]]:
    """Submit array jobs whose tasks run ``script`` with ``arguments`` and an offset.

    The number of a task is ``offset + SLURM_ARRAY_TASK_ID``. The number and the indices of an array's tasks are limited
    by the cluster's ``MaxArraySize``, so that many tasks become several arrays.

    Args:
        script: the batch script.
        arguments: of the script, before the offset.
        numbers: the numbers of the tasks.
        options: for ``sbatch``, which override those in the script.
        parallel: how many tasks of an array run at a time; all if ``None``.

    Returns:
        the job id and the offset of each array.

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
    """The state (``PENDING``, ``RUNNING``, ...) of each task that is still in SLURM's queue, by array job and task."""
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
    match = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config").stdout)
    return int(match[1]) if match else 1001


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingError("slurm", command[0], f"a machine that can reach SLURM ({error})") from None
