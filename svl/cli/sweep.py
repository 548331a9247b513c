"""``svl sweep run``, ``slurm``, ``status`` and ``fit``: many fits from one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl.checks import check_whole
from svl.cli.parser import Parser
from svl.errors import SettingError

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
        from svl.sweeps.commands import fit

        return fit(given.manifest, given.offset + given.row)
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
    if command == "run":
        check_whole("--processes", given.processes, 1)
    if command == "slurm" and given.parallel is not None:
        check_whole("--parallel", given.parallel, 1)
    from svl.sweeps import commands

    manifest = commands.expand(given.file, given.count, given.runs, command == "run" and given.dry_run)
    if command == "run":
        return commands.run(manifest, given.processes, given.dry_run)
    if command == "status":
        return commands.status(manifest)
    wanted = (given.only,) if given.only else commands.UNDONE
    return commands.submit(manifest, given.file, wanted, given.script, options, given.parallel, given.dry_run)
