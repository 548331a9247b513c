"""Tables of arms as data frames, and runs as a notebook shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from svl.results.inline_svg import inline_svg, palette

_STYLE = "--page: white; --muted: #666; --rule: #ddd; color: black; background: white; max-width: 60em"


def arm_table(summary: Mapping[str, Any], names: Sequence[str]) -> pd.DataFrame:
    """A row for each arm of a summary; what was never reached or is not known is NaN.

    Args:
        summary: as in ``summary.json``.
        names: of the arms, in its order.
    """
    rows = [_row(name, arm) for name, arm in zip(names, summary["arms"], strict=True)]
    return pd.DataFrame(rows).replace({None: np.nan})


def _row(name: str, arm: Mapping[str, Any]) -> dict[str, Any]:
    row = {"arm": name, **arm["settings"], "seeds": arm["seeds"], "diverged": arm["diverged"]}
    row |= {"steps": arm["steps"], "samples": arm["samples"]}
    for metric, final in arm["final"].items():
        row |= {metric: final["mean"], f"{metric}.low": final["low"], f"{metric}.high": final["high"]}
    for name, value in (("success", "probability"), ("samples_to_target", "median")):
        if name in arm:
            row |= {name: arm[name][value], f"{name}.low": arm[name]["low"], f"{name}.high": arm[name]["high"]}
    if "verdict" in arm:
        row |= {"speed_up": (arm["speed_up"] or {}).get("samples", {}).get("value"), "verdict": arm["verdict"]}
    return row


def notebook_html(title: str, table: pd.DataFrame, figure: Figure) -> str:
    """A heading, a table and a figure as HTML for Jupyter and marimo."""
    shown = table[[column for column in table if not str(column).endswith((".low", ".high"))]]
    text = shown.to_html(index=False, float_format="{:.4g}".format, na_rep="-", border=0)
    svg = inline_svg(figure, "svl", title)
    colours = [f"--{colour}: #{colour}; --{colour}-text: {shades[0]}" for colour, shades in palette([svg]).items()]
    return f'<div style="{"; ".join([_STYLE, *colours])}"><strong>{title}</strong>{text}{svg}</div>'
