"""Counter-based random numbers: the same key and counter give the same bits on any device, in any order.

Gaussian numbers (:func:`normal_pair`) are made of these bits by logarithms and cosines, whose last digits can differ
between devices.

The generator is Philox-4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
Words of 32 bits are held in int64 tensors, because 64-bit products are needed and unsigned arithmetic is not available
everywhere. All functions are elementwise over broadcast leading axes, so they fuse into a compiled training step.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import native
from svl.native.philox import normals as normals_by_kernel
from svl.native.philox import philox as philox_by_kernel

MASK32 = 0xFFFFFFFF
_SIGN = -(2**63)
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_FEISTEL_ROUNDS = 8
_MAX_CANDIDATES = 2**16

_has_kernel = ContextVar("has_kernel", default=False)

Words = tuple[Tensor, Tensor, Tensor, Tensor]
Counter = tuple[Tensor | int, Tensor | int, Tensor | int, Tensor | int]


@contextmanager
def kernel() -> Iterator[None]:
    """Within the block, this thread draws on the CPU by a C++ kernel; for code that is not compiled.

    The bits are the same; of Gaussians they are the same up to rounding: both kinds are within 2^-20 of each other. A
    compiled step draws by its own code, which it fuses with what the bits are used for.
    """
    token = _has_kernel.set(native.is_available("random"))
    try:
        yield
    finally:
        _has_kernel.reset(token)


def _is_by_kernel() -> bool:
    # Torch's compiler cannot follow a context.
    return not torch.compiler.is_compiling() and _has_kernel.get()


def _aligned(*words: Tensor) -> list[Tensor]:
    """The same tensors with as many axes each."""
    axes = max(word.dim() for word in words)
    return [word[(None,) * (axes - word.dim())] for word in words]


def philox(counter: Counter, key: Int[Tensor, "*#shape 2"]) -> Words:
    """One block of Philox-4x32-10: four 32-bit words per counter.

    Args:
        counter: four 32-bit words that broadcast with each other and with ``key[..., 0]``.
        key: two 32-bit words.
    """
    c0, c1, c2, c3 = (torch.as_tensor(c, dtype=torch.int64, device=key.device) for c in counter)
    k0, k1 = key[..., 0], key[..., 1]
    if _is_by_kernel():
        return philox_by_kernel(*_aligned(c0, c1, c2, c3, k0, k1)).unbind()
    for _ in range(10):
        # Wrapped int64 products keep all 64 bits; the mask undoes the arithmetic shift's sign extension.
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = ((product1 >> 32) & MASK32) ^ c1 ^ k0, ((product0 >> 32) & MASK32) ^ c3 ^ k1
        c1, c3 = product1 & MASK32, product0 & MASK32
        k0, k1 = (k0 + _WEYL[0]) & MASK32, (k1 + _WEYL[1]) & MASK32
    return c0, c1, c2, c3


def key(seed: int | Int[Tensor, "*shape"]) -> Int[Tensor, "*shape 2"]:
    """The key of a seed: its low and high 32 bits."""
    seed = torch.as_tensor(seed, dtype=torch.int64)
    return torch.stack((seed & MASK32, (seed >> 32) & MASK32), dim=-1)


@torch.compiler.assume_constant_result
def _tag(name: str) -> int:
    return zlib.crc32(name.encode())


def fold(parent: Int[Tensor, "*#shape 2"], data: str | int | Int[Tensor, "*#shape"]) -> Int[Tensor, "*#shape 2"]:
    """An independent key derived from ``parent`` and a name or number, one for each purpose ("data", "test", ...)."""
    # A tag in the last counter word keeps derived keys apart from every example's counters.
    if isinstance(data, str):
        counter: Counter = (_tag(data), 0, 1, MASK32)
    else:
        data = torch.as_tensor(data, dtype=torch.int64, device=parent.device)
        counter = (data & MASK32, (data >> 32) & MASK32, 0, MASK32)
    return torch.stack(philox(counter, parent)[:2], dim=-1)


def bits(key: Int[Tensor, "*#shape 2"], index: Int[Tensor, "*#shape"], block: int = 0, stream: int = 0) -> Words:
    """Block number ``block`` of 128 random bits of the counter ``index``, as four 32-bit words."""
    return philox((index & MASK32, (index >> 32) & MASK32, block, stream), key)


def uniform(words: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Floats uniform on [0, 1) with 24 bits, from 32-bit words."""
    return (words >> 8).to(torch.float32) * 2.0**-24


