"""What the pages of the guide print can be run."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parents[1] / "docs"
QUIET = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize(
    ("page", "number", "config"),
    [
        ("strategies.md", 0, "configs/quickstart.yaml"),
        ("experiments.md", 0, None),
        ("experiments.md", 1, "configs/quickstart.yaml"),
        ("losses.md", 0, "configs/digits/mlp.yaml"),
        ("optimizers.md", 0, "configs/quickstart.yaml"),
        ("optimizers.md", 1, "configs/parity/transformer.yaml"),
        ("interventions.md", 0, "configs/quickstart.yaml"),
        ("measurements.md", 0, "configs/quickstart.yaml"),
    ],
)
def test_settings_are_accepted(svl, tmp_path, page, number, config):
    (tmp_path / "page.yaml").write_text(blocks(page, "yaml")[number])
    words = [*(["--config", config] if config else []), "--config", "page.yaml", "--replicas.seeds", "1", "--explain"]
    if "arms:" in (tmp_path / "page.yaml").read_text():
        words += ["--replicas.vary", "null"]  # the config's own
    done = svl(tmp_path, "fit", *words, *QUIET)
    assert done.status == 0, done.err


def test_every_block_of_settings_is_tried():
    counts = {"strategies.md": 1, "experiments.md": 2, "losses.md": 1, "optimizers.md": 2, "interventions.md": 1}
    for page, count in {**counts, "measurements.md": 1, "recipes/transfer.md": 1, "recipes/sweeps.md": 1}.items():
        assert len(blocks(page, "yaml")) == count, page


def test_a_fit_begins_with_the_weights_that_another_kept(svl, tmp_path):
    words = shlex.split(blocks("recipes/transfer.md", "sh")[0])[1:]
    short = ["--trainer.max_steps", "513", "--replicas.seeds", "1", "--replicas.vary.data.size", "[8192]"]
    first = svl(tmp_path, *words, *short, "--replicas.vary.model.optimizer.lr", "[3.0]", *QUIET)
    assert first.status == 0, first.err
    settings = yaml.safe_load(blocks("recipes/transfer.md", "yaml")[0])
    assert settings["model"]["init"].pop("arm") == "size=8192, lr=3"
    settings["model"]["init"]["run"] = str(first.path)
    (tmp_path / "init.yaml").write_text(yaml.safe_dump(settings))
    second = svl(tmp_path, *words, "--config", "init.yaml", *short, "--trainer.max_steps", "2", *QUIET)
    assert second.status == 0, second.err


def test_the_sweep_of_the_page_is_the_shipped_one():
    shown = yaml.safe_load(blocks("recipes/sweeps.md", "yaml")[0])
    shipped = DOCS.parent / "configs" / "sweeps" / "width.yaml"
    assert shown == yaml.safe_load(shipped.read_text(encoding="utf-8"))
