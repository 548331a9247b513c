"""The collector of cyclic garbage, which leaves alone what a command imports."""

from __future__ import annotations

import gc

_paused: list[bool] = []


def pause() -> None:
    """Collect nothing while a process of svl's own imports what it needs.

    The modules' objects, more than a million, all stay. The collector would look at them again and again, which takes a
    fifth of the time of the imports.
    """
    if gc.isenabled():
        gc.disable()
        _paused.append(True)


def resume() -> None:
    """Collect again if :func:`pause` has stopped it, and never what there is now."""
    if _paused:
        _paused.clear()
        gc.freeze()
        gc.enable()
