"""Training of the parity Transformer: a plain loop, the replica stack, and JAX."""

from __future__ import annotations

import torch

from svl.bench import peers
from svl.bench.engines import COLUMNS, JAX, PLAIN, compared
from svl.bench.section import Section
from svl.data import Online
from svl.models import Transformer
from svl.optim import AdamW
from svl.tasks import Parity

REPLICAS, BATCH, WIDTH, DEPTH, HEADS, LR = 4, 32, 256, 2, 8, 1e-4


def measure(rounds: int) -> list[Section]:
    """All ways of training, on the same task."""
    alone = network((peers.DIM,), 1)
    optimizer = torch.optim.AdamW(alone.parameters(), lr=LR)
    data = Online(Parity(peers.DIM, peers.DEGREE), batch_size=BATCH)
    sizes = (REPLICAS, BATCH, peers.DIM, peers.DEGREE, WIDTH, DEPTH, HEADS, LR)
    plain = [peers.plain_loop(alone, optimizer, BATCH, 8, threads) for threads in {1, torch.get_num_threads()}]
    contenders = {
        PLAIN: lambda: max(run() for run in plain),
        "svl, compiled stack": peers.stack(REPLICAS, 4, data, network, AdamW(LR), compile="always"),
        JAX: peers.jax("jax_transformer_peer.py", REPLICAS, 4, *sizes),
    }
    rates = peers.in_rounds(contenders, rounds)
    text = f"""(20, 6)-parity, a pre-norm encoder of depth {DEPTH}, width {WIDTH} and {HEADS} heads (Liu et al. 2026,
appendix B.1), logistic loss, AdamW, batch {BATCH}, data generated; {REPLICAS} replicas where there is a stack. The
plain loop has one core or all, whichever is faster in the round."""
    return [Section("Transformers", text, COLUMNS, compared(rates, PLAIN, JAX, "{:.3g}"))]


def network(input_shape: tuple[int, ...], output_dim: int) -> Transformer:
    """The paper's Transformer."""
    return Transformer(input_shape, output_dim, width=WIDTH, depth=DEPTH, heads=HEADS, readout="mean")
