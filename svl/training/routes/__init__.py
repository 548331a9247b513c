"""The routes: one file for each way to compute gradients or to take steps.

Every route gives the same numbers up to rounding; :class:`~svl.training.routes.autograd.Autograd`, step by step and
without compilation, is the oracle that the tests compare the others with. :mod:`svl.training.plan` chooses.
"""
