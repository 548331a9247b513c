"""What ``svl sweep`` does: run the fits of a sweep file here, submit them to SLURM, or show how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svl import cluster
from svl.config_file import locate
from svl.console import console
from svl.sweeps import local
from svl.sweeps.manifest import Manifest, expansion
from svl.sweeps.outline import outline
from svl.sweeps.status import counted, record, standings, table
from svl.sweeps.sweep_file import read

UNDONE = ("missing", "failed")


def expand(file: str, count: int | None, runs: str, is_dry: bool = False) -> Manifest:
    """The sweep of a file, whose number of fits is printed.

    Args:
        file: the sweep file.
        count: number of fits; ``None`` for what the file says.
        runs: the folder of all run directories.
        is_dry: whether the fits are only listed: where none has begun, their settings are not checked, which is quick.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    sweep = read(file, count)
    if is_dry and not Manifest(sweep, runs, []).folder.parent.exists():
        manifest = outline(sweep, runs)
    else:
        from svl.sweeps.expanding import expand as resolve_all  # with torch and Lightning, which take seconds

        manifest = resolve_all(sweep, runs)
    # Not through rich, which would break long lines where the output is a pipe.
    print(expansion(manifest))
    return manifest


def run(manifest: Manifest, processes: int, is_dry: bool) -> int:
    """Train the fits that are not done, on this machine; returns the exit status.

    Args:
        processes: number of fits at a time.
        is_dry: whether to list the fits only.
    """
    current = standings(manifest)
    print(counted(current))
    if is_dry:
        console().print(table(current))
        if any(row.settings and row.run is None for row in manifest.rows):
            print("the settings of each fit are checked when the sweep runs, and by svl sweep status")
        return 0
    numbers = [standing.row.number for standing in current if standing.state in UNDONE]
    failed, received = local.run(manifest, numbers, processes)
    after = standings(manifest)
    from svl.sweeps.outcomes import results  # with pandas and Optuna

    console().print(results(manifest, after))
    print(f"{counted(after)}; runs: {manifest.folder.parent}")
    if received:
        print(f"stopped by {received.name}; give the same command to resume")
        return 128 + received
    return int(bool(failed))


def submit(
    manifest: Manifest,
    file: str,
    wanted: Sequence[str],
    script: str,
    options: Sequence[str],
    parallel: int | None,
    is_dry: bool,
) -> int:
    """Submit an array job with a task for each fit in one of some states; returns the exit status.

    Args:
        file: the sweep file, named in what is printed.
        wanted: the states.
        script: of the job.
        options: for ``sbatch``, over those in the script.
        parallel: number of tasks at a time; as many as SLURM allows if ``None``.
        is_dry: whether to print only what would be submitted.

    Raises:
        SettingError: if there is no such script, no SLURM here, or it refuses the job.
    """
    current = standings(manifest)
    print(counted(current))
    numbers = [standing.row.number for standing in current if standing.state in wanted]
    if not numbers:
        print(f"no fit is {' or '.join(wanted)}: nothing to submit")
        return 0
    script = locate(script, "--script")
    if is_dry:
        print(f"would submit {script} for {cluster.ranges(numbers)}")
        return 0
    path = manifest.write()
    (manifest.folder / local.LOGS).mkdir(exist_ok=True)
    logs = f"--output={manifest.folder / local.LOGS}/%A_%a.out"
    options = [logs, f"--job-name={manifest.sweep.name}", *options]
    jobs = cluster.submit(script, [str(path)], numbers, options, parallel)
    record(manifest, jobs)
    for job, _ in jobs:
        print(f"submitted job {job}")
    print(f"tasks: {cluster.ranges(numbers)}; to see how far they are: svl sweep status {file}")
    return 0


def status(manifest: Manifest) -> int:
    """Print a line for each fit, and how many are in each state; returns the exit status."""
    current = standings(manifest)
    console().print(table(current))
    print(counted(current))
    return 0


def fit(manifest: Path, number: int) -> int:
    """Train one fit of a manifest in this process; returns its exit status."""
    from svl.sweeps import task  # with torch and Lightning

    return task.run(Manifest.read(manifest), number)
