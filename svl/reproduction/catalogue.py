"""The figures that there are, and what their configs say of them; nothing is checked, and only YAML is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from svl import config_file
from svl.errors import SettingError
from svl.reproduction.scale import SCALES, at_scale

PAPERS = {
    "liu2026": "Liu et al. 2026, *Less Data, Faster Training*",
    "kotha2025": "Kotha et al. 2025, *Lowering Data Diversity Can Accelerate Training*",
    "yan2025": "Yan et al. 2025, *Larger Datasets Can Be Repeated More*",
    "kopiczko2026": "Kopiczko et al. 2026, *Data Repetition Beats Data Scaling in Long-CoT Supervised Fine-Tuning*",
}
"""The papers whose figures there are, in the order of the list: the folder of their configs, and a title."""


class Entry(NamedTuple):
    """What the list of figures shows of one.

    Attributes:
        name: ``liu2026/fig02b``.
        says: what the paper claims.
        minutes: the expected duration at each scale, ``None`` where it is not known.
    """

    name: str
    says: str
    minutes: dict[str, float | None]


def known() -> dict[str, str]:
    """The path of every figure's config by name, in order."""
    folders = [(paper, root / "configs" / paper) for root in (Path(), *config_file.ROOTS) for paper in PAPERS]
    names = {f"{paper}/{path.stem}" for paper, folder in folders for path in folder.glob("*.yaml")}
    order = sorted(names, key=lambda name: (list(PAPERS).index(name.partition("/")[0]), name))
    return {name: f"configs/{name}.yaml" for name in order}


def entry(name: str, path: str) -> Entry:
    """The entry of a figure, from its config.

    Args:
        path: of the config, as :func:`known` gives it.

    Raises:
        SettingError: for a config that cannot be read, or whose section ``figure`` is none.
    """
    figure = config_file.read_config(config_file.locate(path)).get("figure")
    if not isinstance(figure, Mapping):
        raise SettingError("figure", figure, f"a mapping (in {path})")
    try:
        scaled = {scale: at_scale(figure, scale) for scale in SCALES}
    except SettingError as error:
        raise SettingError(error.key, error.given, f"{error.allowed} (in {path})") from None
    except (TypeError, ValueError, AttributeError) as error:  # for example a list in the place of a mapping
        raise SettingError("figure", path, f"a figure's config with values of the right types ({error})") from None
    return Entry(name, str(figure.get("claim", "")), {scale: scaled[scale].get("minutes") for scale in SCALES})
