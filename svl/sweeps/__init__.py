"""Sweeps: many fits from one file in W&B's own format, on this machine, on a SLURM cluster or by W&B's agents.

Settings that can vary inside a fit are better varied as its arms (``replicas.vary``). A sweep is for all others:
widths, batch sizes, optimizers, tasks. See :mod:`svl.sweeps.sweep_file` for the format.
"""
