"""Tries an optimizer on a small example before training: whether it keeps to the contract of an update rule.

The optimizers of svl are tested elsewhere. What a class of one's own does to the shapes, the names, the arguments or
the other replicas would otherwise come out as a traceback in the middle of a fit, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from svl.errors import SettingError, within
from svl.optim.rule import UpdateRule
from svl.replicas import Replicas

_KEY = "model.optimizer"
_REPLICAS, _STEPS, _MOST = 3, 3, 3  # of the example; parameters are at most so long in each dimension
_TOLERANCE = 1e-2  # of a parameter's largest move; some rules compute in half precision
_ROUNDING = 1e-6
_RATES = 0.01, 1.0  # of the example, so that moves are neither lost in rounding nor infinite
# What to use for the optimizers of PyTorch.
_TORCH = {"Adam": "Adam", "AdamW": "AdamW", "SGD": "SGD", "Muon": "Muon", "NAdam": "Adam", "RAdam": "Adam"}

Parameters = dict[str, Tensor]
States = dict[str, dict[str, Tensor]]


def check_optimizer(optimizer: Any, replicas: Replicas, shapes: Mapping[str, torch.Size]) -> None:
    """Check that an optimizer is an update rule that fits a network, and does what its class says.

    Args:
        optimizer: the optimizer.
        replicas: arms and seeds, whose values of the hyperparameters are used.
        shapes: the shape of each parameter of one replica, by name.

    Raises:
        SettingError: for anything else; in one line that says what is wrong.
    """
    check_class(optimizer)
    with within(_KEY):
        optimizer.check_names(list(shapes))
    if not type(optimizer).__module__.startswith("svl.optim."):
        _Example(optimizer, replicas, shapes).check()


def check_class(optimizer: Any, key: str = _KEY) -> None:
    """Raise :class:`SettingError` unless an object is an update rule; for PyTorch's optimizers it says what to use."""
    if isinstance(optimizer, UpdateRule):
        return
    kind = optimizer if isinstance(optimizer, type) else type(optimizer)
    allowed = "a subclass of svl.optim.UpdateRule"
    if issubclass(kind, torch.optim.Optimizer):
        close = _TORCH.get(kind.__name__)
        allowed = f"{f'{close} (svl.optim.{close})' if close else allowed}: PyTorch's optimizers train one network"
    raise SettingError(key, f"{kind.__module__}.{kind.__qualname__}", allowed)


class _Named(dict[str, Tensor]):
    """A mapping that is given to a rule; a name that it lacks is an error of the rule."""

    def __init__(self, values: Mapping[str, Tensor], rule: UpdateRule, advice: str) -> None:
        super().__init__(values)
        self._rule, self._advice = rule, advice

    def __missing__(self, name: str) -> NoReturn:
        raise SettingError(_KEY, type(self._rule).__name__, f"{self._advice} {name!r}, which its update reads")


