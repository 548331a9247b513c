"""One parameter of a sweep: a constant, a choice or a range, with its Optuna distribution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svl.errors import SettingError, nearest

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_RANGES = ("int_uniform", "uniform", "q_uniform", "log_uniform", "log_uniform_values")


@dataclass(frozen=True)
class Range:
    """A range of numbers; where both bounds are ``int``, of whole numbers.

    Attributes:
        low, high: the bounds, which belong to the range.
        is_log: whether logarithms are uniform, not the numbers.
        step: distance between neighbouring numbers, where they are quantised.
    """

    low: float
    high: float
    is_log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Parameter:
    """The values that one setting takes.

    Attributes:
        values: those of a constant or a choice, and of a range of whole numbers in a grid; otherwise ``None``.
        range: the numbers from which one is drawn, where there are no ``values``.
        is_whole: whether the numbers of a range are whole though they are drawn as floats, as W&B's quantised ones are.
    """

    values: list[Any] | None
    range: Range | None = None
    is_whole: bool = False

    @property
    def distribution(self) -> BaseDistribution:
        """Optuna's distribution of the value, or of its index in ``values``."""
        # Optuna takes a second to import, and a grid does not need it.
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.range is None:
            return CategoricalDistribution(range(len(self.values or [])))
        low, high = self.range.low, self.range.high
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high)
        return FloatDistribution(low, high, log=self.range.is_log, step=self.range.step)

    def value(self, drawn: Any) -> Any:
        """The setting's value for what Optuna has drawn."""
        if self.values is not None:
            return self.values[drawn]
        return round(drawn) if self.is_whole else drawn


def read_parameter(key: str, given: Any, method: str) -> Parameter:
    """Read one parameter of a sweep file.

    Args:
        key: its dotted name in the file.
        given: its ``value``, ``values`` or range, in W&B's format.
        method: grid, random or bayes.

    Raises:
        SettingError: naming the key.
    """
    if not isinstance(given, Mapping):
        raise SettingError(key, given, "a mapping with value, values, or min and max")
    if "parameters" in given:
        raise SettingError(
            key, "nested parameters", f"one dotted name for each setting: {key.removeprefix('parameters.')}.NAME"
        )
    known = ("value", "values", "min", "max", "q", "distribution")
    for name in given:
        if name not in known:
            raise SettingError(f"{key}.{name}", given[name], ", ".join(known) + nearest(name, known))
    if "value" in given:
        return Parameter([given["value"]])
    if "values" in given:
        values = given["values"]
        if not isinstance(values, list) or not values:
            raise SettingError(f"{key}.values", values, "a list of one or more values")
        if any(a == b for a, b in itertools.combinations(values, 2)):
            raise SettingError(f"{key}.values", values, "distinct values")
        return Parameter(values)
    return _range(key, given, method)


def _range(key: str, given: Mapping[str, Any], method: str) -> Parameter:
    low: Any = given.get("min")
    high: Any = given.get("max")
    for name, bound in (("min", low), ("max", high)):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise SettingError(f"{key}.{name}", bound, "a number; without a range, give value or values")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if kind not in _RANGES:
        raise SettingError(f"{key}.distribution", kind, ", ".join(_RANGES) + nearest(str(kind), _RANGES))
    if not low <= high:
        raise SettingError(f"{key}.max", high, f"at least min = {low}")
    if kind == "int_uniform" and not whole:
        raise SettingError(f"{key}.min", low, "whole numbers as min and max")
    if method == "grid":
        if kind != "int_uniform":
            raise SettingError(key, dict(given), "values, or whole numbers as min and max: a grid needs a list")
        return Parameter(list(range(low, high + 1)))
    if kind == "int_uniform":
        return Parameter(None, Range(low, high))
    # The bounds of W&B's log_uniform are logarithms.
    low, high = (math.exp(low), math.exp(high)) if kind == "log_uniform" else (float(low), float(high))
    if "log" in kind and low <= 0:
        raise SettingError(f"{key}.min", low, "above 0 for a logarithmic range")
    step = given.get("q", 1.0) if kind.startswith("q_") else None
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or step <= 0):
        raise SettingError(f"{key}.q", step, "a number above 0")
    # W&B's quantised numbers are whole where q is.
    is_whole = step is not None and float(step).is_integer() and low.is_integer()
    return Parameter(None, Range(low, high, "log" in kind, step), is_whole)
