"""The replicas of a fit: arms (settings that differ) times seeds."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import limits, random
from svl.checks import check_whole
from svl.errors import SettingError, nearest, within
from svl.results.arm_label import arm_label

_BYTES = 1000
"""What every replica takes at least, whatever is trained: its settings, its rows in the history."""


class Replicas:
    """R = arms x seeds replicas in arm-major order; replicas of one seed share initial weights and data across arms.

    Args:
        seeds: replicas of each arm.
        first_seed: seeds are ``first_seed, first_seed + 1, ...``; tune on some seeds, report on others.
        vary: for each dotted setting the list of its values; arms are the cartesian product, the last key fastest.
        arms: each arm's settings by its name, in place of ``vary``, for arms that are not a product: for example, a
            learning rate of its own for each size.

    Attributes:
        vary: the values of every setting that varies, also where they were given as ``arms``.
        arms: each arm's settings.
        arm_names: each arm's name: its own where ``arms`` are given, else its settings, ``size=4096, lr=0.3``.

    Raises:
        SettingError: for fewer than one seed, an empty or repeated list of values, or arms of unequal settings.
    """

    def __init__(
        self,
        seeds: int = 16,
        first_seed: int = 0,
        vary: dict[str, Any] | None = None,
        arms: dict[str, Any] | None = None,
    ) -> None:
        check_whole("seeds", seeds, 1)
        check_whole("first_seed", first_seed, 0, 2**62 - 1, "0 to 2^62 - 1")
        if arms is not None:
            if vary:
                raise SettingError("vary", vary, "nothing where replicas.arms are given: they say what varies")
            vary = _varied(arms)
        if vary is not None and not (isinstance(vary, dict) and all(isinstance(key, str) for key in vary)):
            raise SettingError("vary", vary, "a mapping from settings to lists of values")
        self.seeds, self.first_seed, self.vary = seeds, first_seed, dict(vary or {})
        for key, values in self.vary.items():
            if not isinstance(values, list) or not values:
                raise SettingError(f"vary.{key}", values, "a list of one or more values")
            if any(a == b for a, b in itertools.combinations(values, 2)):
                raise SettingError(f"vary.{key}", values, "values that differ from each other")
        count = len(arms) if arms else math.prod(map(len, self.vary.values()))
        memory = limits.memory()
        if memory is not None and count * seeds * _BYTES > memory:
            raise SettingError("seeds", seeds, f"fewer: {count * seeds:,} replicas do not fit in memory")
        product = itertools.product(*self.vary.values())
        named = [{key: arm[key] for key in self.vary} for arm in (arms or {}).values()]
        self.arms: list[dict[str, Any]] = named or [dict(zip(self.vary, values, strict=True)) for values in product]
        self.arm_names = list(map(str, arms or ())) or list(map(arm_label, self.arms))
        if len(set(self.arm_names)) < len(self.arms):
            raise SettingError("replicas.vary", vary, "values that differ as text, since they name the arms")

    def __len__(self) -> int:
        return len(self.arms) * self.seeds

    @property
    def seed(self) -> list[int]:
        """Each replica's seed."""
        return [self.first_seed + s for _ in self.arms for s in range(self.seeds)]

    @property
    def arm(self) -> list[str]:
        """The name of each replica's arm, which the history has in its column ``arm``."""
        return [name for name in self.arm_names for _ in range(self.seeds)]

    @property
    def named_arms(self) -> dict[str, dict[str, Any]]:
        """Each arm's settings by its name."""
        return dict(zip(self.arm_names, self.arms, strict=True))

    @cached_property
    def arm_labels(self) -> list[str]:
        """Each arm's settings under their short names, by which loggers and callbacks know it."""
        return list(map(arm_label, self.arms))

    def key(self) -> Int[Tensor, "replica 2"]:
        """Each replica's key."""
        return random.key(torch.tensor(self.seed))

    def column(self, key: str, default: Any) -> list[Any]:
        """Each replica's value of the setting ``key``: its arm's, or ``default`` where the setting does not vary."""
        return [arm.get(key, default) for arm in self.arms for _ in range(self.seeds)]

    def columns(self, prefix: str, owner: Any, read: Callable[[Any, str], Any] = getattr) -> dict[str, list[Any]]:
        """Each replica's value of every setting in ``owner.per_replica``, checked by the owner's own constructor.

        Args:
            prefix: where the owner stands in the config, e.g. ``data.``.
            owner: an object whose constructor arguments are also its attributes.
            read: how a value is read off an owner built with it.
        """
        varied = [name for name in sorted(owner.per_replica) if prefix + name in self.vary]
        # One owner for each combination of its own settings, however many arms have it.
        owners: dict[str, Any] = {repr({}): owner}
        changes_by_arm = [{name: arm[prefix + name] for name in varied} for arm in self.arms]
        for changes in changes_by_arm:
            if repr(changes) not in owners:
                with within(prefix.rstrip(".")):
                    owners[repr(changes)] = replace(owner, **changes)
        owner_by_arm = [owners[repr(changes)] for changes in changes_by_arm]
        return {
            name: [read(changed, name) for changed in owner_by_arm for _ in range(self.seeds)]
            for name in sorted(owner.per_replica)
        }

    def check_keys(self, variable: Iterable[str], structural: Iterable[str]) -> None:
        """Refuse a varied setting that does not exist or cannot differ inside one fit.

        Raises:
            SettingError: naming the key, with the nearest one that can vary.
        """
        variable, structural = sorted(variable), set(structural)
        for key in self.vary:
            if key in structural and key not in variable:
                raise SettingError(
                    f"replicas.vary.{key}",
                    self.vary[key],
                    "settings that are numbers; this one changes shapes or code: vary it by a sweep across fits",
                )
            if key not in variable:
                hint = nearest(key, variable) or f"; choose from {', '.join(variable)}"
                raise SettingError(
                    f"replicas.vary.{key}", self.vary[key], f"a setting that can differ by replica{hint}"
                )


