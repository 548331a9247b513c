"""Histories of runs, and the statistics, figures, summaries and reports made from them.

A *history* is a table with one row per (logged step, replica): ``step``, ``samples`` (the number of examples that the
replica has processed so far, the papers' compute), ``arm``, ``seed``, one column per varied setting, the metrics,
``diverged``. Arms are the combinations of varied settings. Replicas of different arms with equal seeds start from equal
weights and see equal data, so arms are compared seed by seed.

The column ``arm`` holds the arm's name where ``replicas.arms`` gives one, else its settings: ``size=4096, lr=0.3``. It
is unique within a run and the same after a resume, so ``history.groupby(["arm", "step"])`` groups the seeds.
"""
