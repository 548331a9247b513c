"""The question of ``svl advise``: a config without its strategy, its data, its rates and its target."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from svl.advising.candidate import Candidate, Extent
from svl.cli.fit import objects, resolve
from svl.config_file import dump_yaml
from svl.data.reuse import ReuseDataModule
from svl.errors import SettingError

RATE = "model.optimizer.lr"
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The rates that are tried first, as multiples of the config's, where it does not vary the rate."""
MEASUREMENTS = 120
"""The fewest measurements of a fit, which times to the target are read from."""
STRATEGIES = ("Online", "Subset", "Phases", "AutomaticPhases", "TwoSets")
"""The strategies that a config may name: those in whose place the candidates come."""
_COMMON = [name for name in inspect.signature(ReuseDataModule.__init__).parameters if name != "self"]
_OWN_TARGETS = ("train/", "val/")


@dataclass(frozen=True)
class Problem:
    """What is asked.

    Attributes:
        name: of the experiment.
        base: all settings of the config, with a strategy that the candidates replace, as the fits have them.
        given: the sections of the config of which the fits leave out or change a part: how they are shown and measured.
        extent: of the data.
        rates: the config's learning rates, by dotted setting; all of them are multiplied by the same factors.
        factors: those that are tried first, in increasing order.
        metric, target: when a replica has learned.
        first_seed: of the config.
        notes: what of the config is left out, in words.
    """

    name: str
    base: Mapping[str, Any]
    given: Mapping[str, Any]
    extent: Extent
    rates: Mapping[str, float]
    factors: tuple[float, ...]
    metric: str
    target: float
    first_seed: int
    notes: tuple[str, ...] = ()

    def settings(self, strategy: str, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """The config of a fit with a strategy; its arms and seeds are given beside it.

        Args:
            strategy: the class of ``data``.
            fixed: its own constructor arguments.
        """
        data = self.base["data"]["init_args"]
        common = {key: data[key] for key in _COMMON if key in data}
        return {**self.base, "data": {"class_path": strategy, "init_args": {**common, **fixed}}}

    def arm(self, candidate: Candidate, factor: float) -> dict[str, Any]:
        """The settings of an arm: the candidate's, and the rates by a factor."""
        return {**candidate.settings, **{key: rate(value, factor) for key, value in self.rates.items()}}


def rate(value: float, factor: float) -> float:
    """A rate times a factor, to four significant digits."""
    return float(f"{value * factor:.4g}")


def read(config: str, words: Sequence[str]) -> Problem:
    """The problem of a config.

    Args:
        config: as of ``svl fit --config``.
        words: further settings, as of ``svl fit``.

    Raises:
        SettingError: for a config that cannot be used, or one that asks for something else than a comparison of
            strategies.
    """
    settings = yaml.safe_load(resolve(["fit", "--config", config, *words]))
    _check(settings)
    factors, base_rate = _rates(settings)
    data = objects(["fit", "--config", dump_yaml(_alone(settings))]).datamodule
    task = data.task
    optimizer = settings["model"]["optimizer"]["init_args"]
    rates = {RATE: base_rate if base_rate is not None else float(optimizer["lr"])}
    rates |= {
        f"model.groups.{name}.lr": float(group["lr"])
        for name, group in (settings["model"]["groups"] or {}).items()
        if group.get("lr") is not None
    }
    extent = Extent(
        settings["trainer"]["max_steps"],
        data.batch_size,
        task.train_size,
        task.population_size,
        task.has_accuracy,
    )
    base, notes = _base(settings)
    target = settings["target"]
    return Problem(
        str(settings["experiment"]),
        base,
        {key: settings[key] for key in ("trainer", "wandb")},
        extent,
        rates,
        factors,
        target["metric"],
        float(target["value"]),
        settings["replicas"]["first_seed"],
        notes,
    )


def _check(settings: Mapping[str, Any]) -> None:
    """Refuse what would make the comparison another one than that of strategies at equal steps and batches."""
    data = settings["data"]
    kind, arguments = str(data["class_path"]).rpartition(".")[2], data["init_args"]
    if kind not in STRATEGIES:
        allowed = f"{', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}, in whose place svl advise puts what it compares"
        raise SettingError("data", kind, allowed)
    if arguments.get("batch_ratio") is not None:
        raise SettingError("data.batch_ratio", arguments["batch_ratio"], "null: svl advise compares equal batches")
    if arguments.get("streams"):
        raise SettingError("data.streams", list(arguments["streams"]), "null: they are strategies of their own")
    for name, intervention in (arguments.get("interventions") or {}).items():
        phases = intervention.get("init_args", {}).get("phases")
        if phases is not None:
            key = f"data.interventions.{name}.phases"
            raise SettingError(key, phases, "null, which is all phases: the candidates have phases of their own")
    for key, value in _varied(settings["replicas"]):
        if key != RATE and not _is_of_strategy(key):
            allowed = f"one value: svl advise varies the strategy and the rate; add --replicas.vary.{key} null"
            raise SettingError(f"replicas.vary.{key}", value, allowed)


def _varied(replicas: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The settings that vary, with their values."""
    if replicas.get("arms"):
        arms = list(replicas["arms"].values())
        return [(key, [arm[key] for arm in arms]) for key in arms[0]]
    return list((replicas.get("vary") or {}).items())


def _is_of_strategy(key: str) -> bool:
    """Whether a setting belongs to the strategy alone, so that the candidates replace it."""
    part = key.removeprefix("data.").split(".")[0]
    return key.startswith("data.") and part not in _COMMON


def _rates(settings: Mapping[str, Any]) -> tuple[tuple[float, ...], float | None]:
    """The factors of the first round, and the rate that they multiply if the config varies it."""
    values = sorted({float(value) for value in dict(_varied(settings["replicas"])).get(RATE, [])})
    if len(values) < 3:
        # One or two rates are no grid: the others are multiples of the middle one.
        return FACTORS, math.sqrt(values[0] * values[-1]) if values else None
    middle = values[len(values) // 2]
    return tuple(value / middle for value in values), middle


def _alone(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a single replica without callbacks, of which the objects are built."""
    replicas = {"seeds": 1, "first_seed": 0}
    return {**settings, "replicas": replicas, "trainer": {**settings["trainer"], "callbacks": None, "logger": None}}


def _base(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings that all fits share, and what is left out of the config."""
    trainer = {**settings["trainer"], "logger": None, "max_time": None, "enable_progress_bar": False}
    notes = []
    every = trainer["log_every_n_steps"]
    trainer["log_every_n_steps"] = min(every, max(1, trainer["max_steps"] // MEASUREMENTS))
    if trainer["log_every_n_steps"] < every:
        notes.append(
            f"the fits are measured every {trainer['log_every_n_steps']} steps, since times to the target decide"
        )
    is_measured = not str(settings["target"]["metric"]).startswith(_OWN_TARGETS)
    if trainer["callbacks"] and not is_measured:
        trainer["callbacks"] = None
        notes.append("callbacks of the config are left out of the fits")
    varied = [key for key, _ in _varied(settings["replicas"]) if key != RATE]
    if varied:
        notes.append(f"what the config varies, {', '.join(varied)}, is for svl advise to choose")
    kept = {key: value for key, value in settings.items() if key not in ("figure", "run_id", "ckpt_path", "replicas")}
    return {**kept, "trainer": trainer, "wandb": {**settings["wandb"], "mode": "disabled"}}, tuple(notes)
