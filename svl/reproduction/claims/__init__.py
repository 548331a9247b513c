"""The kinds of claims, one class in each module; a figure's config names them by their keywords.

A new kind of claim is a new module in this folder. Nothing else has to be changed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from svl.errors import SettingError, nearest
from svl.reproduction.claim import Claim
from svl.reproduction.fields import build
from svl.reproduction.outcome import check_arm


def known() -> dict[str, type[Claim]]:
    """The class of each kind of claim by its keyword."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {
        kind.keyword: kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Claim) and kind.__module__ == module.__name__
    }


def read(key: str, content: Any, arms: Mapping[str, Any]) -> Claim:
    """A claim from a config: ``{claim: faster, arm: small, than: large}``.

    Args:
        key: the claim's place in the config.
        arms: the figure's arms by name.

    Raises:
        SettingError: naming what is wrong.
    """
    kinds = known()
    keyword = content.get("claim") if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or keyword not in kinds:
        raise SettingError(f"{key}.claim", keyword, ", ".join(kinds) + nearest(str(keyword), list(kinds)))
    claim = build(key, kinds[keyword], {name: value for name, value in content.items() if name != "claim"})
    for name in claim.names():
        check_arm(key, name, arms)
    return claim
