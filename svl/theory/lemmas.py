"""The lemmas of appendix A (Liu et al. 2026), each compared with a Monte-Carlo sample of the bounded quantity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from rich.table import Table

from svl.results import statistics
from svl.results.statistics import Estimate
from svl.results.style import GREY, RAMP
from svl.theory import alignment, bounds, events, experiment, moment, neuron, two_phase
from svl.theory.alignment import Kept
from svl.theory.events import Event
from svl.theory.experiment import Bound, Finding, Size, Track
from svl.theory.moment import SUPPORT, Labels
from svl.theory.neuron import POPULATION, Eigenbasis
from svl.theory.times import DELTA, RATE, theorem_target
from svl.theory.two_phase import Grown, Start


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Attributes:
        dim: d.
        sizes: number of N, from d to d^2.
        replicas: replicas for each N.
        stabilities: number of values of eta a* |M^|.
        draws: draws for the probabilities.
    """

    dim: int
    sizes: int
    replicas: int
    stabilities: int
    draws: int


SCALES = {"smoke": Scale(16, 3, 24, 4, 400), "default": Scale(64, 7, 96, 13, 20000)}


class Stability(NamedTuple):
    """How often lemmas 3 and 4 hold at one value of eta a |M^|.

    Attributes:
        value: eta a |M^|.
        step: fraction of random directions for which one step changes q towards the sign of a (lemma 3).
        phase: fraction of phases 1 in which abs(q) never shrinks and no sign changes (lemma 4).
    """

    value: float
    step: Estimate
    phase: Estimate


def one_step(
    generator: np.random.Generator, basis: Eigenbasis, sign: Float[ndarray, "replica"], stability: float
) -> Bool[ndarray, "replica"]:
    """Whether a step from a random direction changes q towards the sign of a."""
    w = generator.standard_normal(basis.w.shape)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    a = sign * stability / basis.norm
    states = neuron.path(a, w, basis.eigenvalues, 1.0)
    before = next(states).q
    return (next(states).q - before) * a >= 0


def first_phase(basis: Eigenbasis, sign: Float[ndarray, "replica"], stability: float) -> Bool[ndarray, "replica"]:
    """Whether abs(q) never shrinks and no sign changes on the way to a* = 0.9."""
    rate, target = stability / (0.9 * basis.norm), np.full(len(sign), 0.9)
    done = neuron.descend(sign * 1e-6, basis.w, basis.eigenvalues, rate, neuron.reached(target))
    return done.sign_kept & (done.growth >= 1 - 1e-9)


def stabilities(scale: Scale, starts: list[Start], track: Track) -> list[Stability]:
    """Lemmas 3 and 4 inside and outside the condition eta a* |M^| <= 1/2."""
    generator, results = np.random.default_rng(8), []
    basis = neuron.joined([start.basis for start in starts])
    sign = np.concatenate([start.sign for start in starts])
    for value in track(np.geomspace(0.0625, 16, scale.stabilities).tolist(), "stability"):
        step, phase = one_step(generator, basis, sign, value), first_phase(basis, sign, value)
        results.append(Stability(value, statistics.success(step), statistics.success(phase)))
    return results


def drifts(starts: list[Start]) -> tuple[list[Bound], list[tuple[float, Start, Grown]]]:
    """The drift of w from the theorem's a* to 0.9, over lemma 7's bound and over what the theorem requires."""
    ratios, paths = [], []
    for start in starts:
        smallest = theorem_target(start.dim, start.samples, start.labels)
        for target in np.geomspace(smallest, 0.9, 8):
            grown = two_phase.grow(start.basis, start.sign * 1e-9, float(target), RATE / 10)
            limit = bounds.drift(target, grown.initial, start.samples, grown.rate, start.basis.norm)
            ratios.append((grown.drift / limit)[grown.stable])
            paths.append((float(target), start, grown))
    at_theorem = np.concatenate([g.drift * 4 * np.sqrt(s.dim) for _, s, g in paths[::8]])
    return [
        Bound("drift, lemma 7", np.concatenate(ratios)),
        Bound("drift, 1 / (4 √d) at the theorem's a*", at_theorem),
    ], paths


