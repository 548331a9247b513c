"""What is learned: pure functions from counters to examples, one file a task."""

from svl.tasks.parity import Parity
from svl.tasks.task import Task

__all__ = ["Parity", "Task"]
