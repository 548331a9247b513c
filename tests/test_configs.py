"""Every shipped config runs, and every part that a config can name is in one."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

import svl.data

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/**/*.yaml"))
SHORT = [
    *(
        "--replicas.seeds",
        "2",
        "--trainer.max_steps",
        "64",
        "--trainer.log_every_n_steps",
        "32",
        "--model.compile",
        "never",
    ),
    *("--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_runs(svl, config, tmp_path):
    done = svl(tmp_path, "fit", "--config", str(config.relative_to(ROOT)), *SHORT)
    assert done.status == 0, done.err
    history = pd.read_parquet(done.path / "history.parquet")
    assert sorted(history["step"].unique()) == [0, 32, 64]
    assert history["val/loss"].notna().all()


def test_every_strategy_has_a_config():
    used = {yaml.safe_load(path.read_text())["data"]["class_path"] for path in CONFIGS}
    assert used == set(svl.data.__all__) - {"Axis", "ReuseDataModule"}
