"""Data-reuse strategies: one LightningDataModule per strategy."""

from svl.data.automatic_phases import AutomaticPhases
from svl.data.axes import Axis
from svl.data.full_batch import FullBatch
from svl.data.online import Online
from svl.data.phases import Phases
from svl.data.population import Population
from svl.data.reuse import ReuseDataModule
from svl.data.subset import Subset
from svl.data.two_sets import TwoSets
from svl.data.zipf import Zipf

__all__ = [
    "AutomaticPhases",
    "Axis",
    "FullBatch",
    "Online",
    "Phases",
    "Population",
    "ReuseDataModule",
    "Subset",
    "TwoSets",
    "Zipf",
]
