"""Learning tasks: pure functions from counters to examples, one task a file."""

from svl.tasks.dataset import Dataset
from svl.tasks.facts import Facts
from svl.tasks.in_context_regression import InContextRegression
from svl.tasks.linear_regression import LinearRegression
from svl.tasks.modular_addition import ModularAddition
from svl.tasks.parity import Parity
from svl.tasks.scratchpad_addition import ScratchpadAddition
from svl.tasks.single_index import SingleIndex
from svl.tasks.staircase import Staircase
from svl.tasks.task import Task
from svl.tasks.text import Text

__all__ = [
    "Dataset",
    "Facts",
    "InContextRegression",
    "LinearRegression",
    "ModularAddition",
    "Parity",
    "ScratchpadAddition",
    "SingleIndex",
    "Staircase",
    "Task",
    "Text",
]
