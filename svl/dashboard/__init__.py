"""A W&B workspace of an experiment, and a report for each of its figures."""

from svl.dashboard.experiment import Experiment
from svl.dashboard.publish import save, specification

__all__ = ["Experiment", "save", "specification"]
