"""Every task, strategy, callback and intervention on fake tensors of a GPU, in a process that believes in one."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUN = (
    "import ctypes, gc, sys; gc.disable(); ctypes.CDLL(sys.argv[1]); import pytest; sys.exit(pytest.main(sys.argv[2:]))"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    root = Path(importlib.util.find_spec("torch").origin).parent
    made = tmp_path_factory.mktemp("pretended") / "pretended.so"
    folders = [f"-I{root / 'include'}", f"-L{root / 'lib'}", f"-Wl,-rpath,{root / 'lib'}"]
    command = ["g++", "-std=c++20", "-shared", "-fPIC", "-O0", str(HERE / "pretended.cpp"), "-o", str(made), *folders]
    done = subprocess.run([*command, "-lc10", "-ltorch_cpu"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"it does not compile: {done.stderr[-200:]}")
    return made


@pytest.mark.slow
@pytest.mark.skipif(torch.version.cuda is not None, reason="needs PyTorch's CPU build: the other has its own devices")
def test_all_parts_run_on_a_pretended_gpu(library):
    """Every test of the module passes in some process: torch can crash where it cleans up after a pretended device."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    options = ["-n", "0", "-v", "-p", "no:cacheprovider", "--noconftest", str(HERE / "on_fake_tensors.py")]
    passed: list[str] = []
    while True:
        left_out = [word for name in passed for word in ("--deselect", name)]
        command = [sys.executable, "-c", RUN, str(library), *options, *left_out]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
        found = re.findall(r"^(\S+::.+?) PASSED", done.stdout, re.MULTILINE)
        passed += found
        has_crashed = done.returncode < 0 and " FAILED" not in done.stdout
        if not (has_crashed and found):
            break
    nothing_left = done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert done.returncode == 0 or (passed and nothing_left), done.stdout[-8000:] + done.stderr[-2000:]
    assert len(passed) > 50
