"""A figure of a paper as a config: a fit's settings, and under ``figure`` what is made of them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from svl import config_file
from svl.checks import check_number, check_whole
from svl.errors import SettingError, nearest
from svl.reproduction import claims, tuning
from svl.reproduction.claims import BestRatio, Claim, Measured
from svl.reproduction.panel import Panel
from svl.reproduction.tuning import Settings, Tuning
from svl.theory.catalogue import NAMES as EXPERIMENTS

PAPERS = ("liu2026", "kotha2025", "yan2025")
SCALES = ("smoke", "laptop", "paper")
_KEYS = (
    "title",
    "theory",
    "claim",
    "fits",
    "tune",
    "claims",
    "panels",
    "deviations",
    "minutes",
    "scales",
    "settings",
    "arms",
)
# What every figure is at smoke scale, beside its own `scales.smoke`: enough to run through everything.
_SMOKE = {
    "trainer.max_steps": 8,
    "trainer.log_every_n_steps": 4,
    "model.compile": "never",
    "replicas.seeds": 2,
    "data.test_size": 64,
}


@dataclass(frozen=True)
class PaperFigure:
    """One figure at one scale.

    Attributes:
        name: ``liu2026/fig02b``.
        path: of the config.
        scale: ``smoke``, ``laptop`` or ``paper``.
        title: what it shows.
        says: what the paper claims.
        arms: settings of each, by name.
        fits: settings that a fit differs in, by name; one without a name where there is one fit.
        settings: of all fits at this scale.
        grids: rates to tune, one grid after the other.
        claims: to be tested.
        panels: to be drawn.
        deviations: from the paper, in words.
        minutes: that it takes, where that is known.
        seeds: replicas of each arm.
        first_seed: the first of them.
        target: metric and value that count as learned.
        theory: name of the experiment of ``svl theory`` that takes the place of fits.
    """

    name: str
    path: str
    scale: str
    title: str
    says: str
    arms: dict[str, Settings]
    fits: dict[str, Settings]
    settings: Settings
    grids: list[Tuning]
    claims: list[Claim]
    panels: list[Panel]
    deviations: list[str]
    minutes: float | None
    seeds: int
    first_seed: int
    target: tuple[str, float]
    theory: str | None = None

    def commands(self) -> list[str]:
        """What a user types for each fit, in order; where rates are tuned before, with those of the config."""
        if self.theory:
            return [f"svl theory {self.theory}"]
        found = []
        for fit in self.fits:
            for grid in self.grids:
                found.append(command(self.words(fit, grid.arms(self.arms), grid.seeds, grid.first_seed)))
            found.append(command(self.words(fit, self.arms, self.seeds, self.first_seed)))
            found[-1] += "  # with the rates that were chosen" * bool(self.grids)
        return found

    def words(self, fit: str, arms: Mapping[str, Settings], seeds: int, first_seed: int) -> list[str]:
        """The command line, after ``svl``, of a fit with some arms."""
        settings = {**self.fits[fit], **self.settings}
        replicas = {"replicas.seeds": seeds, "replicas.first_seed": first_seed, "replicas.arms": dict(arms)}
        return ["fit", "--config", self.path, *_words(settings | replicas)]

    def arm_names(self) -> list[str]:
        """Every arm of every fit, as claims and panels name them."""
        return [full_name(fit, arm) for fit in self.fits for arm in self.arms]


def full_name(fit: str, arm: str) -> str:
    """``fit/arm``, or the name of one of them alone where the other has none."""
    return "/".join(filter(None, (fit, arm)))


def known() -> dict[str, str]:
    """The path of every figure's config by name, in order."""
    folders = [(paper, root / "configs" / paper) for root in (Path(), *config_file.ROOTS) for paper in PAPERS]
    names = {f"{paper}/{path.stem}" for paper, folder in folders for path in folder.glob("*.yaml")}
    order = sorted(names, key=lambda name: (PAPERS.index(name.partition("/")[0]), name))
    return {name: f"configs/{name}.yaml" for name in order}


def read(name: str, scale: str = "laptop") -> PaperFigure:
    """A figure at a scale.

    Raises:
        SettingError: for a figure or scale that there is not, or a config with something wrong in it.
    """
    paths = known()
    if name not in paths:
        raise SettingError("figure", name, f"one of those that --list shows{nearest(name, list(paths))}")
    if scale not in SCALES:
        raise SettingError("--scale", scale, ", ".join(SCALES))
    content = config_file.read_config(config_file.locate(paths[name]))
    try:
        return _figure(name, paths[name], scale, content)
    except SettingError as error:
        raise SettingError(error.key, error.given, f"{error.allowed} (in {paths[name]})") from None
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        # a list where there should be a mapping, and the like
        allowed = f"a figure's config with parts of the right kinds ({error})"
        raise SettingError("figure", paths[name], allowed) from None


