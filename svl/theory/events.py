"""How often the events at initialisation happen: Monte-Carlo shares beside exact and proved probabilities.

Source: Liu et al. 2026, lemmas 1, 2, 9, 10 and 12 and corollary 5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from rich.table import Table

from svl.results import statistics
from svl.results.statistics import Estimate
from svl.theory import bounds, chances, experiment, moment, two_phase
from svl.theory.moment import SUPPORT, Labels

NEURONS = 20
"""Directions for each dataset."""


class Event(NamedTuple):
    """One event: how often it was seen, and what is known of its probability.

    Attributes:
        name: the event and its lemma.
        samples: N; None where the event does not depend on the data.
        share: measured probability.
        exact: its probability, for large N where it depends on the data; None where no formula is known.
        proved: the lower bound that the proof gives; None where the proof does not reach the constant c_0.
    """

    name: str
    samples: int | None
    share: Estimate
    exact: float | None
    proved: float | None

    def row(self) -> list[str]:
        """The row of the table of :func:`table`."""
        exact = "" if self.exact is None else experiment.number(self.exact)
        proved = "not proved" if self.proved is None else experiment.number(self.proved)
        return [self.name, str(self.samples or ""), experiment.interval(*self.share), exact, proved]

    def numbers(self) -> dict[str, Any]:
        """The numbers for JSON; bounds that the draws cannot give are None."""
        share = {name: None if np.isnan(x) else x for name, x in self.share._asdict().items()}
        return {"event": self.name, "samples": self.samples, **share, "exact": self.exact, "proved": self.proved}


def of_directions(generator: np.random.Generator, dim: int, draws: int) -> list[Event]:
    """Lemma 9's event, and P_0 of lemmas 10 and 12."""
    w, _ = two_phase.directions(generator, dim, 10 * draws, starts_well=False)
    along = w[:, :2] @ SUPPORT
    aligned, well = np.abs(along[:, 0]) >= 1 / (2 * np.sqrt(dim)), bounds.starts_well(along, dim)
    first = statistics.success(aligned), chances.exactly_aligned(dim), chances.aligned(dim)
    second = statistics.success(well), chances.exactly_starts_well(dim), chances.starts_well(dim)
    return [
        Event("|<w, u>| ≥ 1 / (2 √d), lemma 9", None, *first),
        Event("P₀, lemmas 10 and 12", None, *second),
    ]


def of_data(generator: np.random.Generator, dim: int, samples: int, draws: int, labels: Labels) -> list[Event]:
    """The events that depend on the data, of lemmas 1, 2 and 10 or, for random labels, of corollary 5 and lemma 12.

    Args:
        generator: source of directions and datasets.
        dim: d.
        samples: N.
        draws: number of pairs of a direction and a dataset.
        labels: labels of the datasets.
    """
    matrices = moment.empirical(generator, dim, samples, draws // NEURONS, labels)
    w, _ = two_phase.directions(generator, dim, len(matrices) * NEURONS, starts_well=False)
    w = w.reshape(len(matrices), NEURONS, dim)
    q, well = ((w @ matrices) * w).sum(-1), bounds.starts_well((w[..., :2] @ SUPPORT).reshape(-1, 2), dim)
    well = well.reshape(q.shape) & (q * w[..., 0] * w[..., 1] > 0)

    def large(signal: float) -> Bool[ndarray, "dataset neuron"]:
        return np.abs(q) >= signal / np.sqrt(samples)

    # The sign of a is a fair coin, which is counted instead of drawn.
    seen: dict[str, tuple[ndarray, float | None, float | None]]
    if labels == "true":
        seen = {
            "good event, lemma 2": (large(bounds.SIGNAL["true"]) / 2, None, chances.good_event()),
            "event of theorem 1, lemma 10, c₀ = √(3/8)": ((large(bounds.SIGNAL["true"]) & well) / 2, None, None),
            f"the same, c₀ = {experiment.number(chances.PROVED_SIGNAL)}": (
                (large(chances.PROVED_SIGNAL) & well) / 2,
                None,
                chances.event(dim),
            ),
        }
    else:
        signal = bounds.SIGNAL["random"]
        limit = chances.large_signal(dim, signal)
        seen = {
            "|q₀| ≥ c_r / √N, corollary 5": (large(signal), limit, chances.paley_zygmund(signal)),
            "event of corollary 2, lemma 12": (
                (large(signal) & well) / 2,
                chances.exactly_starts_well(dim) * limit / 4,
                chances.event(dim, "random"),
            ),
        }
    return [
        Event(name, samples, statistics.mean(share.mean(1), (0, 1)), exact, proved)
        for name, (share, exact, proved) in seen.items()
    ]


def table(events: list[Event]) -> Table:
    """The table of all events."""
    columns = ["event", "N", "measured", "exact, or large N", "proved"]
    return experiment.table("Probabilities at initialisation", columns, (event.row() for event in events))
