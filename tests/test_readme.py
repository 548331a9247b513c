"""What the README prints does what it says."""

import re
import shlex
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()
QUIET = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_command_runs_from_any_directory(svl, tmp_path):
    command = next(line for line in blocks("sh")[1].splitlines() if "max_steps 50" in line)
    done = svl(tmp_path, *shlex.split(command, comments=True)[1:], *QUIET)
    assert done.status == 0, done.err
    assert {path.name for path in done.path.iterdir()} >= {
        "config.yaml",
        "history.parquet",
        "history.csv",
        "summary.json",
    }
    assert (done.path / "figures" / "curves.png").stat().st_size > 10_000


def test_the_sweep_is_accepted(svl, tmp_path):
    command = next(line for block in blocks("sh") for line in block.splitlines() if line.startswith("svl sweep run"))
    done = svl(tmp_path, *shlex.split(command, comments=True)[1:], "--dry-run")
    assert done.status == 0 and "3 fits, each of 6 arms x 16 seeds: 288 training runs" in done.out


def test_every_command_is_accepted(svl, tmp_path):
    for line in blocks("sh")[1].splitlines():
        words = shlex.split(line, comments=True)[1:]
        if "--ckpt_path" in words:
            continue  # needs a run: see the tests of resuming
        done = svl(tmp_path, *words, *QUIET, "--trainer.max_steps", "2", "--replicas.seeds", "1")
        assert done.status == 0, (line, done.err)


def test_the_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (block,) = blocks("python")
    names: dict = {}
    exec(block, names)
    assert names["inputs"].shape == (128, 20)
    assert names["run"].arms[0] == "size=8192, lr=0.3" and names["network"].layers[0].weight.shape == (64, 20)
