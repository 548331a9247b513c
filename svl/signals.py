"""The signals that ask a command to stop, and handlers for them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, the end of a job, and SLURM's announcement of a time limit."""

Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """A signal asked to stop while something was prepared, such as a kernel that was being built.

    Not an ``Exception``: what is prepared has to end, and not to be tried in another way.

    Args:
        received: the signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        self.received = received
        super().__init__(received.name)


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


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block, a signal that asks to stop goes to its handler and then ends the block by :class:`Interrupted`.

    A signal without a handler ends the process, after the block has cleaned up. Only the main thread can have handlers:
    in any other one the block is an ordinary one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def end(number: int, frame: FrameType | None) -> None:
        previous = before[signal.Signals(number)]
        if previous == signal.SIG_IGN:
            return
        if callable(previous):
            previous(number, frame)
        raise Interrupted(signal.Signals(number))

    try:
        with handled_by(end):
            yield
    except Interrupted as interruption:
        if before[interruption.received] == signal.SIG_DFL:
            os.kill(os.getpid(), interruption.received)
        raise
