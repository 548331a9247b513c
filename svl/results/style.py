"""The look that all figures share: colours, line styles, markers, few lines, readable counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from svl.results.quantity import quantity

# From small (amber) to large (blue), steadily darker, so that the order survives grey print and colour blindness.
RAMP = LinearSegmentedColormap.from_list("svl", ["#E0A800", "#9AAB2E", "#3F9F73", "#2480A0", "#1B4FA8"])
STYLES = ["-", (0, (6, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*"]
GREY = "#666666"


@contextmanager
def own_settings() -> Iterator[None]:
    """Within the block matplotlib has its own defaults, whatever a matplotlibrc says; also a decorator of functions.

    A file for papers may ask for LaTeX, which is not there where a fit runs, or for fonts and sizes of a journal.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def clean(axes: Axes) -> None:
    """Remove superfluous lines from a panel and write counts as ``16.4k``."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: quantity(count)))
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
