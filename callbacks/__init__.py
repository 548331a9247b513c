"""Lightning callbacks: measurements, progress, history and checkpoints of a fit."""

from svl.callbacks.averaged_weights import AveragedWeights
from svl.callbacks.checkpoint import Checkpoint
from svl.callbacks.feature import Feature
from svl.callbacks.generation import Generation
from svl.callbacks.gradient_similarity import GradientSimilarity
from svl.callbacks.history import History
from svl.callbacks.measurement import Measurement
from svl.callbacks.memorisation import Memorisation
from svl.callbacks.norm_ratio import NormRatio
from svl.callbacks.norms import Norms
from svl.callbacks.phase_log import PhaseLog
from svl.callbacks.progress import Progress
from svl.callbacks.query_key import QueryKey
from svl.callbacks.rates import Rates
from svl.callbacks.sampling_bias import SamplingBias
from svl.callbacks.snapshots import Snapshots
from svl.callbacks.stop_at_target import StopAtTarget
from svl.callbacks.throughput import Throughput

__all__ = [
    "AveragedWeights",
    "Checkpoint",
    "Feature",
    "Generation",
    "GradientSimilarity",
    "History",
    "Measurement",
    "Memorisation",
    "NormRatio",
    "Norms",
    "PhaseLog",
    "Progress",
    "QueryKey",
    "Rates",
    "SamplingBias",
    "Snapshots",
    "StopAtTarget",
    "Throughput",
]
