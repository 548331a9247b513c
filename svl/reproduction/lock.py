"""A frozen figure: what a confirming run will test, written as text and committed before the run.

``claims.lock`` lies beside the figure's results in the gallery. It contains everything that decides a verdict: claims,
seeds, grids, target, the settings of every arm and fit, the planned looks, and a digest of the code of the statistics;
and above all that a hash. A run whose own content has the same hash is the run that was frozen.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from svl.config_file import ROOTS
from svl.errors import SettingError
from svl.reproduction import confirming_seeds, outcome, sequential, tuning, verdict
from svl.reproduction.folders import GALLERY
from svl.reproduction.paper_figure import PaperFigure
from svl.results import bootstrap, provenance
from svl.results.atomic import replacing

LOCK = "claims.lock"
_CODE = (outcome, tuning, verdict, sequential, bootstrap)
_HEADING = """\
# Written by `svl reproduce {name} --scale {scale} --freeze{until_decided}`. Commit this file before the confirming run,
# `svl reproduce {name} --scale {scale} --confirm`, and change nothing in it: docs/reproducing.md.
"""


class Frozen(NamedTuple):
    """A lock that was read.

    Attributes:
        path: of the file.
        hash: of its content.
        looks: the planned looks at the data.
        reported, tuning: the first seeds.
        seeds: all seeds that the run may use: reported ones of all looks, and those of each grid.
        commit: the commit that wrote it; ``None`` if it is not committed as it is.
        came_with_svl: whether it is a file of an installed svl, which no commit dates.
    """

    path: Path
    hash: str
    looks: int
    reported: int
    tuning: int
    seeds: tuple[range, ...]
    commit: str | None
    came_with_svl: bool


def confirming(figure: PaperFigure, looks: int = 1, seen: Sequence[range] = ()) -> PaperFigure:
    """The figure on the first seeds of its range that are new, with a number of planned looks.

    Args:
        seen: seeds that earlier runs have used.

    Raises:
        SettingError: if the figure has no range of seeds, or its range has too few new ones.
    """
    seeds = confirming_seeds.assigned(figure.name)
    tuning_seeds = max((grid.seeds for grid in figure.grids), default=0)
    starts = []
    for key, start, end, needed in (
        ("replicas.seeds", seeds.reported, seeds.tuning, (1 if figure.theory else figure.seeds) * looks),
        ("figure.tune.seeds", seeds.tuning, seeds.end, tuning_seeds),
    ):
        first = max([start, *(used.stop for used in seen if start < used.stop <= end)])
        if first + needed > end:
            raise SettingError(key, needed, f"at most {end - first}, the new seeds of the range of {figure.name}")
        starts.append(first)
    return replace(figure.on_seeds(*starts), looks=looks)


def content(figure: PaperFigure) -> dict[str, Any]:
    """Everything that decides the verdict of a figure on the seeds that it has."""
    grids = [{key: value for key, value in asdict(grid).items() if value is not None} for grid in figure.grids]
    described = {
        "figure": figure.name,
        "scale": figure.scale,
        "looks": figure.looks,
        "level": round(sequential.level(figure.looks), 6),
        "seeds": {"first": figure.first_seed, "each look": figure.seeds},
        "statistics": _digest_of_code(figure),
        "target": dict(zip(("metric", "value"), figure.target, strict=True)) if not figure.theory else None,
        "claims": [{"claim": claim.keyword, **asdict(claim)} for claim in figure.claims],  # type: ignore[call-overload]
        "tune": grids,
        "arms": figure.arms,
        "fits": figure.fits if list(figure.fits) != [""] else None,
        "settings": figure.settings,
        "base": {key: value for key, value in figure.base.items() if key not in ("target", "experiment")},
        "theory": figure.theory,
        "pretraining": figure.pretraining.content() if figure.pretraining else None,
    }
    plain = json.loads(json.dumps(described))
    return {key: value for key, value in plain.items() if value not in (None, {}, [])}


def digest(content: Mapping[str, Any]) -> str:
    """The hash of a content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def write(figure: PaperFigure, gallery: Path) -> Path:
    """Freeze a figure that is on the seeds of its confirming run; returns the path of the lock."""
    path = gallery / figure.name / figure.scale / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    frozen = content(figure)
    until_decided = " --until-decided" * (figure.looks > 1)
    heading = _HEADING.format(name=figure.name, scale=figure.scale, until_decided=until_decided)
    text = yaml.safe_dump({"hash": digest(frozen), **frozen}, sort_keys=False, width=120, allow_unicode=True)
    with replacing(path) as file:
        file.write_text(heading + text, encoding="utf-8")
    return path


def read(name: str, scale: str, gallery: Path) -> Frozen | None:
    """The lock of a figure, in the gallery or in the one that came with svl; ``None`` if there is none.

    Raises:
        SettingError: if the file is not as it was written.
    """
    for root in (gallery, *(root / GALLERY for root in ROOTS)):
        path = root / name / scale / LOCK
        if not path.is_file():
            continue
        try:
            frozen = yaml.safe_load(path.read_text(encoding="utf-8"))
            written = frozen.pop("hash")
            is_whole = written == digest(frozen)
        except (yaml.YAMLError, AttributeError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            raise SettingError("--confirm", str(path), "a lock that was not changed after --freeze wrote it")
        is_shipped = root != gallery and not provenance.is_in_checkout(path)
        reported = int(frozen["seeds"]["first"])
        spans = [(reported, int(frozen["looks"]) * int(frozen["seeds"]["each look"]))]
        spans += [(int(grid["first_seed"]), int(grid["seeds"])) for grid in frozen.get("tune", ())]
        seeds = tuple(range(first, first + count) for first, count in spans)
        tuned = seeds[1].start if seeds[1:] else 0
        commit = provenance.committed(path)
        return Frozen(path, written, int(frozen["looks"]), reported, tuned, seeds, commit, is_shipped)
    return None


def _digest_of_code(figure: PaperFigure) -> str:
    """A digest of the modules that make intervals and verdicts, without their comments and docstrings."""
    modules = [*_CODE, *(sys.modules[name] for name in sorted({type(claim).__module__ for claim in figure.claims}))]
    texts = []
    for module in modules:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value = ast.Constant("")
        texts.append(ast.dump(tree))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
