"""The same training done in several ways; each peer trains some steps and gives its replica-steps a second."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from svl.data import Online
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ReplicaStack

DIM, DEGREE, WIDTH, BATCH, LR = 20, 6, 64, 128, 1
JAX_PYTHON = Path(".venv-bench/bin/python")

Peer = Callable[[], float]


def plain_loop(steps: int = 1500) -> Peer:
    """One network, ``torch.nn`` and ``torch.optim``, fresh data: what everybody writes first."""
    network = nn.Sequential(nn.Linear(DIM, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)

    def run() -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # faster than two for matrices this small
        began = time.perf_counter()
        for _ in range(steps):
            x = torch.randint(0, 2, (BATCH, DIM)).float() * 2 - 1
            y = x[:, :DEGREE].prod(1)
            optimizer.zero_grad()
            nn.functional.softplus(-y * network(x)[:, 0]).mean().backward()
            optimizer.step()
        elapsed = time.perf_counter() - began
        torch.set_num_threads(threads)
        return steps / elapsed

    return run


def stack(replicas: int, steps: int, **engine: Any) -> Peer:
    """The replica stack with data generation, under some engine settings."""
    data = Online(Parity(DIM, DEGREE), batch_size=BATCH)
    data.schedule(10**9, 1)
    trained = ReplicaStack(data, narrow_mlp, "logistic", SGD(float(LR)), Replicas(seeds=replicas), **engine)
    position = 0

    def run() -> float:
        nonlocal position
        began = time.perf_counter()
        trained.train_steps(position, steps)
        elapsed = time.perf_counter() - began
        position += steps
        return replicas * steps / elapsed

    trained.train_steps(0, 1)
    position = 1
    return run


def narrow_mlp(input_shape: tuple[int, ...], output_dim: int) -> MLP:
    """The benchmark's network."""
    return MLP(input_shape, output_dim, width=WIDTH)


def jax_scan(replicas: int, steps: int) -> Peer | None:
    """JAX in its own environment, or ``None`` where that was not made (``make bench`` makes it)."""
    if not JAX_PYTHON.exists():
        return None
    script = Path(__file__).with_name("jax_peer.py")
    sizes = map(str, (replicas, BATCH, DIM, DEGREE, WIDTH, LR))
    process = subprocess.Popen(
        [JAX_PYTHON, script, *sizes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def run() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{steps}\n")
        process.stdin.flush()
        return replicas * steps / float(process.stdout.readline())

    run()
    return run
