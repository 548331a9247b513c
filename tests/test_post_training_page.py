"""What the page about post-training prints runs as printed."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "post-training.md").read_text(encoding="utf-8")
QUIET = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false", "--model.compile", "never"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files, and a corpus."""
    for _, content in re.findall(r"^```(python|yaml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        named = re.match(r"# ([\w.]+)\n", content)
        if named:
            (tmp_path / named[1]).write_text(content, encoding="utf-8")
    notes = "\n".join(f"item {number}: {number * number % 9973} of {number * 7919 % 9973}" for number in range(2500))
    (tmp_path / "notes").write_text(notes, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def fit(svl, folder):
    """Runs the command of a number as printed, with some more words."""
    commands = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]

    def run(number, *more):
        name, *words = shlex.split(commands[number])
        assert name == "svl"
        done = svl(folder, *words, *QUIET, *more)
        assert done.status == 0, done.err
        return pd.read_parquet(done.path / "history.parquet")

    return run


@pytest.mark.slow
def test_the_second_stage_begins_where_the_first_ended(fit):
    few = ("--trainer.max_steps", "30", "--trainer.log_every_n_steps", "30", "--replicas.seeds", "2")
    first = fit(0, *few)
    second = fit(
        1, *few, "--replicas.vary.data.size", "[8, population]", "--replicas.vary.model.optimizer.lr", "[0.003]"
    )
    begun, ended = second[second["step"] == 0], second[second["step"] == 30]
    # On another text than the first's, but better than a network that knows nothing, whose perplexity is 256.
    assert first["val/perplexity"].max() > 200 > begun["val/perplexity"].max()
    assert ended["val/perplexity"].max() < begun["val/perplexity"].min()
    few, population = (ended[ended["data.size"].astype(str) == size] for size in ("8", "population"))
    assert (few["memorised/share"] > 0).all() and population["memorised/share"].isna().all()


@pytest.mark.slow
def test_answers_are_learned_from_the_answers_tokens(fit):
    last = fit(2, "--replicas.seeds", "1", "--replicas.vary.data.size", "[population]").query("step == 400")
    assert last["generated/accuracy"].min() > 0.9
