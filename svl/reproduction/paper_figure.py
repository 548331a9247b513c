"""A figure of a paper, read from its config: the settings of its fits, and under ``figure`` its claims and panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from svl import config_file
from svl.checks import check_whole
from svl.errors import SettingError, nearest
from svl.reproduction import claims, tuning
from svl.reproduction.catalogue import known
from svl.reproduction.claim import Claim
from svl.reproduction.fit import Fit, Settings
from svl.reproduction.panel import Panel
from svl.reproduction.pretraining import Pretraining
from svl.reproduction.scale import SCALES, at_scale
from svl.reproduction.tuning import Tuning
from svl.theory.catalogue import NAMES as EXPERIMENTS


@dataclass(frozen=True)
class PaperFigure:
    """One figure at one scale.

    Attributes:
        name: ``liu2026/fig02b``.
        path: of the config.
        scale: ``smoke``, ``laptop`` or ``paper``.
        title: what it shows.
        says: what the paper claims.
        arms: settings of each arm by name.
        fits: settings of each fit by name; a single fit has the empty name.
        settings: of all fits at this scale.
        grids: rates to tune, one grid after the other.
        claims: to be tested.
        panels: to be drawn.
        deviations: from the paper, in words.
        minutes: the expected duration, where it is known.
        seeds: reported replicas of each arm.
        first_seed: the first of the reported seeds.
        target: metric and value that count as learned.
        theory: name of an experiment of ``svl theory``, for figures without fits.
        pretraining: the fit with whose weights all others begin; ``None`` if they begin anew.
        base: the config without the arms and without ``figure``: data, model, trainer, target.
        looks: the planned looks at the data: 1, or more for a run that adds seeds until it is decided.
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
    pretraining: Pretraining | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    looks: int = 1

    def on_seeds(self, reported: int, tuning: int) -> PaperFigure:
        """The figure on other seeds: the first reported one, and the first for tuning."""
        grids = [replace(grid, first_seed=tuning) for grid in self.grids]
        return replace(self, first_seed=reported, grids=grids)

    def grids_of(self, fit: str) -> list[tuple[int, Tuning]]:
        """The grids that the arms of a fit try, with their numbers."""
        return [(number, grid) for number, grid in enumerate(self.grids) if grid.tried_in(fit)]

    def commands(self) -> list[str]:
        """The command of each fit, in order; the reported fits have the config's rates, since none are chosen yet."""
        if self.theory:
            return [f"svl theory {self.theory}"]
        commands: dict[str, None] = {}
        for fits in self.planned_fits().values():
            is_tuned = len(fits) > 1
            for fit in fits:
                notes = ["with the rates that the tuning chooses"] * (is_tuned and fit is fits[-1])
                if self.pretraining:
                    commands[self.pretraining.fit(fit).command] = None
                    notes.append("beginning with the weights of the fit before it that has these seeds: model.init.run")
                commands[fit.command + f"  # {'; '.join(notes)}" * bool(notes)] = None
        return [*commands]

    def planned_fits(self) -> dict[str, list[Fit]]:
        """For each of ``fits`` those of its grids, and the reported one, which has the config's rates."""
        return {
            name: [
                *(self.tuning_fit(name, number, self.arms) for number, _ in self.grids_of(name)),
                self.reported_fit(name, self.arms),
            ]
            for name in self.fits
        }

    def tuning_fit(self, name: str, number: int, arms: Mapping[str, Settings]) -> Fit:
        """The fit that tries a grid of rates: an arm for each arm and each point of the grid, on the tuning seeds."""
        grid = self.grids[number]
        tried = grid.arms(arms)
        purpose = f"{name}{': ' * bool(name)}rates{f' {number + 1}' * (len(self.grids) > 1)}"
        return self._fit(name, purpose, tried, grid.seeds, grid.first_seed)

    def reported_fit(self, name: str, arms: Mapping[str, Settings], group: int = 0) -> Fit:
        """The fit of the arms with their final rates, on a group of the reported seeds; the first is 0."""
        purpose = (name or "arms") + f", seeds {group + 1}" * bool(group)
        return self._fit(name, purpose, arms, self.seeds, self.first_seed + group * self.seeds)

    def _fit(self, name: str, purpose: str, arms: Mapping[str, Settings], seeds: int, first_seed: int) -> Fit:
        title = f"{purpose} ({len(arms)} arms x {seeds} seeds)"
        return Fit(title, self.path, {**self.fits[name], **self.settings}, dict(arms), seeds, first_seed)

    def arm_names(self) -> list[str]:
        """Every arm of every fit, as claims and panels name them."""
        return [full_name(fit, arm) for fit in self.fits for arm in self.arms]


def full_name(fit: str, arm: str) -> str:
    """``fit/arm``, or only one of the names where the other is empty."""
    return "/".join(filter(None, (fit, arm)))


def read(name: str, scale: str = "laptop") -> PaperFigure:
    """A figure at a scale.

    Raises:
        SettingError: for a figure or scale that does not exist, or an error in the config.
    """
    paths = known()
    if name not in paths:
        raise SettingError("figure", name, f"a figure that svl reproduce --list shows{nearest(name, list(paths))}")
    if scale not in SCALES:
        raise SettingError("--scale", scale, ", ".join(SCALES))
    content = config_file.read_config(config_file.locate(paths[name]))
    try:
        return _figure(name, paths[name], scale, content)
    except SettingError as error:
        raise SettingError(error.key, error.given, f"{error.allowed} (in {paths[name]})") from None
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        # For example a list in the place of a mapping.
        allowed = f"a figure's config with values of the right types ({error})"
        raise SettingError("figure", paths[name], allowed) from None


