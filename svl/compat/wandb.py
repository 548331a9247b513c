"""W&B: a workspace or a report as the data that is sent to the server."""

from __future__ import annotations

from typing import Any


def as_data(view: Any) -> dict[str, Any]:
    """What saving a workspace or a report of ``wandb_workspaces`` would send, ready for YAML or JSON."""
    return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
