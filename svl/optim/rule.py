"""The base class of optimizers: update rules that train all replicas at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

Hyper = dict[str, Tensor]


class UpdateRule(ABC):
    """The base class of optimizers: a pure function that updates the parameters of all replicas.

    Every hyperparameter is a vector with one value for each replica. Unlike a ``torch.optim.Optimizer`` a rule holds
    hyperparameters and no state: :meth:`state` makes the initial state and :meth:`update` returns the next one. A
    subclass stores the arguments of its constructor in attributes of the same names.

    A rule is given one parameter after the other in its own shape with a replica axis, ``[replica, *shape]``. A rule
    whose update treats all numbers of a parameter alike, as those of SGD and Adam do, has ``elementwise = True``:
    parameters with the same hyperparameters are then one matrix ``[replica, number]``, which is faster. A class of your
    own is tried on a small example before training (:mod:`svl.optim.checking`), also whether it is elementwise.

    Attributes:
        per_replica: names of the hyperparameters. Parameter groups and parameterisations change ``lr`` and
            ``weight_decay`` where a rule has them; schedules need ``lr``.
        optional: those of them that ``hyper`` has only where some replica's value is not 0 or ``False``, so that a fit
            that does not use them does not compute them.
        elementwise: whether an update treats all numbers of a parameter alike.
        is_adaptive: whether the size of an update stays the same when the gradient is scaled, as Adam's does.
    """

    per_replica: ClassVar[frozenset[str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    elementwise: ClassVar[bool] = False
    is_adaptive: ClassVar[bool] = False

    @abstractmethod
    def state(self, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        """The initial state of one stacked parameter, by name: tensors of any shape that begins with the replica axis.

        A number that counts steps, for example, is a tensor ``[replica]``.
        """

    @abstractmethod
    def update(
        self,
        parameter: Float[Tensor, "replica ..."],
        gradient: Float[Tensor, "replica ..."],
        state: dict[str, Tensor],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> tuple[Float[Tensor, "replica ..."], dict[str, Tensor]]:
        """The parameter and its state after one step, as new tensors.

        Args:
            parameter: one parameter ``[replica, *shape]``; several as one matrix ``[replica, number]`` if the rule is
                elementwise.
            gradient: the gradient, of the same shape.
            state: the state, as :meth:`state` or the last call returned it.
            hyper: the hyperparameters in ``per_replica``, each a float64 tensor ``[replica]``.
            step: number of the step; the first is 0.
        """

    def state_of(self, name: str, parameter: Float[Tensor, "replica ..."]) -> dict[str, Tensor]:
        """The initial state of the parameter that has this name in the network; not asked of elementwise rules."""
        return self.state(parameter)

    def check_names(self, names: Sequence[str]) -> None:  # noqa: B027 - most rules fit every network
        """Raise :class:`~svl.errors.SettingError` for settings that do not fit a network with these parameters."""

    def perturbation(
        self,
        parameters: Float[Tensor, "replica number"],
        gradient: Float[Tensor, "replica number"],
        hyper: Hyper,
        step: Int[Tensor, ""],
    ) -> Float[Tensor, "replica number"]:
        """What is added to the parameters before the gradient is taken a second time, for rules that need two.

        A subclass that overrides this has two gradients evaluated on each batch: the first at the parameters, the
        second at the perturbed ones. :meth:`update` is given the second. Loss and accuracy are those of the first.

        Args:
            parameters: all parameters of each replica, side by side.
            gradient: at these parameters; 0 for frozen ones, which are never perturbed.
            hyper: the hyperparameters of parameters that are in no group.
            step: number of the step; the first is 0.
        """
        raise NotImplementedError

    @property
    def needs_two_gradients(self) -> bool:
        """Whether the rule takes a second gradient at perturbed parameters."""
        return type(self).perturbation is not UpdateRule.perturbation


def zeros(parameter: Tensor, *names: str) -> dict[str, Tensor]:
    """A state of zeros: for each name a tensor of the parameter's shape."""
    return {name: torch.zeros_like(parameter) for name in names}
