"""The files of a run directory that others look for, and whether its fit is done; pandas is not needed for that."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG, CHECKPOINT, FIGURE = "config.yaml", Path("checkpoints") / "last.ckpt", Path("figures") / "curves"
SUMMARY = "summary.json"


def is_finished(run: Path) -> bool:
    """Whether a run has reached its last step."""
    try:
        return bool(json.loads((run / SUMMARY).read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
