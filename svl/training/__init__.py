"""The replica stack, the routes that compute it, parameter groups, the objective, and the LightningModule over them."""

from svl.training.groups import ParameterGroup
from svl.training.replica_module import ReplicaModule
from svl.training.spec import ExecutionSettings, TrainingSettings
from svl.training.stack import ReplicaStack

__all__ = ["ExecutionSettings", "ParameterGroup", "ReplicaModule", "ReplicaStack", "TrainingSettings"]
