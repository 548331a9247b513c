"""What to use in place of settings and classes of Lightning and PyTorch that svl does not take."""

from __future__ import annotations

SETTINGS = {
    "seed_everything": "replicas.first_seed",
    "seed": "replicas.first_seed",
    "optimizer": "model.optimizer",
    "lr_scheduler": "model.schedules",
}
"""Settings that users of Lightning look for, and svl's counterparts; ``trainer_arguments`` has those of the trainer."""

_CLASSES = (
    ("model.optimizer", "torch.optim.", "an optimizer updates all replicas at once, which those of torch.optim cannot"),
    ("model.loss", "torch.nn.", "a loss gives one number for each example, which those of torch.nn do not"),
)


def instead_of(key: str) -> str:
    """``" (in svl: ...)"`` for a setting of Lightning that has a counterpart, or an empty string."""
    return f" (in svl: {SETTINGS[key]})" if key in SETTINGS else ""


def about_class(key: str, path: str) -> str:
    """Why a class of PyTorch cannot stand in a setting; empty if nothing special is known."""
    return next((why for place, start, why in _CLASSES if key.startswith(place) and path.startswith(start)), "")
