"""The looks that were taken at each figure's data: every exploratory result, with its seeds and what had changed.

``looks.yaml`` in the gallery lists them, oldest first. The gallery adds an entry for each new exploratory result, and
for a confirming one that another replaces. The text of ``changed`` can be edited, and ``afterwards`` can be added: what
was changed because of a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from svl.config_file import ROOTS
from svl.errors import SettingError
from svl.reproduction.folders import GALLERY
from svl.results.atomic import replacing

LOOKS = "looks.yaml"
_HEADING = """\
# Every exploratory look at a figure's data, and every confirming result that another has replaced, oldest first: its
# scale, its seeds (first and number), what it gave, and what had changed since the look before. Results of before
# `frozen` claims existed are from the repository's history.
"""

Look = dict[str, Any]


def read(gallery: Path) -> dict[str, list[Look]]:
    """The looks at each figure, by name.

    Raises:
        SettingError: if the file does not list looks.
    """
    path = gallery / LOOKS
    if not path.is_file():
        return {}
    listed = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    is_list = isinstance(listed, dict) and all(isinstance(looks, list) for looks in listed.values())
    if not is_list or not all("seeds" in look for looks in listed.values() for look in looks):
        raise SettingError("--gallery_folder", str(path), "a list of looks for each figure, each with its seeds")
    return listed


def add(gallery: Path, name: str, look: Look) -> None:
    """Add a look at a figure, unless the last one had the same seeds and the same settings."""
    listed = read(gallery)
    before = listed.setdefault(name, [])
    same = ("scale", "seeds", "settings")
    if before and all(before[-1].get(key) == look.get(key) for key in same):
        return
    if before and look.get("settings") != before[-1].get("settings"):
        look = {**look, "changed": "the claims or the settings"}
    listed[name] = [*before, look]
    write(gallery, listed)


def write(gallery: Path, listed: Mapping[str, list[Look]]) -> None:
    """Write all looks."""
    with replacing(gallery / LOOKS) as file:
        text = yaml.safe_dump(dict(sorted(listed.items())), sort_keys=False, width=120, allow_unicode=True)
        file.write_text(_HEADING + text, encoding="utf-8")


def seen(name: str, gallery: Path) -> list[range]:
    """The seeds that looks at a figure have used, in the gallery and in the one that came with svl."""
    roots = (gallery, *(root / GALLERY for root in ROOTS))
    looks = [look for root in roots for look in read(root).get(name, [])]
    return [range(first, first + count) for look in looks for first, count in look["seeds"]]


def overlap(some: Iterable[range], others: Iterable[range]) -> range | None:
    """Seeds that both have in common; ``None`` if there are none."""
    others = list(others)
    for one in some:
        for other in others:
            common = range(max(one.start, other.start), min(one.stop, other.stop))
            if common:
                return common
    return None
