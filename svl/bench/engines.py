"""Training of the MLP: a plain loop, the variants of svl's engine, and JAX."""

from __future__ import annotations

from svl.bench import peers
from svl.bench.section import Section, ratio, spread
from svl.data import Subset
from svl.tasks import Parity

REPLICAS = 256
COLUMNS = ("", "replica-steps / s", "times plain loop", "times JAX")
PLAIN, JAX = "plain PyTorch loop, one network", "JAX jit(vmap(scan))"


def measure(rounds: int) -> list[Section]:
    """All ways of training, on the same task."""
    contenders = {
        PLAIN: peers.plain_loop(),
        "svl, eager stack": peers.stack(REPLICAS, 20, compile="never"),
        "svl, compiled stack": peers.stack(REPLICAS, 200, compile="always", fused=False),
        "svl, compiled stack with the C++ kernel": peers.stack(REPLICAS, 400, is_stepwise=True, compile="always"),
        "svl, C++ loop (the default)": peers.stack(REPLICAS, 600, compile="always"),
        "svl, C++ loop, reshuffled epochs of 8192": peers.stack(
            REPLICAS, 600, Subset(Parity(peers.DIM, peers.DEGREE), 8192, batch_size=peers.BATCH), compile="always"
        ),
        JAX: peers.jax_scan(REPLICAS, 200),
    }
    return [section(peers.in_rounds(contenders, rounds))]


def section(rates: dict[str, list[float]]) -> Section:
    """The table of replica-steps per second."""
    text = f"""(20, 6)-parity, MLP 20-64-1, logistic loss, SGD, batch 128, data generated; {REPLICAS} replicas where
there is a stack."""
    return Section("Engines", text, COLUMNS, compared(rates, PLAIN, JAX))


def compared(rates: dict[str, list[float]], plain: str, jax: str, form: str = "{:,.0f}") -> list[list[str]]:
    """The rows of a table: each rate, and its ratios to the plain loop and to JAX."""
    return [
        [
            name,
            spread(rate, form),
            ratio(rate, rates[plain]),
            ratio(rate, rates[jax]) if jax in rates else "not measured",
        ]
        for name, rate in rates.items()
    ]
