"""W&B: a workspace or a report as the data that is sent to the server; a run that starts without W&B Launch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


def as_data(view: Any) -> dict[str, Any]:
    """What saving a workspace or a report of ``wandb_workspaces`` would send, ready for YAML or JSON."""
    return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)


@contextmanager
def without_launch() -> Iterator[None]:
    """A context in which a run that starts does not import W&B Launch, which takes a second.

    It looks there for inputs that the program has given to Launch, for which the program has imported it.
    """
    if "wandb.sdk.launch" in sys.modules:
        yield
        return
    from wandb.sdk.wandb_run import Run

    with mock.patch.object(Run, "_detect_and_apply_job_inputs", lambda run: None):
        yield
