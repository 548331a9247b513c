"""Per-replica optimizers, initialisation and parameterisation."""

from svl.optim.adam import Adam
from svl.optim.adamw import AdamW
from svl.optim.alpha import Alpha
from svl.optim.lion import Lion
from svl.optim.muon import Muon
from svl.optim.mup import MuP
from svl.optim.parameterisation import Parameterisation
from svl.optim.rule import UpdateRule
from svl.optim.sam import SAM
from svl.optim.sgd import SGD

__all__ = ["SAM", "SGD", "Adam", "AdamW", "Alpha", "Lion", "MuP", "Muon", "Parameterisation", "UpdateRule"]
