"""Per-replica optimizers, initialisation and parameterisation."""

from svl.optim.adamw import AdamW
from svl.optim.rule import UpdateRule
from svl.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "UpdateRule"]
