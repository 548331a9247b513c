import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from svl.results import history


def some_rows(steps, **columns):
    """Two replicas a step, a metric that says which step it is."""
    step = np.repeat(np.array(steps, np.int64), 2)
    sizes, loss = [4096, "online"] * len(steps), (1 / (step + 3.0)).astype(np.float32)
    table = {"step": step, "samples": step * 128, "seed": 0, "data.size": sizes, "val/loss": loss}
    return pd.DataFrame({**table, "diverged": False, **columns})


def in_parts(run_dir, *parts):
    for steps in parts:
        history.append(run_dir, some_rows(steps))


def same_bits(left, right):
    assert left.dtype == right.dtype
    number = ~np.isnan(right)
    np.testing.assert_array_equal(np.isnan(left), ~number)
    unsigned = f"u{left.dtype.itemsize}"
    np.testing.assert_array_equal(left[number].view(unsigned), right[number].view(unsigned))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from([np.float32, np.float64]), rows=st.integers(1, 30))
def test_floats_come_back_bit_for_bit_however_the_rows_are_parted(tmp_path_factory, data, kind, rows):
    run_dir = tmp_path_factory.mktemp("run")
    width = np.dtype(kind).itemsize * 8
    values = data.draw(hnp.arrays(kind, rows, elements=st.floats(width=width)))
    table = pd.DataFrame({"step": np.arange(rows), "samples": 0, "seed": 0, "metric": values})
    cuts = sorted(data.draw(st.sets(st.integers(1, rows - 1)))) if rows > 1 else []
    for start, stop in zip([0, *cuts], [*cuts, rows], strict=True):
        history.append(run_dir, table.iloc[start:stop])
    same_bits(history.read(run_dir)["metric"].to_numpy(), values)
    history.finish(run_dir)
    same_bits(history.read(run_dir)["metric"].to_numpy(), values)


def test_types_are_the_same_during_and_after_the_fit(tmp_path):
    rows = some_rows([0, 10], lr=pd.Series([0.1, 1, 0.1, 1], dtype=object))
    history.append(tmp_path, rows)
    during = history.read(tmp_path)
    history.finish(tmp_path)
    after = history.read(tmp_path)
    pd.testing.assert_frame_equal(during, after)
    assert list(after["data.size"]) == ["4096", "online"] * 2
    assert {name: after[name].dtype for name in ("step", "samples", "val/loss", "lr", "diverged")} == {
        "step": np.int64,
        "samples": np.int64,
        "val/loss": np.float32,
        "lr": np.float64,
        "diverged": np.bool_,
    }


def test_the_csv_holds_the_same_numbers(tmp_path):
    in_parts(tmp_path, [0, 10], [20])
    history.finish(tmp_path)
    table = history.read(tmp_path)
    csv = pd.read_csv(tmp_path / "history.csv", dtype={"data.size": str, "val/loss": np.float32})
    pd.testing.assert_frame_equal(csv, table, check_dtype=False)
    assert not (tmp_path / "history.parts").exists()


def test_a_metric_that_is_measured_now_and_then_is_nan_elsewhere(tmp_path):
    in_parts(tmp_path, [0])
    history.append(tmp_path, some_rows([10], norm_ratio=np.float32(2)))
    ratio = history.read(tmp_path)["norm_ratio"]
    assert ratio.dtype == np.float32
    np.testing.assert_array_equal(ratio, [np.nan, np.nan, 2, 2])


def test_a_torn_part_is_no_part(tmp_path, monkeypatch):
    in_parts(tmp_path, [0, 10])
    before = history.read(tmp_path)

    def torn(table, path, **_):
        buffer = io.BytesIO()
        pq_write(table, buffer)
        path.write_bytes(buffer.getvalue()[:50])
        raise OSError("no space left on device")

    pq_write = pq.write_table
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(pq, "write_table", torn)
        in_parts(tmp_path, [20])
    # and what kill -9 leaves of a write, which no exception handler tidies
    (tmp_path / "history.parts" / ".000000000020.parquet.tmp").write_bytes(b"PAR1 torn")
    pd.testing.assert_frame_equal(history.read(tmp_path), before)
    in_parts(tmp_path, [20])
    history.finish(tmp_path)
    assert sorted(set(history.read(tmp_path)["step"])) == [0, 10, 20]
    assert {file.name for file in tmp_path.iterdir()} == {"history.parquet", "history.csv"}


@pytest.mark.parametrize("finished", [False, True], ids=["killed", "finished"])
@pytest.mark.parametrize("checkpoint", [-1, 0, 10, 25, 30, 40])
def test_resuming_gives_the_very_files_of_an_uninterrupted_run(tmp_path, checkpoint, finished):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    in_parts(straight, [0, 10], [20, 30], [40], [50])
    in_parts(resumed, [0], [10, 20, 30], [40])
    if finished:
        history.finish(resumed)
    history.discard_after(resumed, checkpoint)
    if checkpoint >= 0:
        assert history.read(resumed)["step"].max() == checkpoint // 10 * 10
    in_parts(resumed, *([step] for step in range(0, 60, 10) if step > checkpoint))
    for run_dir in (straight, resumed):
        history.finish(run_dir)
        history.finish(run_dir)
    for name in ("history.parquet", "history.csv"):
        assert (straight / name).read_bytes() == (resumed / name).read_bytes()


def test_a_kill_between_a_rewritten_part_and_the_old_one_doubles_no_row(tmp_path):
    in_parts(tmp_path, [0, 10, 20, 30])
    old = tmp_path / "history.parts" / "000000000030.parquet"
    content = old.read_bytes()
    history.discard_after(tmp_path, 10)
    old.write_bytes(content)
    assert list(history.read(tmp_path)["step"]) == [0, 0, 10, 10, 20, 20, 30, 30]
    history.discard_after(tmp_path, 10)
    assert list(history.read(tmp_path)["step"]) == [0, 0, 10, 10]


def test_a_kill_before_the_parts_are_removed_doubles_no_row(tmp_path):
    in_parts(tmp_path, [0], [10])
    part = tmp_path / "history.parts" / "000000000000.parquet"
    content = part.read_bytes()
    history.finish(tmp_path)
    part.parent.mkdir()
    part.write_bytes(content)
    assert list(history.read(tmp_path)["step"]) == [0, 0, 10, 10]
    in_parts(tmp_path, [20])
    assert list(history.read(tmp_path)["step"]) == [0, 0, 10, 10, 20, 20]


def test_rows_that_are_already_there_are_refused(tmp_path):
    in_parts(tmp_path, [0, 10])
    with pytest.raises(ValueError, match="already there"):
        in_parts(tmp_path, [10, 20])
    assert history.read(tmp_path)["step"].max() == 10


def test_nothing_logged(tmp_path):
    history.discard_after(tmp_path, 0)
    history.append(tmp_path, some_rows([]))
    history.finish(tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        history.read(tmp_path)
