"""Losses of each example, one loss a file."""

from svl.losses.correlation import Correlation
from svl.losses.cross_entropy import CrossEntropy
from svl.losses.hinge import Hinge
from svl.losses.logistic import Logistic
from svl.losses.loss import Loss, mean_over_positions
from svl.losses.squared import Squared

__all__ = ["Correlation", "CrossEntropy", "Hinge", "Logistic", "Loss", "Squared", "mean_over_positions"]
