"""The short names that configs use for the losses of this package."""

from __future__ import annotations

from svl.errors import SettingError, nearest
from svl.losses.correlation import Correlation
from svl.losses.cross_entropy import CrossEntropy
from svl.losses.hinge import Hinge
from svl.losses.logistic import Logistic
from svl.losses.loss import Loss
from svl.losses.squared import Squared

LOSSES: dict[str, type[Loss]] = {
    "logistic": Logistic,
    "hinge": Hinge,
    "squared": Squared,
    "correlation": Correlation,
    "cross_entropy": CrossEntropy,
}
"""A loss that is not listed here is named by the import path of its class."""


def make(loss: Loss | str) -> Loss:
    """The loss itself, or the one that has a short name.

    Raises:
        SettingError: for an unknown name.
    """
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        others = (kind for kind in Loss.__subclasses__() if kind not in LOSSES.values())
        close = nearest(loss, [*LOSSES, *(f"{kind.__module__}.{kind.__name__}" for kind in others)])
        raise SettingError("loss", loss, f"{', '.join(LOSSES)}, or the import path of a class of losses{close}")
    return LOSSES[loss]()


def name_of(kind: type[Loss]) -> str:
    """The short name of a class of losses; the name of the class if it has no short one."""
    return next((name for name, named in LOSSES.items() if named is kind), kind.__name__)
