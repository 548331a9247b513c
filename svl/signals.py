"""The signals that ask a command to stop, and handlers for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, the end of a job, and SLURM's announcement of a time limit."""

Handler = Callable[[int, FrameType | None], None]


def install(handler: Handler) -> None:
    """Call ``handler(number, frame)`` for each signal that asks to stop."""
    for number in SIGNALS:
        signal.signal(number, handler)


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Within the block, signals that ask to stop go to ``handler``; afterwards to whatever handled them before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    install(handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
