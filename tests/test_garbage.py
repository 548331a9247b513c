"""The collector is off while a command imports, and on for what comes after it, unless it was off before."""

import gc

from svl import garbage


def test_the_collector_is_as_before_and_leaves_alone_what_there_was():
    assert gc.isenabled() and not gc.get_freeze_count()
    try:
        garbage.resume()  # nothing was paused
        assert not gc.get_freeze_count()
        garbage.pause()
        assert not gc.isenabled()
        garbage.resume()
        assert gc.isenabled() and gc.get_freeze_count() > 1000
        gc.disable()
        garbage.pause()
        garbage.resume()
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
