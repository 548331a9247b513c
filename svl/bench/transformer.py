"""Training of the parity Transformer: a plain loop, the replica stack, and JAX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from svl.bench import peers
from svl.bench.engines import COLUMNS, JAX, PLAIN, compared
from svl.bench.instructions import NAMES, built_for, supported
from svl.bench.section import Section, spread
from svl.data import Online
from svl.models import Transformer
from svl.optim import AdamW
from svl.tasks import Parity

BATCH, DEPTH, LR = 32, 2, 1e-4
WITHOUT = "svl, compiled stack"


@dataclass(frozen=True)
class Size:
    """One size of the network, and how many of them are trained together.

    Attributes:
        width: of the residual stream.
        heads: of the attention.
        replicas: where there is a stack.
        steps: of one timing of the stack.
    """

    width: int
    heads: int
    replicas: int
    steps: int

    @property
    def work(self) -> float:
        """Floating-point operations of a replica-step in products with weights and in the attention."""
        weights, scores = 12 * DEPTH * self.width**2, 2 * DEPTH * peers.DIM * self.width
        return 6.0 * BATCH * peers.DIM * (weights + scores)

    def network(self, input_shape: tuple[int, ...], output_dim: int) -> Transformer:
        """The paper's Transformer."""
        return Transformer(input_shape, output_dim, width=self.width, depth=DEPTH, heads=self.heads, readout="mean")


SIZES = (Size(32, 4, 16, 24), Size(64, 4, 16, 8), Size(256, 8, 4, 4))


def measure(rounds: int) -> list[Section]:
    """All ways of training, on the same task, for every size."""
    return [section(size, peers.in_rounds(contenders(size), rounds)) for size in SIZES]


def contenders(size: Size) -> dict[str, peers.Peer | None]:
    """The ways of training one size of the network."""
    alone = size.network((peers.DIM,), 1)
    optimizer = torch.optim.AdamW(alone.parameters(), lr=LR)
    stack = partial(peers.stack, size.replicas, size.steps, network=size.network, rule=AdamW(LR), compile="always")
    plain = [peers.plain_loop(alone, optimizer, BATCH, 8, threads) for threads in {1, torch.get_num_threads()}]
    sizes = (size.replicas, BATCH, peers.DIM, peers.DEGREE, size.width, DEPTH, size.heads, LR)
    levels = supported()[1:]
    kernels = {kernel(level): built_for(level, stack(_data())) for level in levels} or {kernel(): stack(_data())}
    return {
        PLAIN: lambda: max(run() for run in plain),
        WITHOUT: stack(_data(), fused=False),
        **kernels,
        JAX: peers.jax("jax_transformer_peer.py", size.replicas, size.steps, *sizes),
    }


def kernel(level: str | None = None) -> str:
    """The name of the stack with the kernel, built for a level of instructions or for the machine."""
    return f"svl, C++ kernel{f', {NAMES[level]}' if level else ''}"


def section(size: Size, rates: dict[str, list[float]]) -> Section:
    """The table of a size."""
    text = f"""(20, 6)-parity, a pre-norm encoder of depth {DEPTH}, width {size.width} and {size.heads} heads (Liu et
al. 2026, appendix B.1), logistic loss, AdamW, batch {BATCH}, data generated; {size.replicas} replicas where there is a
stack. The plain loop has one core or all, whichever is faster in the round. GFLOP / s are billions of floating-point
operations that products with weights and the attention have, if none is saved."""
    rows = compared(rates, PLAIN, JAX, "{:.3g}")
    for row, values in zip(rows, rates.values(), strict=True):
        row.append(spread([value * size.work / 1e9 for value in values]))
    return Section(f"Transformers of width {size.width}", text, (*COLUMNS, "GFLOP / s"), rows)


def _data() -> Online:
    return Online(Parity(peers.DIM, peers.DEGREE), batch_size=BATCH)
