"""A step of the loop takes no more instructions than when they were last recorded."""

import pytest

from svl.bench import counting


@pytest.mark.slow
@pytest.mark.skipif(counting.obstacle() is not None, reason=str(counting.obstacle()))
@pytest.mark.parametrize("name", counting.KINDS)
def test_a_replica_step_takes_at_most_a_tenth_more_than_recorded(name):
    kind = counting.KINDS[name]
    assert counting.thousands(kind) <= 1.1 * kind.instructions
