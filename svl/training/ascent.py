"""The second gradient of a step, at perturbed parameters, for optimizers such as SAM."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from svl.training.spec import StackSpec

Tensors = dict[str, Any]


class Ascent:
    """Where a block's second gradient is taken; it needs no route of its own.

    A step of several micro-batches takes the first gradient of all of them before the second of any, because the
    perturbation depends on the gradient of the whole batch.

    Args:
        spec: what is trained; its optimizer has a :meth:`~svl.optim.UpdateRule.perturbation`.
    """

    def __init__(self, spec: StackSpec) -> None:
        self.packing, self.rule = spec.packing, spec.rule
        ungrouped = [name for name, group in spec.hyper.group.items() if not group] or list(spec.hyper.group)
        self._label = next(label for label, names in spec.packing.names.items() if ungrouped[0] in names)

    def perturbed(
        self, tensors: Tensors, gradients: dict[str, Tensor], step: Int[Tensor, ""]
    ) -> dict[str, Float[Tensor, "replica number"]]:
        """The matrices of the perturbed parameters."""
        packing, frozen = self.packing, tensors["frozen"]
        weights, gradient = packing.whole_row(tensors["params"]), packing.row(gradients, frozen)
        added = self.rule.perturbation(weights, gradient, tensors["hyper"][self._label], step)
        moved = weights + packing.row(packing.matrices(added), frozen)
        return {label: matrix.contiguous() for label, matrix in packing.matrices(moved).items()}

    def begin(self, tensors: Tensors, step: Int[Tensor, ""]) -> None:
        """Keep the parameters and the first gradient's loss and accuracy, and move to the perturbed parameters.

        ``total`` is zero after it, for the second gradient. This is a few copies, which are not worth compiling.
        """
        total, kept = tensors["total"], tensors["ascent"]
        perturbed = self.perturbed(tensors, total["gradients"], step)
        kept["loss"].copy_(total["loss"])
        kept["correct"].copy_(total["correct"])
        for label, parameter in tensors["params"].items():
            kept["params"][label].copy_(parameter)
            parameter.copy_(perturbed[label])
        for tensor in (*total["gradients"].values(), total["loss"], total["correct"]):
            tensor.zero_()

    def end(self, tensors: Tensors) -> None:
        """Move back to the parameters, with the first gradient's loss and accuracy in ``total``."""
        total, kept = tensors["total"], tensors["ascent"]
        total["loss"].copy_(kept["loss"])
        total["correct"].copy_(kept["correct"])
        for label, parameter in tensors["params"].items():
            parameter.copy_(kept["params"][label])
