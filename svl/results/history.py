"""The history of a run directory: part files while the fit runs, one table when it is finished.

``history.parts/<last step, 12 digits>.parquet`` holds the rows since the previous part; every part appears completely
or not at all. ``finish`` joins the parts to ``history.parquet`` and ``history.csv``.
"""

from __future__ import annotations

import shutil
from numbers import Number
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from svl.results.atomic import replacing, sync

PARTS, TABLE, CSV = "history.parts", "history.parquet", "history.csv"


def append(run_dir: str | Path, rows: pd.DataFrame) -> None:
    """Add rows to the history of ``run_dir``, all or none.

    Args:
        rows: one per (logged step, replica), in the order of steps, all later than the existing rows.

    Raises:
        ValueError: if the history already reaches the first of these steps.
    """
    run_dir = Path(run_dir)
    if rows.empty:
        return
    _reopen(run_dir)
    parts = _parts(run_dir)
    if parts and rows["step"].min() <= _last_step(parts[-1]):
        raise ValueError(f"rows from step {rows['step'].min()} on, but {parts[-1]} is already there: discard it first")
    _write(pa.Table.from_pandas(_typed(rows), preserve_index=False), _part(run_dir, int(rows["step"].max())))


def discard_after(run_dir: str | Path, step: int) -> None:
    """Delete the rows later than ``step``, so that a fit resumed there can append; reopens a finished history."""
    run_dir = Path(run_dir)
    _reopen(run_dir)
    for part in _parts(run_dir):
        if _last_step(part) > step:
            table = pq.read_table(part)
            kept = table.filter(pc.field("step") <= step)
            if kept.num_rows:
                _write(kept, _part(run_dir, _greatest(kept)))
            part.unlink()


def finish(run_dir: str | Path) -> None:
    """Join the parts to ``history.parquet`` and ``history.csv``; does nothing if they are joined or there are none."""
    run_dir = Path(run_dir)
    parts = _parts(run_dir)
    if parts and not (run_dir / TABLE).exists():
        table = _joined(parts, run_dir)
        with replacing(run_dir / CSV) as path:
            pyarrow.csv.write_csv(table, path)
        _write(table, run_dir / TABLE)
    shutil.rmtree(run_dir / PARTS, ignore_errors=True)


def read(run_dir: str | Path) -> pd.DataFrame:
    """The history so far of a running, interrupted or finished fit; floats are exact to the bit.

    Raises:
        FileNotFoundError: if ``run_dir`` has no history.
    """
    run_dir = Path(run_dir)
    if not (run_dir / TABLE).exists():
        try:
            return _joined(_parts(run_dir), run_dir).to_pandas()
        except FileNotFoundError:
            # The fit may have finished after its parts were listed and before they were read.
            if not (run_dir / TABLE).exists():
                raise
    return pq.read_table(run_dir / TABLE).to_pandas()


def _part(run_dir: Path, step: int) -> Path:
    return run_dir / PARTS / f"{step:012d}.parquet"


def _parts(run_dir: Path) -> list[Path]:
    return sorted((run_dir / PARTS).glob("[0-9]*.parquet"))


def _last_step(part: Path) -> int:
    return int(part.stem)


def _greatest(table: pa.Table) -> int:
    return pc.max(table["step"]).as_py()


def _joined(parts: list[Path], run_dir: Path) -> pa.Table:
    """The parts in order; the filter skips rows twice present where a kill left a part and its rewritten version."""
    if not parts:
        raise FileNotFoundError(f"no history under {run_dir}")
    tables, last = [], -1
    for part in parts:
        tables.append(pq.read_table(part).filter(pc.field("step") > last))
        last = _last_step(part)
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _reopen(run_dir: Path) -> None:
    """Turn a finished history back into a part; any other parts are leftovers of a kill while it was joined."""
    finished, parts = run_dir / TABLE, run_dir / PARTS
    (run_dir / CSV).unlink(missing_ok=True)
    if finished.exists():
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        finished.replace(_part(run_dir, _greatest(pq.read_table(finished, columns=["step"]))))
        sync(parts)
        sync(run_dir)


def _write(table: pa.Table, path: Path) -> None:
    # A dictionary may merge 0.0 with -0.0, so only integers and strings get one.
    repetitive = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd", use_dictionary=repetitive)


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Mixed columns become numeric if all values are numbers, else text: ``"4096"`` next to ``"online"``."""
    mixed = {name: column for name, column in rows.items() if column.dtype == object}
    return rows.assign(
        **{
            str(name): pd.to_numeric(column) if all(isinstance(value, Number) for value in column) else column.map(str)
            for name, column in mixed.items()
        }
    )
