"""Shapes and types in signatures are checked in every test; a tiny fit for tests of the whole command."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

# The tower lets a whole number stand where a float is asked for, as type checkers do.
install_import_hook(["svl"], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# Times vary with what else the machine does.
hypothesis.settings.register_profile("svl", deadline=None)
hypothesis.settings.load_profile("svl")

# A fit of a fraction of a second.
TINY = [
    *("fit", "--experiment", "tiny", "--data", "Subset", "--data.task", "Parity"),
    *("--data.task.dim", "8", "--data.task.degree", "2", "--data.size", "64", "--data.batch_size", "16"),
    *("--data.test_size", "64", "--model.network", "MLP", "--model.network.width", "8", "--model.compile", "never"),
    *("--replicas.seeds", "2", "--trainer.max_steps", "20", "--trainer.log_every_n_steps", "5"),
    *("--trainer.callbacks", "[NormRatio]", "--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]


@dataclass
class Outcome:
    """What a command came to; ``path`` is the last line that it printed."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / self.out.splitlines()[-1]


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    return TINY


@pytest.fixture(scope="session")
def svl():
    """Runs a command in this process, in the working directory that is its first argument."""
    from svl.cli import main

    def run(folder: Path, *words: str) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(words))
        return Outcome(status, out.getvalue(), err.getvalue(), Path(folder))

    return run


@pytest.fixture(scope="session")
def killed():
    """Runs fits that are stopped or killed at moments (see tests/killer.py).

    Returns their exit statuses, the last two of which are those of the attempt that was left in peace and of the fit
    that always was, and the run directories of both.
    """

    def run(folder: Path, moments: list, words: list[str]) -> tuple[list[int], Path, Path]:
        folder.mkdir()
        command = [sys.executable, str(Path(__file__).with_name("killer.py")), json.dumps(moments), json.dumps(words)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        (own,), (quiet,) = (folder / "runs" / "tiny").iterdir(), (folder / "quiet" / "runs" / "tiny").iterdir()
        return json.loads(done.stdout.splitlines()[-1]), own, quiet

    return run


class Rule:
    """A strategy with its settings, as the training step sees it."""

    def __init__(self, data, seeds=1, first_seed=0, vary=None, total_steps=100, arms=None):
        import torch

        from svl.replicas import Replicas

        self.data, self.torch = data, torch
        self.replicas = Replicas(seeds, first_seed, vary, arms)
        data.schedule(total_steps, 1)
        self.settings = data.settings_of(self.replicas)
        self.state = data.initial_state(self.settings)
        self.size = data.examples_at_once(self.settings, 0)
        self.key = self.replicas.key()

    def draw(self, step, micro=0):
        """One micro-batch, as the strategy is asked for it."""
        from svl.data.draw import Draw

        step, micro = self.torch.tensor(step), self.torch.tensor(micro)
        return Draw(self.settings, self.state, self.key, step, micro, self.size)

    def at(self, step, micro=0):
        """Indices ``[replica, batch]`` of one micro-batch."""
        return self.data.indices(self.draw(step, micro))

    def stream(self, steps):
        """Indices ``[replica, step * batch]`` of several steps, in order."""
        return self.torch.cat(
            [self.at(step) for step in (range(steps) if isinstance(steps, int) else steps)], 1
        ).numpy()

    def batch(self, step, micro=0):
        """Inputs, targets and weights of one micro-batch."""
        return self.data.batch(self.draw(step, micro))

    def inputs(self, steps):
        """Inputs ``[replica, step * batch, dim]`` and targets of several steps, in order."""
        batches = [self.batch(step) for step in steps]
        return self.torch.cat([x for x, _, _ in batches], 1), self.torch.cat([y for _, y, _ in batches], 1)


@pytest.fixture(scope="session")
def rule():
    return Rule
