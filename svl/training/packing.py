"""Packs parameters with the same hyperparameters into one matrix, which a step updates with one operation."""

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
    """The matrix ``[replica, number]`` that holds each parameter, and the parameter's place in it.

    A step runs a few dozen operations for each matrix that it updates. A Transformer has dozens of parameters, but most
    fits need only one or two matrices.

    Args:
        shapes: the shape of each parameter of one replica, by name, in the network's order.
        hyper: the hyperparameters and the data stream of each parameter; parameters share a matrix if all are equal.
        apart: whether each parameter has a matrix of its own, for an optimizer that is not elementwise.
    """

    def __init__(self, shapes: Mapping[str, torch.Size], hyper: StackHyper, apart: bool = False) -> None:
        self.shapes = dict(shapes)
        by_rates: dict[tuple[bytes, ...], list[str]] = {}
        for name in shapes:
            rates = (*hyper.rule[name].values(), hyper.frozen[name])
            alike = (hyper.stream[name].encode(), *(rate.cpu().numpy().tobytes() for rate in rates))
            by_rates.setdefault((name.encode(),) if apart else alike, []).append(name)
        self.names = {str(number): names for number, names in enumerate(by_rates.values())}
        self.stream = {label: hyper.stream[names[0]] for label, names in self.names.items()}

    def pack(self, parameters: Mapping[str, Float[Tensor, "replica ..."]]) -> Packed:
        """The matrices that hold the parameters."""
        flat = {name: p.flatten(1) if p.dim() > 1 else p[:, None] for name, p in parameters.items()}
        return {label: torch.cat([flat[name] for name in names], dim=1) for label, names in self.names.items()}

    def unpack(self, packed: Packed) -> dict[str, Float[Tensor, "..."]]:
        """The parameters as views of matrices ``[replica, number]``, or of one replica's rows ``[number]``."""
        parameters = {}
        for label in self.names:
            parameters.update(self.unpack_matrix(label, packed[label]))
        return {name: parameters[name] for name in self.shapes}

    def unpack_matrix(self, label: str, matrix: Tensor) -> dict[str, Tensor]:
        """The parameters of one matrix ``[replica, number]``, or of a replica's row of it, as views."""
        names, parameters = self.names[label], {}
        pieces = matrix.split([self.shapes[name].numel() for name in names], dim=-1)
        for name, piece in zip(names, pieces, strict=True):
            shape = self.shapes[name]
            parameters[name] = piece.unflatten(-1, shape) if shape else piece.squeeze(-1)
        return parameters

    def row(
        self, packed: Packed, frozen: Mapping[str, Bool[Tensor, "replica"]]
    ) -> Float[Tensor, "replica *batch number"]:
        """All matrices side by side, with 0 for frozen parameters."""
        parts = [
            torch.where(broadcast_to(frozen[label], packed[label]) > 0, 0.0, packed[label]) for label in self.names
        ]
        return torch.cat(parts, dim=-1)

    def whole_row(self, packed: Packed) -> Float[Tensor, "replica number"]:
        """All matrices side by side, with the numbers of frozen parameters too."""
        return torch.cat([packed[label] for label in self.names], dim=-1)

    def places(self) -> dict[str, tuple[int, int]]:
        """The place of each parameter in a row: where it begins and where it ends, as in a slice."""
        names = [name for part in self.names.values() for name in part]
        ends = list(accumulate(self.shapes[name].numel() for name in names))
        return dict(zip(names, zip([0, *ends], ends, strict=False), strict=True))

    def matrices(self, row: Float[Tensor, "replica number"]) -> Packed:
        """Split a row, as :meth:`row` returns it, into its matrices."""
        sizes = [sum(self.shapes[name].numel() for name in names) for names in self.names.values()]
        return dict(zip(self.names, row.split(sizes, dim=-1), strict=True))

    def pack_row(self, row: Float[Tensor, "replica number"]) -> Packed:
        """The matrices that hold the parameters of a row in which these are in the network's order."""
        if len(self.names) == 1:
            return dict.fromkeys(self.names, row)
        pieces = row.split([shape.numel() for shape in self.shapes.values()], dim=1)
        by_name = dict(zip(self.shapes, pieces, strict=True))
        return {label: torch.cat([by_name[name] for name in names], dim=1) for label, names in self.names.items()}
