"""What the README prints does what it says."""

import re
import shlex
import sys
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


def test_every_command_is_accepted(svl, tmp_path):
    for line in blocks("sh")[1].splitlines():
        words = shlex.split(line, comments=True)[1:]
        if "--ckpt_path" in words:
            continue  # needs a run: see the tests of resuming
        done = svl(tmp_path, *words, *QUIET, "--trainer.max_steps", "2", "--replicas.seeds", "1")
        assert done.status == 0, (line, done.err)


def test_the_task_of_the_readme_works_in_a_config(svl, tmp_path, monkeypatch):
    (tmp_path / "mypackage.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--data", "Subset", "--data.task", "mypackage.Majority", "--data.size", "online", "--model.network", "MLP"]
    words += [
        "--model.optimizer",
        "SGD",
        "--model.optimizer.lr",
        "0.5",
        "--model.compile",
        "never",
        "--replicas.seeds",
        "2",
    ]
    done = svl(tmp_path, "fit", *words, "--trainer.max_steps", "60", "--trainer.log_every_n_steps", "20", *QUIET)
    sys.modules.pop("mypackage", None)
    assert done.status == 0, done.err
    lines = (done.path / "history.csv").read_text().splitlines()
    accuracy = lines[0].split(",").index('"val/accuracy"' if '"val/accuracy"' in lines[0] else "val/accuracy")
    assert float(lines[-1].split(",")[accuracy]) > 0.85
