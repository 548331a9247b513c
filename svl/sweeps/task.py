"""One fit of a sweep, in this process: run by the workers on this machine and by the tasks of an array job."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from svl.cli.fit import run as run_command
from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.sweeps.expanding import resolved
from svl.sweeps.manifest import Manifest, Row, failure_file, is_done


def run(manifest: Manifest, number: int) -> int:
    """Train or resume the fit of a row; returns its exit status, 0 for a fit that is done already.

    A run directory is named by the fit's content, so that the same fit in another sweep is not trained again.

    Raises:
        SettingError: for a row that does not exist or a setting that cannot be used.
    """
    if not 0 <= number < len(manifest.rows):
        raise SettingError("ROW", number, f"0 to {len(manifest.rows) - 1}")
    row, sweep = manifest.rows[number], manifest.sweep
    with _recorded(manifest, row):
        if row.settings is not None and resolved(sweep, manifest.runs, number, row.settings).run != row.run:
            allowed = "the config from which the sweep was expanded, but it has changed: run or submit the sweep again"
            raise SettingError("command", " ".join(sweep.command), allowed)
        if not sweep.is_adaptive:
            return 0 if is_done(row) else _fit(manifest, row, [])
        from svl.sweeps.study import EarlyTermination, begin, end, objective, open_study, values

        study = open_study(manifest, number)
        begun = begin(study, manifest, row)
        if begun is None:
            return 0
        trial, settings = begun
        assert sweep.metric is not None
        row = resolved(sweep, manifest.runs, number, settings)
        trial.set_user_attr("run", row.run)
        early = EarlyTermination(trial, sweep.metric[0])
        status = 0 if is_done(row) else _fit(manifest, row, [early] if sweep.halving else [])
        if status == 0:
            end(study, trial, objective(values(Path(str(row.run))), sweep.metric[0]), early.has_ended)
        return status


def _fit(manifest: Manifest, row: Row, added: list) -> int:
    assert row.settings is not None and row.run is not None
    words = manifest.sweep.words(row.settings)
    return run_command(
        [*words, "--runs", manifest.runs, "--run_id", Path(row.run).name, "--ckpt_path", "auto"], added=added
    )


@contextmanager
def _recorded(manifest: Manifest, row: Row) -> Iterator[None]:
    """Write down the error of a fit that fails, and remove that of the attempt before."""
    path = failure_file(manifest, row)
    path.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        text = str(error) if isinstance(error, SettingError) else traceback.format_exc()
        try:
            with replacing(path) as file:
                file.write_text(text + "\n", encoding="utf-8")
        except OSError as storage_error:
            print(f"svl: {path}: {storage_error.strerror}", file=sys.stderr)
        raise
