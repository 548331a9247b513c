"""Networks as plain ``torch.nn.Module``s.

A network may have a method ``project(parameters)``, a pure function that is called after every update and returns the
allowed parameters nearest to those given, by name.
"""

from svl.models.conv_net import ConvNet
from svl.models.mlp import MLP
from svl.models.quadratic_neuron import QuadraticNeuron
from svl.models.transformer import Transformer

__all__ = ["MLP", "ConvNet", "QuadraticNeuron", "Transformer"]
