import numpy as np
import pandas as pd
import pytest
import torch

from svl.reproduction.outcome import Outcome


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Fits this small gain nothing from a second core, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows(onsets, end=1000, every=10, batch=4, **columns):
    """Histories whose accuracy jumps from 0.5 to 1 at each seed's onset."""
    step = np.arange(0, end + 1, every)
    each = [
        pd.DataFrame({
            "step": step,
            "samples": batch * step,
            "seed": seed,
            **columns,
            "val/accuracy": np.where(step >= onset, 1.0, 0.5),
            "diverged": False,
        })
        for seed, onset in enumerate(onsets)
    ]  # fmt: skip
    return pd.concat(each).sort_values("step", kind="stable").reset_index(drop=True)


@pytest.fixture(scope="session")
def curves():
    return rows


@pytest.fixture(scope="session")
def outcome():
    """An outcome of arms by name, each with its seeds' onsets."""

    def make(grids=None, settings=None, **arms):
        return Outcome(
            "val/accuracy", 0.9, {name: rows(onsets) for name, onsets in arms.items()}, grids or {}, settings or {}
        )

    return make


@pytest.fixture(scope="session")
def onsets():
    """Log-normal onsets around a median, the same luck for equal numbers."""

    def draw(median, seeds=32, spread=0.3, number=0):
        return median * np.exp(np.random.default_rng(number).normal(0, spread, seeds))

    return draw
