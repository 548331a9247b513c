"""The pre-norm Transformer: encoder or decoder, over discrete or continuous tokens."""

from __future__ import annotations

import math
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from svl.checks import check_choice, check_whole
from svl.errors import SettingError

QKNorm = Literal["none", "layer", "rms"]
Readout = Literal["last", "mean", "all"]
QK_NORMS: dict[str, type[nn.Module]] = {"none": nn.Identity, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
READOUTS = ("last", "mean", "all")


class Attention(nn.Module):
    """Multi-head self-attention, softmax(q k^T / sqrt(d_head)) v, with optional normalisation of q and k.

    Parameters: ``q``, ``k``, ``v``, ``out`` (linear), ``q_norm`` and ``k_norm`` with a learned scale per coordinate
    of a head (Henry et al. 2020; Liu et al. 2026, section 5.2.2, uses RMSNorm).

    Args:
        width: width of the residual stream.
        heads: number of heads, a divisor of ``width``.
        causal: whether a position attends only to itself and earlier positions.
        qk_norm: ``none``, ``layer`` or ``rms``.
    """

    def __init__(self, width: int, heads: int, causal: bool = False, qk_norm: QKNorm = "none") -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        norm = QK_NORMS[qk_norm]
        self.q_norm, self.k_norm = norm(width // heads), norm(width // heads)

    def queries_and_keys(
        self, x: Float[Tensor, "*batch position width"]
    ) -> tuple[Float[Tensor, "*batch head position d_head"], Float[Tensor, "*batch head position d_head"]]:
        """Queries and keys of each head, normalised if ``qk_norm`` says so."""
        return self.q_norm(self._split(self.q(x))), self.k_norm(self._split(self.k(x)))

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... position (head d_head) -> ... head position d_head", head=self.heads)

    def forward(self, x: Float[Tensor, "*batch position width"]) -> Float[Tensor, "*batch position width"]:
        """The attention's output at each position."""
        q, k = self.queries_and_keys(x)
        values = F.scaled_dot_product_attention(q, k, self._split(self.v(x)), is_causal=self.causal)
        return self.out(rearrange(values, "... head position d_head -> ... position (head d_head)"))


class Block(nn.Module):
    """A pre-norm Transformer block: x + attention(norm(x)), then x + feed_forward(norm(x)) with one GELU layer."""

    def __init__(self, width: int, heads: int, feed_forward_ratio: float, causal: bool, qk_norm: QKNorm) -> None:
        super().__init__()
        hidden = round(feed_forward_ratio * width)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal, qk_norm)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*batch position width"]) -> Float[Tensor, "*batch position width"]:
        """The residual stream after the block."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class Transformer(nn.Module):
    """A pre-norm Transformer with learned position embeddings and PyTorch's default initialisation of linear layers.

    Source: Liu et al. 2026, appendix B.1 (depth 2; encoders for parity and single-index models, decoders for modular
    addition) and Kotha et al. 2025, appendix B.1 (GPT-2's shape: depth 12, 8 heads, width 256).

    Each coordinate of a vector input ``(dim,)`` is one token; inputs ``(position, dim)`` are sequences of tokens
    already. Parameters: ``embed``, ``positions``, ``blocks.0.attention.q.weight`` (and ``k``, ``v``, ``out``),
    ``blocks.0.up.weight``, ``blocks.0.down.weight``, ..., ``norm``, ``head``.

    Args:
        input_shape: ``(position,)`` or ``(position, dim)``.
        output_dim: number of outputs.
        vocabulary: number of distinct tokens if they are discrete, ``None`` if they are continuous.
        width: width of the residual stream.
        depth: number of blocks.
        heads: number of attention heads, a divisor of ``width``.
        feed_forward_ratio: hidden units of the feed-forward layers, divided by ``width``.
        causal: whether it is a decoder (a position attends to itself and earlier positions) or an encoder.
        qk_norm: normalisation of queries and keys: ``none``, ``layer`` or ``rms``.
        readout: outputs from the ``last`` position, the ``mean`` over positions, or ``all`` of them.

    Raises:
        SettingError: for sizes below 1, heads that do not divide the width, or an unknown ``qk_norm`` or ``readout``.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        output_dim: int,
        vocabulary: int | None = None,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        feed_forward_ratio: float = 4.0,
        causal: bool = False,
        qk_norm: QKNorm = "none",
        readout: Readout = "last",
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth), ("heads", heads)):
            check_whole(name, value, 1)
        if width % heads:
            raise SettingError("heads", heads, f"a divisor of width = {width}")
        if not (math.isfinite(feed_forward_ratio) and round(feed_forward_ratio * width) >= 1):
            raise SettingError("feed_forward_ratio", feed_forward_ratio, "a number above 0")
        check_choice("qk_norm", qk_norm, QK_NORMS)
        check_choice("readout", readout, READOUTS)
        self.readout = readout
        self.is_discrete = vocabulary is not None
        self.is_vector = len(input_shape) == 1 and not self.is_discrete
        token_dim = 1 if self.is_vector else input_shape[-1]
        self.embed = nn.Linear(token_dim, width) if vocabulary is None else nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty(input_shape[0], width).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward_ratio, causal, qk_norm) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, output_dim)

    def forward(
        self, x: Float[Tensor, "batch position"] | Int[Tensor, "batch position"] | Float[Tensor, "batch position dim"]
    ) -> Float[Tensor, "batch output"] | Float[Tensor, "batch position output"]:
        """Outputs for a batch of inputs ``[batch, *input_shape]``."""
        x = self.embed(x[..., None] if self.is_vector else x) + self.positions
        for block in self.blocks:
            x = block(x)
        if self.readout == "last":
            x = x[..., -1, :]
        x = self.norm(x)
        if self.readout == "mean":
            x = x.mean(-2)
        return self.head(x)
