"""A section of the benchmark's page: what was measured, and its table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Section:
    """One table and what is to be known to read it.

    Attributes:
        title: its heading.
        text: how it was measured, in Markdown.
        columns: headings.
        rows: texts.
    """

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The section as it stands on the page."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.text}\n\n{table}\n"

    def table(self) -> Table:
        """The section as it is printed."""
        table = Table(*self.columns, title=self.title)
        for row in self.rows:
            table.add_row(*row)
        return table


def spread(values: Sequence[float], form: str = "{:.3g}") -> str:
    """Median, and in brackets the smallest and the largest."""
    middle, low, high = (form.format(v) for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}, {high}]"


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> str:
    """Spread of the ratios within each round."""
    return spread([a / b for a, b in zip(mine, theirs, strict=True)])
