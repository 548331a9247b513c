"""The Python API against the command line, and against a plain PyTorch loop."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from torch import nn
from torch.nn import functional as F

import svl
from svl.cli import main
from svl.errors import SettingError

STEPS, ARM = 20, "size=64, lr=0.5"


class Small(nn.Module):
    def __init__(self, input_shape, output_dim):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], output_dim)

    def forward(self, x):
        return self.layer(x)


def test_a_fit_equals_that_of_the_command_line(run, here):
    words = shlex.split(json.loads((run.path / "summary.json").read_text())["command"])
    assert main([*words[1:], "--run_id", "second"]) == 0
    again = svl.load("runs/api/second")
    pd.testing.assert_frame_equal(again.history, run.history)


def test_what_a_run_has(run):
    assert run.finished and run.seeds == [3, 4] and run.steps == [0, 5, 10, 15, 20]
    assert run.arms == ["size=32, lr=0.1", "size=32, lr=0.5", "size=64, lr=0.1", ARM]
    assert run.config["replicas"]["seeds"] == 2
    last = run.history[run.history["step"] == STEPS]
    table = run.table.set_index("arm")
    for arm, rows in last.groupby("arm"):
        assert table.loc[arm, "val/loss"] == pytest.approx(rows["val/loss"].mean(), rel=1e-6)
    assert {"norm_ratio", "norm_ratio.low", "samples_to_target"} <= set(table)
    assert "4 arms of 2 seeds, step 20, finished" in repr(run)


def test_a_replica_equals_a_plain_loop_at_every_kept_step(run):
    plain = run.network(ARM, seed=4, step=0).train()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    x, y = run.test_data(ARM, seed=4)
    for step in range(STEPS + 1):
        if step in run.steps:
            kept = run.network(ARM, seed=4, step=step)
            assert not kept.training
            torch.testing.assert_close(kept.state_dict(), plain.state_dict(), rtol=1e-4, atol=1e-6)
            rows = run.history.query(f"arm == '{ARM}' and seed == 4 and step == {step}")
            loss = F.soft_margin_loss(kept(x).squeeze(-1), y).item()
            assert rows["val/loss"].item() == pytest.approx(loss, rel=1e-5)
        if step < STEPS:
            inputs, targets = run.data(step, ARM, seed=4)
            optimizer.zero_grad()
            F.soft_margin_loss(plain(inputs).squeeze(-1), targets).backward()
            optimizer.step()


def test_an_epoch_has_each_example_once(run):
    epoch = torch.cat([run.data(step, ARM).inputs for step in range(4)])
    assert len(epoch) == 64
    later = torch.cat([run.data(step, ARM).inputs for step in range(4, 8)])
    assert sorted(epoch.tolist()) == sorted(later.tolist())


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        (lambda run, config: run.network(), "arm"),
        (lambda run, config: run.network("size=65, lr=0.5"), "arm"),
        (lambda run, config: run.network(ARM, seed=5), "seed"),
        (lambda run, config: run.network(ARM, step=7), "step"),
        (lambda run, config: run.data(STEPS, ARM), "step"),
        (lambda run, config: run.plot("val/f1"), "metric"),
        (lambda run, config: svl.load(run.path / "figures"), "RUN"),
        (lambda run, config: svl.compare([run]), "runs"),
        (lambda run, config: svl.fit(config, **{"data.sizes": 3}), "data.sizes"),
        (lambda run, config: svl.fit({"data": {"size": object()}}), "config.data.size"),
        (lambda run, config: svl.fit("configs/nope.yaml"), "--config"),
        (
            lambda run, config: svl.fit(config, **{"model.network": lambda shape, dim: Small(shape, dim)}),
            "model.network",
        ),
    ],
)
def test_what_is_not_there_is_one_line(run, here, config, ask, key):
    with pytest.raises(SettingError) as caught:
        ask(run, config)
    assert caught.value.key == key and "\n" not in str(caught.value)


def test_a_class_stands_for_its_import_path(here, config):
    run = svl.fit(config, **{"model.network": Small, "replicas.vary": None, "trainer.max_steps": np.int64(4)})
    assert run.arms == ["all"] and isinstance(run.network(), Small)
    assert run.config["model"]["network"]["class_path"].endswith("Small")


def test_runs_side_by_side(run, here):
    other = svl.fit(run.path / "config.yaml", **{"model.optimizer.momentum": 0.9})
    comparison = svl.compare([run, other.path])
    assert comparison.settings.to_dict("list") == {"model.optimizer.momentum": [0.0, 0.9]}
    assert len(comparison.table) == 8
    shown = [text.get_text() for text in comparison.plot("val/loss").findobj(Text)]
    assert sum("first: size=" in text for text in shown) == 4
    assert comparison._repr_html_().count("<svg") == 1


def test_a_notebook_shows_a_table_and_a_figure(run):
    shown = run._repr_html_()
    assert shown.count("<svg") == 1 and shown.count("<tr>") == 4 and "val/accuracy" in shown
    used = set(re.findall(r"var\((--[\w-]+)\)", shown))
    assert len(used) > 4 and used <= set(re.findall(r"(--[\w-]+): ", shown))


def test_a_strategy_that_waits_has_no_examples_without_training(here, config):
    config["data"]["class_path"], config["replicas"] = "AutomaticPhases", {"seeds": 1}
    config["data"]["init_args"] |= {"phases": 2, "first": 16, "last": 64}
    del config["data"]["init_args"]["size"]
    run = svl.fit(config)
    with pytest.raises(SettingError, match="do not depend on the accuracy"):
        run.data(0)


def test_snapshots_at_chosen_steps(here, config):
    at = {"class_path": "Snapshots", "init_args": {"at": [5, 10]}}
    run = svl.fit(config, trainer={"callbacks": [at]})
    assert run.steps == [5, 10, 20]
    at = {"class_path": "Snapshots", "init_args": {"at": "logarithmic"}}
    run = svl.fit(config, trainer={"callbacks": [at]}, **{"model.measure_at": "logarithmic"})
    assert run.steps == [0, 1, 2, 4, 8, 16, 20]
    at = {"class_path": "Snapshots", "init_args": {"at": [7]}}
    with pytest.raises(SettingError, match=r"got 7; allowed: measured steps; model.measure_at adds some: \[7\]"):
        svl.fit(config, trainer={"callbacks": [at]})


def test_importing_svl_alone_imports_nothing_heavy():
    code = "import sys, svl; assert svl.__version__; assert not {'torch', 'pandas', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