def _figure(name: str, path: str, scale: str, content: Mapping[str, Any]) -> PaperFigure:
    figure, replicas = content.get("figure"), content.get("replicas", {})
    if not isinstance(figure, Mapping):
        raise SettingError("figure", figure, "a mapping")
    figure = _at_scale(figure, scale)
    theory = figure.get("theory")
    if theory is None and not replicas.get("arms"):
        raise SettingError("replicas.arms", replicas.get("arms"), "the figure's arms by name")
    if theory is not None and theory not in EXPERIMENTS:
        raise SettingError("figure.theory", theory, ", ".join(EXPERIMENTS) + nearest(str(theory), list(EXPERIMENTS)))
    arms = {str(arm): {**own, **figure.get("arms", {}).get(arm, {})} for arm, own in replicas.get("arms", {}).items()}
    for arm in figure.get("arms", {}):
        if arm not in arms:
            raise SettingError(f"figure.arms.{arm}", figure["arms"][arm], ", ".join(arms) + nearest(arm, list(arms)))
    fits = {str(fit): dict(own or {}) for fit, own in (figure.get("fits") or {"": {}}).items()}
    settings = dict(figure.get("settings", {}))
    names = {full_name(fit, arm): None for fit in fits for arm in arms}
    grids = tuning.read("figure.tune", figure.get("tune"), arms)
    seeds, first_seed = settings.pop("replicas.seeds", replicas.get("seeds", 16)), replicas.get("first_seed", 0)
    check_whole("replicas.seeds", seeds, 1)
    for grid in grids:
        if first_seed < grid.first_seed + grid.seeds and grid.first_seed < first_seed + seeds:
            raise SettingError("figure.tune.first_seed", grid.first_seed, "seeds other than those that are reported")
    if scale == "smoke":
        grids = [replace(grid, settings={n: v[:2] for n, v in grid.settings.items()}, seeds=1) for grid in grids]
    target = {"metric": "val/accuracy", "value": 0.9, **content.get("target", {})}
    for key in ("metric", "value"):
        target[key] = settings.get(f"target.{key}", target[key])
    deviations = figure.get("deviations") or []
    if not isinstance(deviations, list):
        raise SettingError("figure.deviations", deviations, "a list of texts")
    if not figure.get("claims"):
        raise SettingError("figure.claims", figure.get("claims"), "a list of one or more")
    found = PaperFigure(
        name=name,
        path=path,
        scale=scale,
        title=str(figure.get("title", "")),
        says=str(figure.get("claim", "")),
        arms=arms,
        fits=fits,
        settings=settings,
        grids=grids,
        claims=[claims.read(f"figure.claims.{i}", one, names) for i, one in enumerate(figure.get("claims") or [])],
        panels=[Panel.read(f"figure.panels.{i}", one, names) for i, one in enumerate(figure.get("panels") or [{}])],
        deviations=[str(one) for one in deviations],
        minutes=figure.get("minutes"),
        seeds=seeds,
        first_seed=first_seed,
        target=(str(target["metric"]), float(target["value"])),
        theory=theory,
    )
    _check(found)
    return found


def _check(figure: PaperFigure) -> None:
    """Raise :class:`SettingError` for what would be found out when all is trained."""
    for number, claim in enumerate(figure.claims):
        key = f"figure.claims.{number}"
        if isinstance(claim, Measured) != bool(figure.theory):
            raise SettingError(key, type(claim).__name__, "measured, of a figure with theory, and of no other")
        if isinstance(claim, BestRatio):
            tuned = {name for grid in figure.grids for point in grid.points for name in point}
            settings = tuned | {name for arm in figure.arms.values() for name in arm}
            for name, known in (("of", tuned), ("over", settings)):
                given = getattr(claim, name)
                if given not in known:
                    raise SettingError(f"{key}.{name}", given, ", ".join(sorted(known)))
    for number, panel in enumerate(figure.panels):
        if panel.kind == "grid" and not figure.grids:
            raise SettingError(f"figure.panels.{number}.kind", panel.kind, "curves or times: nothing is tuned")
    named = {name for claim in figure.claims for name in claim.names()}
    named |= {name for panel in figure.panels for name in panel.arms or figure.arm_names()}
    for fit in figure.fits:
        if not figure.theory and not any(full_name(fit, arm) in named for arm in figure.arms):
            raise SettingError(f"figure.fits.{fit}", figure.fits[fit], "fits that a claim or a panel names")
    finals = [
        set(arm).union(*(p for g in figure.grids if g.tried_by(n) for p in g.points)) for n, arm in figure.arms.items()
    ]
    for name, keys in zip(figure.arms, finals, strict=True):
        if keys != finals[0]:
            raise SettingError(f"replicas.arms.{name}", sorted(keys), f"the settings of the first: {sorted(finals[0])}")


def _at_scale(figure: Mapping[str, Any], scale: str) -> dict[str, Any]:
    """The figure with what its scale changes: mappings of settings are joined, anything else is replaced."""
    scales = figure.get("scales") or {}
    own = dict(scales.get(scale) or {})
    for part, prefix in ((figure, "figure"), (own, f"figure.scales.{scale}")):
        for key in part:
            if key not in _KEYS:
                raise SettingError(f"{prefix}.{key}", part[key], ", ".join(_KEYS) + nearest(key, _KEYS))
        if part.get("minutes") is not None:
            check_number(f"{prefix}.minutes", part["minutes"], 0, math.inf, open_high=True)
    for other in scales:
        if other not in SCALES:
            raise SettingError(f"figure.scales.{other}", scales[other], ", ".join(SCALES) + nearest(other, SCALES))
    if scale == "smoke":
        own["settings"] = {**_SMOKE, **own.get("settings", {})}
    merged = {**figure, **own}
    for key in ("settings", "fits", "arms"):
        if key in figure and key in own:
            merged[key] = {**figure[key], **own[key]}
    if scale != "laptop" and "minutes" not in own:
        merged["minutes"] = None
    return merged


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [word for key, value in settings.items() for word in (f"--{key}", _text(value))]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) or value is None else str(value)


def command(words: list[str]) -> str:
    """Words as a user types them."""
    return shlex.join(["svl", *words])
