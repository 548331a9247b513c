"""The end of a fit: what is printed when it was stopped, and the results that are written when it was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from svl.callbacks.checkpoint import Checkpoint
from svl.cli.settings import Target
from svl.cli.streams import drop_output
from svl.console import console, say
from svl.errors import StorageError
from svl.results import history, summary, tables
from svl.results.provenance import provenance
from svl.results.run_directory import CHECKPOINT, FIGURE, RunDirectory
from svl.tracking import Tracker


def print_stopped(trainer: pl.Trainer, checkpoint: Checkpoint, path: Path) -> None:
    """Print who stopped a fit before its last step, and how to resume it.

    Args:
        checkpoint: the callback that received the signal, if a signal stopped the fit.
        path: the run directory.
    """
    step, received, place = trainer.global_step, checkpoint.received, path / CHECKPOINT
    cause = received.name if received else _stopped_by(trainer)
    if not received or place.exists():
        saved = torch.load(place, weights_only=True)["global_step"] if received else step
        resume = f"to resume from step {saved:,}, give the same command with --ckpt_path {place}"
    else:
        resume = "there is no checkpoint yet: give the same command again"
    try:
        print(f"stopped at step {step:,} of {trainer.max_steps:,} by {cause}; {resume}")
        if received and place.exists():
            print(path, flush=True)
    except BrokenPipeError:
        drop_output()


def explain_failure(error: BaseException, path: Path, is_trained: bool) -> None:
    """Say what is left of a fit that has failed, and how to go on.

    Args:
        error: what was raised.
        path: the run directory.
        is_trained: whether the fit had reached its last step.

    Raises:
        StorageError: if the disk has failed.
    """
    checkpoint = path / CHECKPOINT
    advice = f"the last checkpoint is complete: once the disk works again, resume with --ckpt_path {checkpoint}"
    if not checkpoint.exists():
        advice = "nothing was trained"
    elif is_trained:
        advice = f"the training is done: svl finish {path} writes its results"
    if isinstance(error, OSError):
        raise StorageError(path, error, advice) from error
    if is_trained:
        say(f"svl: {advice}")


def _stopped_by(trainer: pl.Trainer) -> str:
    """Which callback stopped a fit, where that is known."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping ({' '.join(callback.stopping_reason_message.split())})"
    return "a callback or max_time"


def write_results(
    trainer: pl.Trainer,
    run_directory: RunDirectory,
    target: Target,
    words: Sequence[str],
    checkpoint: Checkpoint,
    tracker: Tracker | None = None,
) -> bool:
    """Write history, summary and figure, and print the table of arms and where everything is.

    The training is done, and nothing here undoes it: each part that fails is one line on standard error, and the
    others come all the same.

    Args:
        words: the command line as the user wrote it.
        checkpoint: the callback that knows how long the fit has trained, over all resumptions, and by which routes.
        tracker: is given the results.

    Returns:
        whether the history and the summary are written.
    """
    model: Any = trainer.lightning_module
    path, vary = run_directory.path, list(model.replicas.vary)
    task = trainer.datamodule.task  # type: ignore[attr-defined]
    diverged = int((model.stack.record["diverged_at"] >= 0).sum())
    part = partial(_part, path)
    with part("the history's table") as joining:
        history.finish(path)
    result: dict[str, Any] = {}
    with part("the summary") as writing:
        extra = {
            **({"data_digest": task.digest} if task.digest else {}),
            **({"data_notes": list(task.notes)} if task.notes else {}),
            "finished": trainer.global_step >= trainer.max_steps,
            "wall_seconds": round(checkpoint.wall_seconds, 3),
            "diverged": diverged,
            "routes": checkpoint.routes,
            **provenance(words),
        }
        result = summary.summarise(history.read(path), vary, target.metric, target.value, extra=extra)
        summary.write(path, result)
    with part("the figure") as drawing:
        run_directory.draw(vary, target.metric, target.value)
    if tracker:
        tracker.keep_results(run_directory)
    with part("the table of arms"):
        if result:
            console().print(tables.table(result))
        if diverged:
            print(f"{diverged} of {len(model.replicas)} replicas diverged; they were frozen and are counted separately")
        if drawing.is_done:
            print(f"figure: {path / FIGURE}.png")
        print(path, flush=True)
    return joining.is_done and writing.is_done


@dataclass
class _Part:
    """Whether a part of the results was written."""

    is_done: bool = False


@contextmanager
def _part(path: Path, what: str) -> Iterator[_Part]:
    """Within the block an error becomes one line that says what is missing, and how to have it.

    Args:
        path: the run directory.
        what: is written.
    """
    part = _Part()
    try:
        yield part
        part.is_done = True
    except BrokenPipeError:
        drop_output()
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).strip()
        cause = " ".join(f"{type(error).__name__}: {reason}".split())
        say(f"svl: {what} could not be written ({cause}); the training is done: svl finish {path} tries again")