def contractions(scale: Scale) -> Bound:
    """Lemma 6: each step on the population multiplies r by at most 1 / (1 + eta |a|)."""
    generator = np.random.default_rng(5)
    w, _ = two_phase.directions(generator, scale.dim, scale.replicas, starts_well=True)
    along = w[:, :2] @ SUPPORT
    three = np.concatenate([along, np.sqrt(1 - np.square(along).sum(1, keepdims=True))], axis=1)
    a, rate, ratios, before = np.sign(w[:, 0] * w[:, 1]) * 1e-3, 0.5, [], None
    for _, state in zip(range(60), neuron.path(a, three, POPULATION, rate), strict=False):
        up, down = (np.where(a > 0, state.w[:, i], state.w[:, 1 - i]) for i in (0, 1))
        r = np.hypot(down, state.w[:, 2]) / np.abs(up)
        if before is not None:
            ratios.append(r / before[0] * (1 + rate * before[1]))
        before = r, np.abs(state.a)
    return Bound("contraction of r, lemma 6", np.concatenate(ratios))


def random_norms(scale: Scale, samples: list[int]) -> Bound:
    """Corollary 6: the norm of M^ with random labels."""
    generator, ratios = np.random.default_rng(10), []
    for count in samples:
        matrices = moment.empirical(generator, scale.dim, count, scale.replicas, "random")
        norms = np.abs(np.linalg.eigvalsh(matrices)).max(1)
        ratios.append(norms / bounds.spectral_norm(scale.dim, count, DELTA, "random"))
    return Bound(f"norm of M^, random labels, corollary 6, delta = {DELTA}", np.concatenate(ratios))


