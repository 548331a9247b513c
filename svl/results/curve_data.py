"""The numbers behind a report's curves, which its script draws, reads out and saves."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from svl.results.columns import Pair, arm_names
from svl.results.curve import Curve, stride
from svl.results.learning_curves import MOST_POINTS, looks
from svl.results.quantity import setting
from svl.results.reference_lines import reference_levels
from svl.results.style import STYLES

MOST_NUMBERS, MOST_OF_SEEDS, FEWEST_POINTS = 300_000, 150_000, 20
"""A page has about as many numbers of means and intervals, and of single seeds; a curve has 20 points or more."""


def curve_data(
    columns: Mapping[str, Sequence[Pair]], titles: Mapping[str, Sequence[str]], target: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The curves of some metrics, ready for JSON.

    Means and bounds have five significant digits, single seeds three. ``None`` is a number that does not exist. With
    many arms and measurements, every n-th measurement is taken, and fewer points and seeds of the single ones.

    Args:
        columns: the arms of each panel by its title.
        titles: of the panels of each metric.
        target: of the run, as in its summary.
    """
    count = max(1, sum(len(columns[title]) for metric in titles for title in titles[metric]))
    most = min(MOST_POINTS, max(FEWEST_POINTS, MOST_NUMBERS // (3 * count)))
    grids: dict[tuple[tuple[int, ...], tuple[float, ...]], int] = {}
    arms: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    longest = 1
    for title, pairs in columns.items():
        first = len(arms)
        arms += list(_arms(pairs))
        for metric in (metric for metric, panels in titles.items() if title in panels):
            curves = [Curve.of(arm.rows, metric, most) for arm, _ in pairs]
            longest = max(longest, *(arm.rows.loc[arm.rows[metric].notna(), "step"].nunique() for arm, _ in pairs))
            entries = [
                {
                    "arm": place,
                    "grid": grids.setdefault((tuple(curve.step.tolist()), tuple(curve.samples.tolist())), len(grids)),
                    "mean": _short(curve.mean),
                    "low": _short(curve.low),
                    "high": _short(curve.high),
                    "count": _counts(curve),
                    **_seeds(curve, count),
                }
                for place, curve in enumerate(curves, first)
            ]
            levels = reference_levels([arm for arm, _ in pairs], metric)
            references = [
                {"name": name, "value": level, "arm": None if arm is None else first + arm}
                for name, level, arm in levels
            ]
            figures.append({"metric": metric, "title": title, "curves": entries, "references": references})
    return {
        "target": target,
        "arms": arms,
        "figures": figures,
        "grids": [{"steps": steps, "samples": samples} for steps, samples in grids],
        "stride": stride(longest, most),
    }


def packed(data: Any) -> str:
    """Data as JSON, compressed by gzip, in the letters of base64 for URLs; equal data make equal texts."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return base64.urlsafe_b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _arms(pairs: Sequence[Pair]) -> Iterable[dict[str, Any]]:
    for (arm, reference), name, look in zip(pairs, arm_names(pairs), looks(pairs), strict=True):
        dash = look["linestyle"]
        yield {
            "name": name,
            "label": arm.label,
            "settings": {key: setting(value) for key, value in arm.settings.items()},
            "seeds": int(arm.rows["seed"].nunique()),
            "reference": arm is reference,
            "colour": to_hex(look["color"])[1:],
            "dash": [] if dash == STYLES[0] else [1.8 * length for length in dash[1]],
            "marker": look["marker"],
            "stagger": look["stagger"],
        }


def _seeds(curve: Curve, curves: int) -> dict[str, Any]:
    """Single seeds at every n-th point of a curve; of very many, the first ones."""
    share = max(FEWEST_POINTS, MOST_OF_SEEDS // max(1, curves))
    points, seeds = curve.seeds.shape
    kept = min(seeds, max(1, share // FEWEST_POINTS))
    every = stride(points, max(FEWEST_POINTS, share // max(1, kept)))
    return {"every": every, "seeds": [_short(values, 3) for values in curve.seeds[::every, :kept].T]}


def _counts(curve: Curve) -> int | list[int]:
    """How many seeds each mean is of; one number where it does not change."""
    counts = np.isfinite(curve.seeds).sum(1).tolist()
    return counts[0] if len(set(counts)) == 1 else counts


def _short(values: Iterable[float], digits: int = 5) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
