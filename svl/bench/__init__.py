"""Benchmarks, the source of all performance numbers in the documentation (``make bench``)."""