def broadcast_to(vector: Tensor, like: Float[Tensor, "replica ..."]) -> Tensor:
    """A vector over replicas, shaped to broadcast with a stacked tensor, and in its precision."""
    return vector.to(like.dtype).view(-1, *[1] * (like.dim() - 1))


def _varied(arms: Any) -> dict[str, list[Any]]:
    """The different values of each setting of arms that are given by name."""
    if not isinstance(arms, dict) or not arms or not all(isinstance(arm, dict) and arm for arm in arms.values()):
        raise SettingError("arms", arms, "a mapping from names to settings: {small: {data.size: 4096}, ...}")
    keys = set(next(iter(arms.values())))
    for name, arm in arms.items():
        if set(arm) != keys:
            raise SettingError(f"arms.{name}", list(arm), f"the settings of the first arm: {', '.join(keys)}")
        if any(arm == other for label, other in arms.items() if label != name):
            raise SettingError(f"arms.{name}", arm, "arms that differ from each other")
    values: dict[str, list[Any]] = {key: [] for key in next(iter(arms.values()))}
    for key, distinct in values.items():
        for arm in arms.values():
            if arm[key] not in distinct:
                distinct.append(arm[key])
    return values


def settings(owner: Any) -> dict[str, Any]:
    """The constructor arguments of ``owner``, read back from its attributes of the same names."""
    return {name: getattr(owner, name) for name in parameters(type(owner))}


def parameters(owner: Any) -> list[str]:
    """Names of the arguments of a function, or of a class's constructor and, where it takes ``**``, of its bases'.

    Arguments that a class chooses for its bases' constructors are excluded: its attribute ``decided`` names them.
    """
    if inspect.isfunction(owner):
        return list(inspect.signature(owner).parameters)
    names: dict[str, None] = {}
    for base in getattr(owner, "__mro__", ()):
        if "__init__" not in vars(base):
            continue
        arguments = inspect.signature(vars(base)["__init__"]).parameters.values()
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        names |= {argument.name: None for argument in arguments if argument.kind not in variadic}
        if all(argument.kind != inspect.Parameter.VAR_KEYWORD for argument in arguments):
            break
    return [name for name in names if name != "self" and name not in getattr(owner, "decided", ())]


def replace(owner: Any, **changes: Any) -> Any:
    """A copy of ``owner`` built anew with some constructor arguments changed, so that they are checked."""
    return type(owner)(**{**settings(owner), **changes})
