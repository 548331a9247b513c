"""Benchmarks: the only source of performance numbers in the documentation (``make bench``)."""
