"""``svl sweep run``, ``slurm``, ``status`` and ``fit``: many fits from one file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from svl import cluster
from svl.checks import check_whole
from svl.cli.parser import Parser
from svl.config_file import locate
from svl.errors import SettingError
from svl.sweeps import local
from svl.sweeps.manifest import Manifest, expansion
from svl.sweeps.status import counted, record, results, standings, table
from svl.sweeps.sweep_file import read

USAGE = {
    "run": "svl sweep run FILE [--processes N] [--count N] [--runs FOLDER] [--dry-run]",
    "slurm": "svl sweep slurm FILE [--only missing|failed] [--parallel N] [--script FILE] [--count N] [--runs FOLDER]"
    " [--dry-run] [-- SBATCH OPTIONS]",
    "status": "svl sweep status FILE [--count N] [--runs FOLDER]",
    "fit": "svl sweep fit MANIFEST ROW [OFFSET]",
}
HELP = f"""usage: {USAGE["run"]}
       {USAGE["slurm"]}
       {USAGE["status"]}

Run the fits of one file in W&B's sweep format, which `wandb sweep` and `wandb agent` accept too.

  run      on this machine, without a server; skips fits that are done and resumes fits that were stopped
  slurm    as an array job with a task for each fit that is not done, running or queued
  status   count the fits that are done, running, queued, failed and missing
"""


def main(words: Sequence[str]) -> int:
    """Run one of the subcommands; returns the exit status.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    command, *rest = words
    if command not in USAGE:
        raise SettingError("sweep", command, ", ".join(USAGE))
    end = rest.index("--") if "--" in rest else len(rest)
    before, options = rest[:end], rest[end + 1 :]
    parser = Parser(f"sweep {command}", USAGE[command])
    if command == "fit":
        parser.add_argument("manifest", type=Path)
        parser.add_argument("row", type=int)
        parser.add_argument("offset", type=int, nargs="?", default=0)
        given = parser.parse_args(before)
        return _fit(given.manifest, given.offset + given.row)
    parser.add_argument("file", metavar="FILE", help="a sweep file in W&B's format")
    parser.add_argument("--count", type=int, help="number of fits; default: run_cap, or all of a grid")
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="default: runs")
    if command != "status":
        parser.add_argument("--dry-run", action="store_true", help="list the fits, and run nothing")
    if command == "run":
        parser.add_argument("--processes", type=int, default=1, help="fits at a time; default: 1")
    if command == "slurm":
        parser.add_argument("--only", choices=("missing", "failed"), help="default: both")
        parser.add_argument("--parallel", type=int, help="tasks at a time; default: as many as SLURM allows")
        parser.add_argument("--script", default="slurm/array.sbatch", help="default: slurm/array.sbatch")
    given = parser.parse_args(before)
    if options and command != "slurm":
        parser.error(f"options after --: {' '.join(options)}")
    return {"run": _run, "slurm": _slurm, "status": _status}[command](given, options)


def _manifest(given: argparse.Namespace) -> Manifest:
    manifest = Manifest.expand(read(given.file, given.count), given.runs)
    # Not through rich, which would break long lines where the output is a pipe.
    print(expansion(manifest))
    return manifest


def _run(given: argparse.Namespace, options: Sequence[str]) -> int:
    check_whole("--processes", given.processes, 1)
    manifest = _manifest(given)
    current = standings(manifest)
    print(counted(current))
    numbers = [standing.row.number for standing in current if standing.state in ("missing", "failed")]
    if given.dry_run:
        Console().print(table(current))
        return 0
    failed, received = local.run(manifest, numbers, given.processes)
    after = standings(manifest)
    Console().print(results(manifest, after))
    print(f"{counted(after)}; runs: {manifest.folder.parent}")
    if received:
        print(f"stopped by {received.name}; give the same command to resume")
        return 128 + received
    return int(bool(failed))


def _slurm(given: argparse.Namespace, options: Sequence[str]) -> int:
    if given.parallel is not None:
        check_whole("--parallel", given.parallel, 1)
    manifest = _manifest(given)
    current = standings(manifest)
    print(counted(current))
    wanted = (given.only,) if given.only else ("missing", "failed")
    numbers = [standing.row.number for standing in current if standing.state in wanted]
    if not numbers:
        print(f"no fit is {' or '.join(wanted)}: nothing to submit")
        return 0
    script = locate(given.script, "--script")
    if given.dry_run:
        print(f"would submit {script} for {cluster.ranges(numbers)}")
        return 0
    path = manifest.write()
    (manifest.folder / local.LOGS).mkdir(exist_ok=True)
    logs = f"--output={manifest.folder / local.LOGS}/%A_%a.out"
    jobs = cluster.submit(
        script, [str(path)], numbers, [logs, f"--job-name={manifest.sweep.name}", *options], given.parallel
    )
    record(manifest, jobs)
    for job, _ in jobs:
        print(f"submitted job {job}")
    print(f"tasks: {cluster.ranges(numbers)}; for their state: svl sweep status {given.file}")
    return 0


def _status(given: argparse.Namespace, options: Sequence[str]) -> int:
    current = standings(_manifest(given))
    Console().print(table(current))
    print(counted(current))
    return 0


def _fit(path: Path, number: int) -> int:
    from svl.sweeps.task import run

    return run(Manifest.read(path), number)
