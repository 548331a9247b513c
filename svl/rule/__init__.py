"""A rule that predicts which set to repeat, from a short probe of a fit; how it was fitted, and how it was tested."""
