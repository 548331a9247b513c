"""Lightning callbacks: measurements, progress, history and checkpoints of a fit."""

from callbacks.averaged_weights import AveragedWeights
from callbacks.checkpoint import Checkpoint
from callbacks.feature import Feature
from callbacks.generation import Generation
from callbacks.gradient_similarity import GradientSimilarity
from callbacks.history import History
from callbacks.measurement import Measurement
from callbacks.norm_ratio import NormRatio
from callbacks.norms import Norms
from callbacks.phase_log import PhaseLog
from callbacks.progress import Progress
from callbacks.query_key import QueryKey
from callbacks.rates import Rates
from callbacks.sampling_bias import SamplingBias
from callbacks.snapshots import Snapshots
from callbacks.throughput import Throughput

__all__ = [
    "AveragedWeights",
    "Checkpoint",
    "Feature",
    "Generation",
    "GradientSimilarity",
    "History",
    "Measurement",
    "NormRatio",
    "Norms",
    "PhaseLog",
    "Progress",
    "QueryKey",
    "Rates",
    "SamplingBias",
    "Snapshots",
    "Throughput",
]
