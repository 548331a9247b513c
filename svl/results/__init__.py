"""From histories to statistics, figures and summaries.

A *history* is a table with one row per (logged step, replica): ``step``, ``samples`` (examples that the replica has
processed so far, the papers' compute), ``seed``, one column per varied setting, ``diverged``, then the metrics. Arms
are the combinations of varied settings; replicas of different arms with equal seeds start from equal weights and see
equal data, so arms are compared seed by seed.
"""
