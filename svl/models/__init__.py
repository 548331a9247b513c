"""Networks as plain ``torch.nn.Module``s.

A network may have a method ``project(parameters)``: a pure function that maps its parameters, by name, to the nearest
allowed ones. It is called after every update.
"""

from svl.models.conv_net import ConvNet
from svl.models.mlp import MLP
from svl.models.quadratic_neuron import QuadraticNeuron
from svl.models.transformer import Transformer

__all__ = ["MLP", "ConvNet", "QuadraticNeuron", "Transformer"]
