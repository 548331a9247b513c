"""The figures of a dashboard, whatever the experiment."""

from __future__ import annotations

from typing import NamedTuple

from svl.results.arm_means import SUCCESS


class Figure(NamedTuple):
    """Metrics to draw against samples.

    Attributes:
        title: heading of the figure.
        metrics: pattern of the metrics' names.
        intervals: whether the bounds of their intervals are drawn.
        about: description for the reader.
    """

    title: str
    metrics: str
    intervals: bool
    about: str


FIGURES = (
    Figure(
        "Small against large",
        rf"val/accuracy|{SUCCESS}",
        True,
        "Test accuracy, and the share of seeds that have passed the target, against examples processed. Where the small"
        " set is ahead, repeating it is faster (Liu et al. 2026, figure 2).",
    ),
    Figure(
        "Norm ratio",
        r"norm_ratio",
        True,
        "Norm of the output layer over that of the input layer (Liu et al. 2026, figures 4 and 12).",
    ),
    Figure(
        "Gradient cosine similarity",
        r"gradient_cosine.*",
        False,
        "Mean pairwise cosine similarity of the gradients of distinct batches (Kotha et al. 2025, figure 8).",
    ),
    Figure(
        "QK statistics",
        r"qk/.+",
        False,
        "Attention logits and entropy, norms of W_Q and W_K, spectral norm of W_Q^T W_K, by layer and head.",
    ),
)
