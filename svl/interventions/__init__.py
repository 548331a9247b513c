"""Interventions: changes of the training data, the gradients or the weights, one per file."""

from svl.interventions.added_bias import AddedBias
from svl.interventions.augmentation import Augmentation
from svl.interventions.bias_removal import BiasRemoval
from svl.interventions.clip_norm import ClipNorm
from svl.interventions.ema import EMA
from svl.interventions.gradient_bias import GradientBias
from svl.interventions.label_noise import LabelNoise
from svl.interventions.labels import Labels
from svl.interventions.on_data import DataIntervention
from svl.interventions.on_gradients import BatchGradientIntervention, SampleGradientIntervention
from svl.interventions.on_weights import WeightIntervention
from svl.interventions.pcgrad import PCGrad

__all__ = [
    "EMA",
    "AddedBias",
    "Augmentation",
    "BatchGradientIntervention",
    "BiasRemoval",
    "ClipNorm",
    "DataIntervention",
    "GradientBias",
    "LabelNoise",
    "Labels",
    "PCGrad",
    "SampleGradientIntervention",
    "WeightIntervention",
]
