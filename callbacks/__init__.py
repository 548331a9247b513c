"""Lightning callbacks of svl: what is measured, shown and kept during a fit."""

from callbacks.checkpoint import Checkpoint
from callbacks.history import History
from callbacks.measurement import Measurement
from callbacks.norm_ratio import NormRatio
from callbacks.progress import Progress

__all__ = ["Checkpoint", "History", "Measurement", "NormRatio", "Progress"]