def chances(scale: Scale, samples: list[int]) -> list[Event]:
    """Lemmas 1, 2, 9, 10 and 12 and corollary 5: measured, exact and proved probabilities."""
    generator = np.random.default_rng(6)
    rows = events.of_directions(generator, scale.dim, scale.draws)
    for labels in get_args(Labels):
        for count in samples[:: max(1, len(samples) // 2)]:
            rows += events.of_data(generator, scale.dim, count, scale.draws, labels)
    return rows


def run(size: Size, track: Track) -> Finding:
    """The experiments of all lemmas."""
    scale = SCALES[size]
    generator = np.random.default_rng(7)
    samples = [round(scale.dim**power) for power in np.linspace(1, 2, scale.sizes)]
    starts = [two_phase.start(generator, scale.dim, n, scale.replicas) for n in track(samples, "datasets")]
    moved, paths = drifts(starts)
    norms = np.concatenate([s.basis.norm / bounds.spectral_norm(s.dim, s.samples, DELTA) for s in starts])
    kept, well = alignment.kept(paths), two_phase.directions(generator, scale.dim, 4 * scale.replicas, True)[0]
    along = well[:, :2] @ SUPPORT
    limits = [
        *moved,
        Bound("alignment's lower bound / alignment, lemma 8", np.concatenate([row.ratio for row in kept])),
        *alignment.worst(along, scale.dim),
        Bound(f"norm of M^, lemma 5, delta = {DELTA}", norms),
        random_norms(scale, samples),
        contractions(scale),
    ]
    steady, seen = stabilities(scale, starts, track), chances(scale, samples)
    rows = [[experiment.number(s.value), experiment.interval(*s.step), experiment.interval(*s.phase)] for s in steady]
    columns = ["η a |M^|", "a step, lemma 3", "phase 1, lemma 4"]
    tables = [
        experiment.bounds(limits),
        experiment.table("Lemmas 3 and 4: shares for which they hold", columns, rows, "the lemmas ask for 1/2 or less"),
        alignments(kept),
        events.table(seen),
    ]
    numbers: dict[str, Any] = {
        "dim": scale.dim,
        "bounds": [limit.numbers() for limit in limits],
        "stability": [{"value": s.value, "step": s.step._asdict(), "phase": s.phase._asdict()} for s in steady],
        "alignment": [row.numbers() for row in kept],
        "events": [event.numbers() for event in seen],
    }
    return Finding(tables, draw(starts, paths, steady, kept, along), numbers)


def alignments(kept: list[Kept]) -> Table:
    """Lemmas 8 and 11 after phase 1, by a* at the smallest and the largest N."""
    columns = ["N", "a*", "lemma 8 / alignment", "lemma 8 is above 0", "√d |w - w₀|", "sign of q_pop kept"]
    ends = {kept[0].samples, kept[-1].samples}
    rows = [row.row() for row in kept if row.samples in ends and row.ratio.size]
    return experiment.table("Alignment after phase 1, lemmas 8 and 11", columns, rows, "medians, and shares")


def draw(
    starts: list[Start],
    paths: list[tuple[float, Start, Grown]],
    steady: list[Stability],
    kept: list[Kept],
    along: Float[ndarray, "replica 2"],
) -> Figure:
    """Stability, drift, norm and alignment with their bounds, and the drifts that keep the sign of q_pop."""
    figure, (stability, drift, norm, aligned, safe) = _panels()
    values = [stable.value for stable in steady]
    experiment.points(stability, values, [s.step for s in steady], "one step moves q to a's side", color=RAMP(0.0))
    phase = [s.phase for s in steady]
    experiment.points(stability, values, phase, "phase 1: |q| grows, signs stay", color=RAMP(1.0), marker="s")
    stability.axvspan(values[0], 0.5, color=GREY, alpha=0.12, label="condition of lemma 3")
    experiment.decorate(stability, "Lemmas 3 and 4", "η a |M^|", "share for which it holds", "x")
    chosen = starts[:: max(1, len(starts) // 3)]
    for place, start in enumerate(chosen):
        of_start = [(target, grown) for target, other, grown in paths if other is start]
        color = RAMP(place / max(1, len(chosen) - 1))
        targets = [target for target, _ in of_start]
        spread = [Estimate(*np.quantile(grown.drift, (0.5, 0.025, 0.975)).tolist()) for _, grown in of_start]
        experiment.points(drift, targets, spread, f"N = {start.samples}", color=color)
        norms = float(np.median(start.basis.norm))
        limit = np.asarray(bounds.drift(np.array(targets), 0.0, start.samples, of_start[0][1].rate, norms))
        drift.plot(targets, limit, color=color, linestyle="--", linewidth=1)
    drift.axhline(1 / (4 * np.sqrt(starts[0].dim)), color=GREY, linestyle=":", linewidth=1, label="1 / (4 √d)")
    drift.plot([], [], color=GREY, linestyle="--", linewidth=1, label="bound, lemma 7")
    experiment.decorate(drift, "Drift of w in phase 1", "a*", "|w - w₀|")
    samples = [start.samples for start in starts]
    spread = [Estimate(*np.quantile(start.basis.norm, (0.5, 0.025, 0.975)).tolist()) for start in starts]
    experiment.points(norm, samples, spread, "95 % of datasets", color=RAMP(0.6))
    limits = np.asarray(bounds.spectral_norm(starts[0].dim, np.array(samples), DELTA))
    norm.plot(samples, limits, color=GREY, linestyle="--", linewidth=1, label="bound, lemma 5")
    experiment.decorate(norm, f"Norm of M^, d = {starts[0].dim}", "N", "spectral norm")
    for place, start in enumerate(chosen):
        rows = [row for row in kept if row.samples == start.samples and row.ratio.size]
        ratios = [Estimate(*np.quantile(row.ratio, (0.5, 0.025, 0.975)).tolist()) for row in rows]
        color = RAMP(place / max(1, len(chosen) - 1))
        experiment.points(aligned, [row.target for row in rows], ratios, f"N = {start.samples}", color=color)
    experiment.decorate(aligned, "Lemma 8", "a*", "lower bound / α₀", "x")
    dim, moves = starts[0].dim, np.linspace(0, 0.8, 33)
    shares = [float(alignment.sign_is_safe(along, dim, float(move)).mean()) for move in moves]
    safe.plot(moves, shares, color=RAMP(0.6), linewidth=1.2, label="any drift of this size keeps the sign of q_pop")
    safe.axvspan(0, 0.25, color=GREY, alpha=0.12, label="condition of lemma 11")
    safe.axvline(alignment.SURE, color=GREY, linestyle=":", linewidth=1, label="smallest drift that can change it")
    experiment.decorate(safe, "Lemma 11", "√d |w - w₀|", "share of directions in P₀", "")
    for axes in (stability, drift, norm, aligned, safe):
        experiment.legend(axes)
    return figure


def _panels() -> tuple[Figure, list[Axes]]:
    figure, panels = experiment.panels(2, 3)
    panels[-1].remove()
    return figure, panels[:-1]
