"""What is done to the data or the gradients beside the strategy: one intervention a file."""

from svl.interventions.added_bias import AddedBias
from svl.interventions.bias_removal import BiasRemoval
from svl.interventions.label_noise import LabelNoise
from svl.interventions.labels import Labels
from svl.interventions.on_data import DataIntervention

__all__ = ["AddedBias", "BiasRemoval", "DataIntervention", "LabelNoise", "Labels"]
