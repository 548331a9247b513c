"""Per-replica optimizers, initialisation and parameterisation."""

from svl.optim.adamw import AdamW
from svl.optim.alpha import Alpha
from svl.optim.mup import MuP
from svl.optim.parameterisation import Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "Alpha", "MuP", "Parameterisation", "UpdateRule"]
