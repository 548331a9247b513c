"""The claim that the best arm at the end of a run is in between, on histories with known ends."""

import numpy as np
import pandas as pd
import pytest

from svl.errors import SettingError
from svl.reproduction import claims
from svl.reproduction.claims.optimum_at_end import OptimumAtEnd
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Verdict


def history(ends, start, metric="generated/accuracy"):
    """Two measurements a seed: one on the way, and the end."""
    parts = [
        pd.DataFrame({
            "step": [0, 10, 20], "samples": [0, 40, 80], "seed": seed, metric: [0.0, start, end], "diverged": False
        })
        for seed, end in enumerate(ends)
    ]  # fmt: skip
    return pd.concat(parts).sort_values("step", kind="stable").reset_index(drop=True)


def outcome(metric="generated/accuracy", start=None, seeds=32, **means):
    noise = np.random.default_rng(0)
    arms = {
        name: history(mean + noise.normal(0, 0.05, seeds), (start or {}).get(name, 0.0), metric)
        for name, mean in means.items()
    }
    return Outcome(metric, 0.9, arms)


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ((0.2, 0.8, 0.6, 0.3), Verdict.REPRODUCED),
        ((0.2, 0.4, 0.6, 0.9), Verdict.NOT_REPRODUCED),
        ((0.9, 0.7, 0.4, 0.1), Verdict.NOT_REPRODUCED),
        ((0.2, 0.5, 0.6, 0.6), Verdict.UNDECIDED),
    ],
)
def test_the_ends_decide(means, verdict):
    claim = OptimumAtEnd(list("abcd"))
    data = outcome(**dict(zip("abcd", means, strict=True)))
    assert claim.test(data).verdict is verdict
    # What happens on the way does not matter.
    early = outcome(start={"a": 1.0, "d": 1.0}, **dict(zip("abcd", means, strict=True)))
    assert claim.test(early) == claim.test(data)


def test_the_effect_is_that_of_seeds_on_which_the_arm_was_not_chosen():
    data = outcome(a=0.2, b=0.8, c=0.3)
    ends = {name: rows[rows["step"] == 20]["generated/accuracy"].to_numpy() for name, rows in data.arms.items()}
    found = OptimumAtEnd(["a", "b", "c"]).test(data)
    assert found.estimate.value == pytest.approx((ends["b"] - ends["c"])[16:].mean())
    assert found.note.startswith("b, chosen on 16 seeds and tested on 16; means 0.")
    assert OptimumAtEnd(["a", "b", "c"], least=0.7).test(data).verdict is Verdict.NOT_REPRODUCED


def test_a_lower_loss_is_better():
    data = outcome("val/loss", a=0.9, b=0.2, c=0.8)
    found = OptimumAtEnd(["a", "b", "c"]).test(data)
    assert found.verdict is Verdict.REPRODUCED and "means 0.89" in found.note


def test_of_identical_arms_it_is_seldom_reproduced():
    found = []
    for number in range(200):
        noise = np.random.default_rng(number)
        arms = {name: history(noise.normal(0.5, 0.1, 16), 0.0) for name in "abcd"}
        found.append(OptimumAtEnd(list("abcd")).test(Outcome("generated/accuracy", 0.9, arms)).verdict)
    assert found.count(Verdict.REPRODUCED) <= 8


def test_arms_that_make_no_row_are_refused():
    for arms in (["a", "b"], ["a", "b", "a"]):
        with pytest.raises(SettingError) as caught:
            claims.read("c.0", {"claim": "optimum at the end", "arms": arms}, dict.fromkeys("abc"))
        assert caught.value.key == "c.0.arms"