def uniforms(key: Int[Tensor, "*#shape 2"], index: Int[Tensor, "*#shape"], count: int) -> Float[Tensor, "..."]:
    """``count`` floats uniform on [0, 1) for each counter, in a new last axis: ``[*shape, count]``."""
    block = torch.arange((count + 3) // 4, device=key.device)
    words = philox(((index & MASK32)[..., None], ((index >> 32) & MASK32)[..., None], block, 0), key[..., None, :])
    return uniform(torch.stack(words, dim=-1).flatten(-2)[..., :count])


def normal_pair(
    first: Int[Tensor, "*shape"], second: Int[Tensor, "*shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Two independent standard Gaussians from two 32-bit words each (Box and Muller, 1958); at most 6.8 in size."""
    radius = torch.sqrt(-2.0 * torch.log((first.to(torch.float32) + 0.5) * 2.0**-32))
    angle = uniform(second) * (2.0 * math.pi)
    return radius * torch.cos(angle), radius * torch.sin(angle)


def normals(
    key: Int[Tensor, "*#shape 2"], index: Int[Tensor, "*#shape"], count: int, stream: int = 0
) -> Float[Tensor, "..."]:
    """``count`` standard Gaussians for each counter, in a new last axis: ``[*shape, count]``."""
    if _is_by_kernel():
        return normals_by_kernel(*_aligned(key[..., 0], key[..., 1], index), count, stream)
    block = torch.arange((count + 3) // 4, device=key.device)
    w0, w1, w2, w3 = philox(
        ((index & MASK32)[..., None], ((index >> 32) & MASK32)[..., None], block, stream), key[..., None, :]
    )
    return torch.stack((*normal_pair(w0, w1), *normal_pair(w2, w3)), dim=-1).flatten(-2)[..., :count]


def _multiply_high(high: Tensor, low: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """High and low 64 bits of the product of a 64-bit word (two 32-bit halves) and ``n`` < 2^63."""
    n_low, n_high = n & MASK32, n >> 32
    low_low, low_high, high_low = low * n_low, low * n_high, high * n_low
    middle = ((low_low >> 32) & MASK32) + (low_high & MASK32) + (high_low & MASK32)
    carry = ((low_high >> 32) & MASK32) + ((high_low >> 32) & MASK32) + (middle >> 32)
    return high * n_high + carry, (low_low & MASK32) | (middle << 32)


def integers(words: Words, n: int | Int[Tensor, "*#shape"]) -> Int[Tensor, "*shape"]:
    """Integers uniform on [0, n), 1 <= n < 2^62, by multiply-shift with rejection (Lemire, ACM TOMACS 2019).

    A block holds two 64-bit draws, of which the second is used if the first is rejected. The remaining bias is below
    (n / 2^64)^2.
    """
    n = torch.as_tensor(n, dtype=torch.int64, device=words[0].device)
    threshold = 2 * ((2**63 - 1) % n + 1) % n  # 2^64 mod n
    first, remainder = _multiply_high(words[0], words[1], n)
    second, _ = _multiply_high(words[2], words[3], n)
    return torch.where((remainder ^ _SIGN) < (threshold ^ _SIGN), second, first)


def _mix(x: Tensor) -> Tensor:
    """MurmurHash3's 32-bit finaliser (Appleby): a bijection of 32-bit words; every bit of ``x`` reaches every bit."""
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & MASK32
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & MASK32
    return x ^ (x >> 16)


def feistel_shape(n: int) -> tuple[int, int]:
    """Sides ``(a, b)`` of the smallest near-square grid with at least ``n`` cells; rarely more than two are spare."""
    root = math.isqrt(n - 1) + 1
    # A very short side mixes badly, so a few steps of cycle walking are better than a long thin grid.
    lowest = max(root // 4, root - _MAX_CANDIDATES, min(root, 8), -(-n // 2**31))
    a = min(range(root, lowest - 1, -1), key=lambda side: -n % side)
    return a, -(-n // a)


def round_keys(key: Int[Tensor, "*shape 2"]) -> list[Int[Tensor, "*shape"]]:
    """The round keys of one keyed permutation, which can be used for any number of positions."""
    # All blocks in one call, along a separate axis, so that there is a quarter of the code to compile.
    block = torch.arange(_FEISTEL_ROUNDS // 4, device=key.device)
    words = philox((0, 0, block, 0), key[..., None, :])
    return [words[number % 4][..., number // 4] for number in range(_FEISTEL_ROUNDS)]


def permutation(
    round_keys: list[Int[Tensor, "*#shape"]],
    position: Int[Tensor, "*#shape"],
    n: Int[Tensor, "*#shape"],
    sides: tuple[Int[Tensor, "*#shape"], Int[Tensor, "*#shape"]],
    walk: int,
) -> Int[Tensor, "*shape"]:
    """The image of ``position`` under a keyed pseudorandom permutation of [0, n), computed without a table.

    A generalised Feistel network on an a x b grid (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002)
    with cycle walking where a b > n. Use :func:`permutation_plan` for ``sides`` and ``walk``. With fewer than about ten
    elements, some orders are a few per cent more frequent than others.

    Args:
        round_keys: from :func:`round_keys`, of a key into which the epoch is folded.
        position: in [0, n).
        n: size of the permuted range, at most 2^62.
        sides: ``(a, b)`` with a b >= n, each at most 2^31.
        walk: cycle-walking steps after the first, 0 if a b = n. An element needs more with a probability below 2^-64.
    """
    a, b = sides

    def scramble(x: Tensor) -> Tensor:
        left = x // b
        right = x - left * b
        for number, round_key in enumerate(round_keys):
            even = number % 2 == 0
            half, source, side = (left, right, a) if even else (right, left, b)
            moved = half + (_mix(source & MASK32 ^ round_key) * side >> 32)
            moved = torch.where(moved >= side, moved - side, moved)
            left, right = (moved, right) if even else (left, moved)
        return left * b + right

    result = scramble(position)
    for _ in range(walk):
        result = torch.where(result < n, result, scramble(result))
    return result


def _walk(grid: int, n: int) -> int:
    """Sufficient cycle-walking steps: at most the number of spare cells, or fewer with a failure chance below 2^-64."""
    spare = grid - n
    return min(spare, math.ceil(64 / math.log2(grid / spare)) - 1) if spare else 0


def permutation_plan(sizes: list[int]) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"], int]:
    """Grid sides for each size, and the number of cycle-walking steps that is sufficient for all of them."""
    shapes = [feistel_shape(n) for n in sizes]
    walk = max(_walk(a * b, n) for (a, b), n in zip(shapes, sizes, strict=True))
    return torch.tensor([a for a, _ in shapes]), torch.tensor([b for _, b in shapes]), walk
