import numpy as np
import pandas as pd
import pytest

from svl.theory import language_model

BATCH, STEPS = 4, range(0, 65, 4)


def history(worth):
    """A history in which K epochs over N are worth ``worth(K, N)`` N examples, at one of two rates."""
    rows = []
    for size in (16, 64, "online"):
        for rate, cost in ((0.1, 1.0), (0.2, 1.5)):
            for seed in (0, 1, 2):
                for step in STEPS:
                    examples = step * BATCH if size == "online" else worth(step * BATCH / size, size) * size
                    loss = cost * (5 + 0.1 * seed - np.log(max(examples, 1)) * 0.7)
                    rows.append(
                        {
                            "step": step,
                            "seed": seed,
                            "data.size": str(size),
                            "model.optimizer.lr": rate,
                            "val/loss": loss,
                        }
                    )
    return pd.DataFrame(rows)


def test_the_reuse_of_a_made_up_history_is_found():
    found = language_model.reuse(history(lambda count, size: np.sqrt(count)), BATCH)
    assert [one.samples for one in found] == [16, 64]
    assert found[0].epochs == list(range(1, 17)) and found[1].epochs == [1, 2, 3, 4]
    for one in found:
        # The coarse first steps of a cubic in the logarithm are its logarithm itself.
        np.testing.assert_allclose(one.seeds, np.sqrt(one.epochs)[:, None] * np.ones(3), rtol=1e-2)
        assert set(one.rates) == {0.1}


def test_the_larger_set_stands_more_epochs_if_it_does():
    found = language_model.reuse(history(lambda count, size: np.minimum(count, np.log2(size) / 2)), BATCH)
    rows = language_model.ordering(found).columns
    verdicts = dict(zip(map(str, rows[0].cells), map(str, rows[2].cells), strict=True))
    assert verdicts["4"] == "larger"
    equal = [one.seeds[one.epochs.index(2)] for one in found]
    np.testing.assert_allclose(*equal, rtol=1e-2)


def test_student_s_interval():
    """Of 1, 2, 3: 2 +- 4.303 / sqrt 3, from a table of the t distribution."""
    assert language_model.estimate(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, 2 - 2.484, 2 + 2.484), abs=1e-3)
