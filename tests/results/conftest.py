import itertools

import numpy as np
import pandas as pd
import pytest

from svl.results.arm_label import arm_label


def learning_curves(vary, onset, seeds=8, steps=2000, every=50, batch=128, spread=0.2, norm_ratio=True):
    """Logistic learning curves from 0.5 to 1; ``onset`` gives the median step of the jump from the settings."""
    generator = np.random.default_rng(0)
    luck = generator.normal(0, spread, seeds)
    step = np.arange(0, steps + 1, every)
    replicas = []
    for values in itertools.product(*vary.values()):
        settings = dict(zip(vary, values, strict=True))
        for seed in range(seeds):
            jump = onset(settings) * np.exp(luck[seed] + generator.normal(0, spread / 2))
            accuracy = np.float32(0.5 + 0.5 / (1 + np.exp(-(step - jump) / (0.05 * jump))))
            metrics = {"val/accuracy": accuracy, "val/loss": np.float32(1.4) * (1 - accuracy), "diverged": False}
            if norm_ratio:
                metrics["norm_ratio"] = accuracy * 3
            counters = {"step": step, "samples": step * batch, "arm": arm_label(settings), "seed": seed}
            replicas.append(pd.DataFrame({**counters, **{k: [v] * len(step) for k, v in settings.items()}, **metrics}))
    return pd.concat(replicas).sort_values("step", kind="stable").reset_index(drop=True)


@pytest.fixture(scope="session")
def curves_of():
    return learning_curves


@pytest.fixture(scope="session")
def two_arms():
    return learning_curves({"data.size": [4096, "online"]}, lambda s: 500 if s["data.size"] == 4096 else 1100)


@pytest.fixture(scope="session")
def nine_arms():
    onset = {4096: 300, 16384: 500, "online": 900}
    vary = {"data.size": [4096, 16384, "online"], "model.optimizer.lr": [0.1, 0.3, 1.0]}
    return learning_curves(vary, lambda s: onset[s["data.size"]] / s["model.optimizer.lr"] ** 0.5)
