"""Processes that end with the one that has started them, however it ends, also by ``kill -9``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

_PARENT = "SVL_PARENT"
_PAUSE = 1.0
_PR_SET_PDEATHSIG = 1


def environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a process of svl that is to end with this one."""
    return {**base, _PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Have the system send SIGTERM to this process when the one that asked for it (:func:`environment`) ends.

    A fit saves and ends then, so that nothing is lost and no process is left behind.
    """
    parent = os.environ.get(_PARENT, "")
    if not parent.isdigit() or int(parent) == os.getpid():
        return
    if os.getppid() != int(parent):
        if not _is_alive(int(parent)):  # it has ended since
            os.kill(os.getpid(), signal.SIGTERM)
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    # Also where the system sends no signal, and if the parent has ended in this moment.
    threading.Thread(target=_watch, args=[int(parent)], daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