class _Example:
    """A few replicas of a small network with random gradients, and what a rule makes of it in a few steps."""

    def __init__(self, rule: UpdateRule, replicas: Replicas, shapes: Mapping[str, torch.Size]) -> None:
        self.rule = rule
        for name in rule.per_replica:
            if not hasattr(rule, name):
                self._refuse(f"attributes for all names in per_replica; it has none for {name!r}")
        columns = replicas.columns(f"{_KEY}.", rule)
        rows = torch.linspace(0, len(replicas) - 1, _REPLICAS).round().int().tolist()
        self.hyper = {
            name: torch.tensor([column[row] for row in rows], dtype=torch.float64)
            for name, column in columns.items()
            if name not in rule.optional or any(column)
        }
        if "lr" in self.hyper:
            self.hyper["lr"].clamp_(*_RATES)
        small = {name: tuple(min(size, _MOST) for size in shape) for name, shape in shapes.items()}
        self.shapes = {name: shape for shape, name in {shape: name for name, shape in small.items()}.items()}
        generator = torch.Generator().manual_seed(0)
        self.parameters = self._drawn(generator)
        self.gradients = [self._drawn(generator) for _ in range(_STEPS)]

    def check(self) -> None:
        """Raise :class:`SettingError` if the rule does not keep to the contract."""
        rule = self.rule
        together = self._trained(self.parameters, self.gradients, self.hyper)
        for replica in range(_REPLICAS):
            row = slice(replica, replica + 1)
            hyper = {name: value[row] for name, value in self.hyper.items()}
            alone = self._trained(_rows(self.parameters, row), [_rows(part, row) for part in self.gradients], hyper)
            if _differ(_rows(self.parameters, row), _rows(together, row), alone):
                self._refuse("an update that treats each replica by itself; in this one a replica changes the others")
        if rule.elementwise:
            packed = self._trained(
                {"": self._packed(self.parameters)}, [{"": self._packed(part)} for part in self.gradients], self.hyper
            )
            if _differ({"": self._packed(self.parameters)}, {"": self._packed(together)}, packed):
                self._refuse("elementwise = False: its update does not treat all numbers of a parameter alike")

    def _trained(self, parameters: Parameters, gradients: list[Parameters], hyper: Mapping[str, Tensor]) -> Parameters:
        """The parameters after a few steps, each of which is checked."""
        parameters = dict(parameters)
        states = {name: self._state(name, parameter) for name, parameter in parameters.items()}
        for step, of_step in enumerate(gradients):
            for name, parameter in parameters.items():
                parameters[name], states[name] = self._step(parameter, of_step[name], states[name], hyper, step)
        return parameters

    def _state(self, name: str, parameter: Tensor) -> dict[str, Tensor]:
        rule = self.rule
        state: Any = rule.state(parameter) if rule.elementwise else rule.state_of(name, parameter)
        if not isinstance(state, dict):
            self._refuse(f"a state that is a dict of tensors, not {type(state).__name__}")
        for part, value in state.items():
            if not isinstance(value, Tensor) or value.shape[:1] != parameter.shape[:1]:
                shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                self._refuse(f"tensors of state whose first axis is the replica; {part!r} is {shape}")
        return state

    def _step(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], hyper: Mapping[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rule = self.rule
        arguments = [parameter, gradient, *state.values(), *hyper.values()]
        before = [tensor.clone() for tensor in arguments]
        named_hyper = _Named(hyper, rule, "a class whose per_replica names")
        named_state = _Named(state, rule, "a method state that makes")
        returned: Any = rule.update(parameter, gradient, named_state, named_hyper, torch.tensor(step))
        if not all(torch.equal(*pair) for pair in zip(before, arguments, strict=True)):
            self._refuse("an update that returns new tensors and leaves its arguments as they are")
        if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict)):
            self._refuse("an update that returns the parameter and a dict of its state")
        moved, after = returned
        if not isinstance(moved, Tensor) or moved.shape != parameter.shape:
            shape = list(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            self._refuse(f"an update of the parameter's shape {list(parameter.shape)}, not {shape}")
        if set(after) != set(state):
            self._refuse(f"an update that returns the state {sorted(state)}, not {sorted(after)}")
        for part, value in after.items():
            if not isinstance(value, Tensor) or value.shape != state[part].shape:
                shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                self._refuse(f"a state {part!r} that keeps its shape {list(state[part].shape)}, not {shape}")
        if any(value.isnan().any() for value in (moved, *after.values())):
            self._refuse("an update without NaN for finite parameters and gradients")
        # In a fit they are copied into tensors of these types.
        return moved.to(parameter.dtype), {part: value.to(state[part].dtype) for part, value in after.items()}

    def _drawn(self, generator: torch.Generator) -> Parameters:
        """Gaussian numbers of the shape of each parameter."""
        return {name: torch.randn(_REPLICAS, *shape, generator=generator) for name, shape in self.shapes.items()}

    def _packed(self, parameters: Parameters) -> Tensor:
        return torch.cat([value.reshape(len(value), -1) for value in parameters.values()], dim=1)

    def _refuse(self, allowed: str) -> NoReturn:
        raise SettingError(_KEY, type(self.rule).__name__, allowed)


def _rows(parameters: Parameters, row: slice) -> Parameters:
    return {name: value[row] for name, value in parameters.items()}


def _differ(start: Parameters, first: Parameters, second: Parameters) -> bool:
    """Whether parameters have moved from the start to different places."""
    return any(
        (first[name] - second[name]).abs().max() > _TOLERANCE * (first[name] - before).abs().max() + _ROUNDING
        for name, before in start.items()
    )
