"""Adam with hyperparameters that can differ by replica."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from svl.optim.adamw import AdamW
from svl.optim.rule import Hyper
from svl.replicas import broadcast_to


class Adam(AdamW):
    """``torch.optim.Adam`` with hyperparameters that can differ by replica (Kingma and Ba, ICLR 2015).

    Weight decay is an L2 penalty, which is added to the gradient; :class:`AdamW` decays the weights themselves.

    Args:
        lr: learning rate. Can differ by replica, as can all the others.
        beta1: decay of the first moment, in [0, 1).
        beta2: decay of the second moment, in [0, 1).
        eps: added to the square root of the second moment.
        weight_decay: L2 penalty.

    Raises:
        SettingError: for a hyperparameter out of range.
    """

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay)

    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        gradient = gradient + broadcast_to(hyper["weight_decay"], parameter) * parameter
        without_decay = {**hyper, "weight_decay": hyper["weight_decay"] * 0}
        return super().update(parameter, gradient, state, without_decay, step)
