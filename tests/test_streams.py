"""What reaches a terminal: nothing of other libraries' own messages, and no traceback where a reader has gone."""

import os
import subprocess
import sys

import pytest

CHATTY = """
import logging

from svl.models import MLP

logging.basicConfig(level=logging.INFO)
logging.getLogger("mine").info("this is mine")


def network(input_shape, outputs, width: int = 8):
    # As torch does where it finds CUDA but no GPU, W&B at each request, and Lightning about its trainer.
    logging.getLogger("torch.utils.cpp_extension").warning("No CUDA runtime is found, using CUDA_HOME=/usr/local/cuda")
    logging.getLogger("wandb").info("a request to the server")
    logging.getLogger("httpx").info("HTTP Request: POST")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").info("GPU available: False")
    return MLP(input_shape, outputs, width=width)
"""


def test_messages_of_other_libraries_do_not_reach_the_terminal_and_those_of_the_user_do(tiny, tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY)
    at = tiny.index("--model.network")
    words = [*tiny[:at], "--model.network", "chatty.network", *tiny[at + 4 :], "--wandb.mode", "offline"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "svl", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "INFO:mine:this is mine\n"


@pytest.mark.parametrize("words", [["theory"], ["configs", "list"], ["reproduce", "--list"], ["--help"]], ids=" ".join)
def test_a_reader_that_ends_early_is_no_error(words, tmp_path):
    command = f"'{sys.executable}' -m svl {' '.join(words)} | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stderr == "" and done.stdout.count("\n") == 1


@pytest.mark.parametrize("words", [["theory"], ["configs", "list"], ["reproduce", "--list"]], ids=" ".join)
def test_a_pipe_without_a_reader_is_no_traceback(words, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "svl", *words]
        done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
