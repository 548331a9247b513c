"""Examples of single-index models, drawn by their counters in C++."""

from __future__ import annotations

import ctypes

from jaxtyping import Float, Int
from torch import Tensor

from svl.native.source import Source


class _SingleIndex(ctypes.Structure):
    """``SingleIndex`` of single_index.cpp."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("key", "noise_key", "teacher", "noise")),
        *((name, ctypes.c_int32) for name in ("dim", "link")),
    )


def single_index_source(
    key: Int[Tensor, "replica 2"],
    noise_key: Int[Tensor, "replica 2"],
    teacher: Float[Tensor, "replica dim"],
    noise: Float[Tensor, "replica"] | None,
    link: int,
) -> Source:
    """Gaussian inputs, and a link function of their product with each replica's teacher.

    Args:
        key: of the inputs.
        noise_key: of the labels' noise.
        teacher: the direction.
        noise: standard deviation of the labels' noise; ``None`` for none.
        link: number of the link function in :data:`svl.tasks.single_index.LINKS`.
    """
    tensors = [tensor.contiguous() for tensor in (key, noise_key, teacher.float())]
    tensors += [] if noise is None else [noise.float().contiguous()]
    places = [tensor.data_ptr() for tensor in tensors] + ([None] if noise is None else [])
    return Source("single_index", _SingleIndex(*places, teacher.shape[1], link), tuple(tensors), has_words=False)
