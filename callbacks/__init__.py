"""Lightning callbacks of svl: what is measured, shown and kept during a fit."""

from callbacks.checkpoint import Checkpoint
from callbacks.feature import Feature
from callbacks.history import History
from callbacks.measurement import Measurement
from callbacks.norm_ratio import NormRatio
from callbacks.norms import Norms
from callbacks.progress import Progress
from callbacks.query_key import QueryKey
from callbacks.throughput import Throughput

__all__ = [
    "Checkpoint",
    "Feature",
    "History",
    "Measurement",
    "NormRatio",
    "Norms",
    "Progress",
    "QueryKey",
    "Throughput",
]
