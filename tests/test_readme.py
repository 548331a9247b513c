"""What the README and the pages about experiments and notebooks print does what it says."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
NOTEBOOK = (ROOT / "docs" / "recipes" / "notebook.md").read_text(encoding="utf-8")
QUIET = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


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


@pytest.mark.parametrize("page", [README, EXPERIMENTS], ids=["README", "experiments"])
def test_every_command_is_accepted(svl, tmp_path, page):
    fits = [line for block in blocks("sh", page) for line in block.splitlines() if line.startswith("svl fit ")]
    assert len(fits) > 1
    for line in fits:
        words = shlex.split(line, comments=True)[1:]
        if "--ckpt_path" in words:
            continue  # needs a run: see the tests of resuming
        done = svl(tmp_path, *words, *QUIET, "--trainer.max_steps", "2", "--replicas.seeds", "1")
        assert done.status == 0, (line, done.err)


def test_the_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (block,) = blocks("python")
    assert blocks("python", NOTEBOOK) == [block]
    names: dict = {}
    exec(block, names)
    assert names["inputs"].shape == (128, 20)
    assert names["run"].arms[0] == "size=8192, lr=0.3" and names["network"].layers[0].weight.shape == (64, 20)


def test_the_config_of_the_page_about_experiments_is_the_quickstart():
    shown = yaml.safe_load(next(block for block in blocks("yaml", EXPERIMENTS) if "experiment:" in block))
    config = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8"))
    for key in ("experiment", "replicas", "target", "trainer"):
        assert shown[key] == config[key]
    for key in ("task", "batch_size"):
        assert shown["data"]["init_args"][key] == config["data"]["init_args"][key]


def test_the_papers_have_as_many_configs_as_it_says():
    papers = [
        path for paper in ("liu2026", "kotha2025", "yan2025") for path in (ROOT / "configs" / paper).glob("*.yaml")
    ]
    assert f"It has {len(papers)} of their figures" in README
