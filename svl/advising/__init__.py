"""``svl advise``: whether to repeat data for a task, a network and a length of training, and in which way.

A race looks for the best strategy that repeats data, and tunes the rates of each strategy and of fresh data alike. A
confirming run on new seeds then decides, by one test that is fixed beforehand. ``docs/advise.md`` explains it.
"""
