"""Parameters that share all rates lie side by side in one matrix, so that a step updates them with one operation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from svl.replicas import broadcast_to
from svl.training.groups import StackHyper

Packed = dict[str, Tensor]


class Packing:
    """Which parameters lie in which matrix ``[replica, number]``, and where.

    A step has a few dozen operations for each matrix that it updates; a Transformer has dozens of parameters, and most
    fits have one or two sets of rates.

    Args:
        shapes: of each parameter of one replica, by name, in the network's order.
        hyper: the rates and the stream by which parameters are put together.
    """

    def __init__(self, shapes: Mapping[str, torch.Size], hyper: StackHyper) -> None:
        self.shapes = dict(shapes)
        by_rates: dict[tuple[bytes, ...], list[str]] = {}
        for name in shapes:
            rates = (*hyper.rule[name].values(), hyper.frozen[name])
            alike = (hyper.stream[name].encode(), *(rate.cpu().numpy().tobytes() for rate in rates))
            by_rates.setdefault(alike, []).append(name)
        self.names = {str(number): names for number, names in enumerate(by_rates.values())}
        self.stream = {label: hyper.stream[names[0]] for label, names in self.names.items()}

    def pack(self, parameters: Mapping[str, Float[Tensor, "replica ..."]]) -> Packed:
        """The matrices that hold the parameters."""
        flat = {name: p.flatten(1) if p.dim() > 1 else p[:, None] for name, p in parameters.items()}
        return {label: torch.cat([flat[name] for name in names], dim=1) for label, names in self.names.items()}

    def unpack(self, packed: Packed) -> dict[str, Float[Tensor, "..."]]:
        """The parameters as views of matrices ``[replica, number]``, or of one replica's rows ``[number]``."""
        parameters = {}
        for label, names in self.names.items():
            pieces = packed[label].split([self.shapes[name].numel() for name in names], dim=-1)
            for name, piece in zip(names, pieces, strict=True):
                shape = self.shapes[name]
                parameters[name] = piece.unflatten(-1, shape) if shape else piece.squeeze(-1)
        return {name: parameters[name] for name in self.shapes}

    def row(
        self, packed: Packed, frozen: Mapping[str, Bool[Tensor, "replica"]]
    ) -> Float[Tensor, "replica *batch number"]:
        """All matrices side by side, with 0 for what is frozen."""
        parts = [
            torch.where(broadcast_to(frozen[label], packed[label]) > 0, 0.0, packed[label]) for label in self.names
        ]
        return torch.cat(parts, dim=-1)

    def places(self) -> dict[str, tuple[int, int]]:
        """Where each parameter lies in a row: its first number, and the first after it."""
        names = [name for part in self.names.values() for name in part]
        ends = list(accumulate(self.shapes[name].numel() for name in names))
        return dict(zip(names, zip([0, *ends], ends, strict=False), strict=True))

    def matrices(self, row: Float[Tensor, "replica number"]) -> Packed:
        """The matrices that lie side by side in a row."""
        sizes = [sum(self.shapes[name].numel() for name in names) for names in self.names.values()]
        return dict(zip(self.names, row.split(sizes, dim=-1), strict=True))

    def pack_row(self, row: Float[Tensor, "replica number"]) -> Packed:
        """The matrices of parameters that are given one after the other in the network's order."""
        if len(self.names) == 1:
            return dict.fromkeys(self.names, row)
        pieces = row.split([shape.numel() for shape in self.shapes.values()], dim=1)
        by_name = dict(zip(self.shapes, pieces, strict=True))
        return {label: torch.cat([by_name[name] for name in names], dim=1) for label, names in self.names.items()}
