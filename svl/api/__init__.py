"""The Python API: the same fits as on the command line, and what a run directory has, as objects.

=================  ==========================================================
``fitting``        :func:`fit`: trains a config or a dict of settings
``run``            :class:`Run` and :func:`load`: a run directory
``replica``        one replica of a run, as a plain network with its data
``comparing``      :func:`compare`: several runs side by side
=================  ==========================================================
"""

from svl.api.comparing import Comparison, compare
from svl.api.fitting import fit
from svl.api.run import Run, load

__all__ = ["Comparison", "Run", "compare", "fit", "load"]