def _figure(name: str, path: str, scale: str, content: Mapping[str, Any]) -> PaperFigure:
    figure, replicas = content.get("figure"), content.get("replicas", {})
    if not isinstance(figure, Mapping):
        raise SettingError("figure", figure, "a mapping")
    figure = at_scale(figure, scale)
    theory = figure.get("theory")
    if theory is None and not replicas.get("arms"):
        raise SettingError("replicas.arms", replicas.get("arms"), "the figure's arms by name")
    if theory is not None and theory not in EXPERIMENTS:
        raise SettingError("figure.theory", theory, ", ".join(EXPERIMENTS) + nearest(str(theory), list(EXPERIMENTS)))
    scaled = figure.get("arms", {})
    _check_phases(scale, replicas.get("arms", {}), scaled)
    arms = {str(arm): {**settings, **scaled.get(arm, {})} for arm, settings in replicas.get("arms", {}).items()}
    for arm in scaled:
        if arm not in arms:
            raise SettingError(f"figure.arms.{arm}", scaled[arm], ", ".join(arms) + nearest(arm, list(arms)))
    fits = {str(fit): dict(changes or {}) for fit, changes in (figure.get("fits") or {"": {}}).items()}
    settings = dict(figure.get("settings", {}))
    names = {full_name(fit, arm): None for fit in fits for arm in arms}
    grids = tuning.read("figure.tune", figure.get("tune"), arms, fits)
    seeds, first_seed = settings.pop("replicas.seeds", replicas.get("seeds", 16)), replicas.get("first_seed", 0)
    check_whole("replicas.seeds", seeds, 1)
    for grid in grids:
        if first_seed < grid.first_seed + grid.seeds and grid.first_seed < first_seed + seeds:
            raise SettingError("figure.tune.first_seed", grid.first_seed, "seeds that differ from the reported ones")
    if scale == "smoke":
        grids = [
            replace(grid, settings={key: values[:2] for key, values in grid.settings.items()}, seeds=1)
            for grid in grids
        ]
    target = {"metric": "val/accuracy", "value": 0.9, **content.get("target", {})}
    for key in ("metric", "value"):
        target[key] = settings.get(f"target.{key}", target[key])
    deviations = figure.get("deviations") or []
    if not isinstance(deviations, list):
        raise SettingError("figure.deviations", deviations, "a list of texts")
    if not figure.get("claims"):
        raise SettingError("figure.claims", figure.get("claims"), "a list of one or more")
    paper_figure = PaperFigure(
        name=name,
        path=path,
        scale=scale,
        title=str(figure.get("title", "")),
        says=str(figure.get("claim", "")),
        arms=arms,
        fits=fits,
        settings=settings,
        grids=grids,
        claims=[claims.read(f"figure.claims.{i}", claim, names) for i, claim in enumerate(figure.get("claims") or [])],
        panels=[Panel.read(f"figure.panels.{i}", panel, names) for i, panel in enumerate(figure.get("panels") or [{}])],
        deviations=[str(deviation) for deviation in deviations],
        minutes=figure.get("minutes"),
        seeds=seeds,
        first_seed=first_seed,
        target=(str(target["metric"]), float(target["value"])),
        theory=theory,
        pretraining=Pretraining.read("figure.pretraining", figure.get("pretraining")),
        base={key: value for key, value in content.items() if key not in ("figure", "replicas")},
    )
    _check(paper_figure)
    return paper_figure


def _check_phases(scale: str, arms: Mapping[str, Settings], scaled: Mapping[str, Settings]) -> None:
    """Refuse an arm of a scale that has new sizes of its phases but keeps their durations: nobody would notice."""
    for name, changes in scaled.items():
        for size in ("data.size", "data.sizes"):
            durations = arms.get(name, {}).get("data.durations")
            if isinstance(changes.get(size), list) and durations and "data.durations" not in changes:
                key = f"figure.scales.{scale}.arms.{name}.data.durations"
                raise SettingError(key, None, f"the durations of the phases, since {size} is given")


def _check(figure: PaperFigure) -> None:
    """Raise :class:`SettingError` for errors that would otherwise appear after the training."""
    tuned = {name for grid in figure.grids for point in grid.points for name in point}
    settings = tuned | {name for arm in figure.arms.values() for name in arm}
    for number, claim in enumerate(figure.claims):
        key = f"figure.claims.{number}"
        if claim.of_theory != bool(figure.theory):
            allowed = "claims about measured numbers where figure.theory is given, and only there"
            raise SettingError(key, claim.keyword, allowed)
        try:
            claim.check(tuned, settings)
        except SettingError as error:
            raise SettingError(f"{key}.{error.key}", error.given, error.allowed) from None
    for number, panel in enumerate(figure.panels):
        if panel.kind == "grid" and not figure.grids:
            raise SettingError(
                f"figure.panels.{number}.kind", panel.kind, "curves or times, since the figure tunes nothing"
            )
    named = {name for claim in figure.claims for name in claim.names()}
    named |= {name for panel in figure.panels for name in panel.arms or figure.arm_names()}
    for fit in figure.fits:
        if not figure.theory and not any(full_name(fit, arm) in named for arm in figure.arms):
            raise SettingError(f"figure.fits.{fit}", figure.fits[fit], "fits whose arms appear in a claim or a panel")
    for fit in figure.fits:
        tried = [grid for _, grid in figure.grids_of(fit)]
        final_keys = {
            name: set(arm).union(*(point for grid in tried if grid.tried_by(name) for point in grid.points))
            for name, arm in figure.arms.items()
        }
        first = next(iter(final_keys.values()), set())
        for name, keys in final_keys.items():
            if keys != first:
                allowed = f"the settings of the first arm: {sorted(first)}"
                raise SettingError(f"replicas.arms.{name}", sorted(keys), allowed)
