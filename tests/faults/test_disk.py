"""A disk that is full or cannot be written: one line, and the last checkpoint stays whole."""

import os
import shlex
import subprocess
import sys

import pandas as pd
import pytest

# Another process's disk: seen by what runs inside alone, and gone with it.
INSIDE = """
set -e
mkdir disk && mount -t tmpfs -o size=2m tmpfs disk
fit() {{ (cd disk && "$PYTHON" -m svl {words} "$@") ; }}
status() {{ echo "$?" >> statuses; }}
( set +e; fit 2> full.err > full.out; status ) &
until ls disk/runs/tiny/*/history.parts/*.parquet > /dev/null 2>&1; do sleep 0.05; done
dd if=/dev/zero of=disk/filler bs=1k > /dev/null 2>&1 || true
wait
mount -o remount,ro disk
fit --ckpt_path last 2> read_only.err > read_only.out || status
fit 2> new.err > new.out || status
mount -o remount,rw disk && rm disk/filler
fit --ckpt_path last 2> resumed.err > resumed.out && status
cp -r disk/runs kept
"""


def can_mount():
    command = ["unshare", "--map-root-user", "--mount", "true"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="needs a kernel that lets users mount a disk of their own (unshare)")
def test_a_disk_that_fills_up_ends_the_fit_in_one_line_and_it_goes_on_when_there_is_room(svl, tiny, tmp_path):
    own = ["--trainer.max_steps", "400", "--trainer.log_every_n_steps", "10", "--checkpoint.every_n_steps", "10"]
    words = [*tiny, *own, "--replicas.seeds", "1", "--model.network.width", "256"]
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", INSIDE.format(words=shlex.join(words))]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done, [path.read_text() for path in tmp_path.glob("*.err")])
    assert (tmp_path / "statuses").read_text().split() == ["1", "2", "2", "0"]

    (run,) = (tmp_path / "kept" / "tiny").iterdir()
    name = f"runs/tiny/{run.name}"
    full = (tmp_path / "full.err").read_text()
    assert full.startswith(f"svl: error: {name}") and full.count("\n") == 1
    assert "No space left on device" in full
    assert full.endswith(f"resume with --ckpt_path {name}/checkpoints/last.ckpt\n")
    for file, key in (("read_only", "ckpt_path"), ("new", "runs")):
        said = (tmp_path / f"{file}.err").read_text()
        assert said.startswith(f"svl: error: {key}: got 'runs/tiny") and said.count("\n") == 1
        assert "Read-only file system" in said
    undisturbed = svl(tmp_path, *words)
    histories = [run / "history.parquet", undisturbed.path / "history.parquet"]
    pd.testing.assert_frame_equal(*map(pd.read_parquet, histories))
