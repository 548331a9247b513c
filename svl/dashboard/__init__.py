"""``svl dashboard``: a W&B workspace of an experiment, and a report for each of its figures."""

from svl.dashboard.command import main

__all__ = ["main"]
