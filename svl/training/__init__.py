"""The replica stack, parameter groups, losses, and the LightningModule over them."""

from svl.training.groups import ParameterGroup
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

__all__ = ["ParameterGroup", "ReplicaModule", "ReplicaStack"]
