"""svl, "small versus large": when does training again and again on a small sample beat training on fresh data, and why?

Legend of the axis names used in every signature:

=============  =====================================================================
``replica``    the R independent trainings of one stack (arm-major: arm 0's seeds first)
``batch``      the examples of one micro-batch
``dim``        the coordinates of an input
``output``     the network's outputs
``word``       32-bit words of a random block, held in int64
=============  =====================================================================

A key is two 32-bit words, an index a 64-bit integer; both live in int64 tensors.
"""

__version__ = "0.1.0"
