"""Metrics of test examples for each replica, as metrics of torchmetrics."""

from svl.metrics.each_replica import EachReplica
from svl.metrics.replica_mean import ReplicaMean

__all__ = ["EachReplica", "ReplicaMean"]
