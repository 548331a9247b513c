"""The weights that a run directory keeps: those of its last checkpoint, and snapshots of earlier steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from svl.errors import SettingError
from svl.results.files import CHECKPOINT

SNAPSHOTS = "snapshots"
_PREFIX, _EXTRA = "stack.network.", "stack._extra_state"


def snapshot(run: Path, step: int) -> Path:
    """The file of the weights after a step."""
    return run / SNAPSHOTS / f"{step:012d}.pt"


def steps(run: Path) -> list[int]:
    """The steps after which weights are kept, in order; the last checkpoint's is one of them."""
    kept = {int(path.stem) for path in (run / SNAPSHOTS).glob("*.pt") if re.fullmatch(r"\d+", path.stem)}
    if (run / CHECKPOINT).exists():
        kept.add(int(_read(run / CHECKPOINT)["global_step"]))
    return sorted(kept)


def stacked(run: Path, step: int | None = None) -> dict[str, Shaped[Tensor, "..."]]:
    """Parameters and buffers of all replicas by name; those that replicas share have no replica axis.

    Args:
        run: the run directory.
        step: after which; ``None`` for the last checkpoint's.

    Raises:
        SettingError: if the weights of that step are not kept.
    """
    if step is not None and snapshot(run, step).exists():
        return dict(_read(snapshot(run, step)))
    kept = steps(run)
    if not kept:
        raise SettingError("run", str(run), "a run directory with a checkpoint")
    if step not in (None, kept[-1]):
        allowed = f"{', '.join(map(str, kept))}: the callback Snapshots keeps the weights of more steps"
        raise SettingError("step", step, allowed)
    if step is None and not (run / CHECKPOINT).exists():
        return dict(_read(snapshot(run, kept[-1])))
    state = _read(run / CHECKPOINT)["state_dict"]
    named = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    # Buffers that are not persistent are not in the network's part.
    return named | state[_EXTRA].get("buffers", {})


@torch.no_grad()
def load_into(network: nn.Module, tensors: Mapping[str, Shaped[Tensor, "..."]], replica: int) -> None:
    """Give a plain network the weights and buffers of one replica.

    Args:
        network: of the shape that was trained, whose buffers are those of the replica's seed.
        tensors: of all replicas.
        replica: its number in the stack.

    Raises:
        SettingError: if the network has other parameters or shapes.
    """
    parameters = dict(network.named_parameters(remove_duplicate=False))
    own: dict[str, Tensor] = {**parameters, **dict(network.named_buffers(remove_duplicate=False))}
    for name in sorted((parameters.keys() - tensors.keys()) | (tensors.keys() - own.keys())):
        raise SettingError("network", name, f"a network with the parameters of the run: {', '.join(tensors)}")
    for name, value in tensors.items():
        # Buffers that are the same for all replicas are not stacked.
        row = value if value.shape == own[name].shape else value[replica]
        if row.shape != own[name].shape:
            raise SettingError("network", f"{name} {list(own[name].shape)}", f"the run's shape, {list(row.shape)}")
        own[name].copy_(row)


def _read(path: Path) -> dict[str, Any]:
    # Mapped into memory: only what is used is read.
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return loaded
