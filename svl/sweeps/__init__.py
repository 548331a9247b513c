"""Sweeps: many fits from one file in W&B's own format, on this machine, on a SLURM cluster or by W&B's agents.

What can vary inside a fit is an arm of it (``replicas.vary``); a sweep is for what cannot: widths, batch sizes,
optimizers, tasks. See :mod:`svl.sweeps.sweep_file` for the format.
"""
