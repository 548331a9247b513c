"""A section of the benchmark page: a description and a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from svl.console import plain


@dataclass(frozen=True)
class Section:
    """A table with a description.

    Attributes:
        title: heading of the section.
        text: how the numbers were measured, in Markdown.
        columns: headings of the columns.
        rows: cells of each row.
    """

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The section in Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.text}\n\n{table}\n"

    def table(self) -> Table:
        """The table for the terminal."""
        table = Table(*self.columns, title=self.title)
        for row in self.rows:
            table.add_row(*plain(row))
        return table


def spread(values: Sequence[float], form: str = "{:.3g}") -> str:
    """The median, followed by the smallest and the largest value in brackets."""
    middle, low, high = (form.format(v) for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}, {high}]"


def ratio(values: Sequence[float], reference: Sequence[float]) -> str:
    """:func:`spread` of the ratios within each round."""
    return spread([a / b for a, b in zip(values, reference, strict=True)])
