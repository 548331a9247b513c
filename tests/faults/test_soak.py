"""A minute of the soak: nothing lost, no traceback, one line for each wrong setting, nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTS = {"kills": 16, "disks": 6, "settings": 80}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_a_bounded_soak_finds_nothing(kind, tmp_path):
    script = Path(__file__).with_name("soak.py")
    command = [sys.executable, str(script), kind, str(COUNTS[kind]), str(tmp_path), "--seed", "1", "--seconds", "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["findings"] == {} and summary["done"] > 0
    if kind == "settings":
        assert summary["wrong"] > summary.get("accepted", 0) > 0
