"""A sweep file in W&B's format: one file for W&B's agents, for this machine and for a SLURM cluster.

::

    command: [svl, fit, --config, configs/quickstart.yaml, "${args}"]
    method: grid                  # or random, bayes
    metric: {name: mean/val/accuracy, goal: maximize}
    parameters:
      model.network.width: {values: [32, 64, 128]}
      replicas.vary.data.size: {value: [8192, online]}   # arms: inside each fit
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svl import config_file
from svl.checks import check_whole
from svl.errors import SettingError, nearest
from svl.sweeps.agent import word
from svl.sweeps.parameter import Parameter, read_parameter

ARGS = "${args}"
# Keys that only W&B reads: where its server keeps the sweep.
_OF_THE_SERVER = ("program", "description", "project", "entity", "controller")
_KEYS = ("command", "method", "metric", "parameters", "name", "run_cap", "early_terminate", *_OF_THE_SERVER)
_FORMAT = "a sweep file in W&B's format"
Settings = dict[str, Any]


@dataclass(frozen=True)
class Halving:
    """Successive halving: at each rung the worse fits end (Li et al. 2018; W&B's ``hyperband``).

    Attributes:
        first: number of measurements before the first rung.
        eta: factor between the measurements of two rungs; one in ``eta`` fits passes a rung.
    """

    first: int
    eta: int


@dataclass(frozen=True)
class Sweep:
    """The checked content of a sweep file.

    Attributes:
        name: the experiment's name: runs are in ``<runs>/<name>``.
        method: how settings are chosen.
        parameters: by dotted setting.
        command: the words from ``fit`` on, with ``${args}`` in place of the settings.
        metric: the metric's name on W&B, and whether it is maximised, where the sweep has one.
        halving: early termination, if any.
        count: number of fits.
        content: the file's content, as it was read.
    """

    name: str
    method: Literal["grid", "random", "bayes"]
    parameters: dict[str, Parameter]
    command: list[str]
    metric: tuple[str, bool] | None
    halving: Halving | None
    count: int
    content: dict[str, Any]

    @property
    def is_adaptive(self) -> bool:
        """Whether a fit depends on the results of other fits."""
        return self.method == "bayes" or self.halving is not None

    @property
    def key(self) -> str:
        """A hash that is equal for sweeps that differ only in their name and their number of fits."""
        asked = {key: value for key, value in self.content.items() if key not in (*_OF_THE_SERVER, "name", "run_cap")}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]

    def grid(self) -> list[Settings]:
        """Every combination of values; the last parameter varies fastest."""
        values = [parameter.values or [] for parameter in self.parameters.values()]
        return [dict(zip(self.parameters, row, strict=True)) for row in itertools.product(*values)]

    def words(self, settings: Settings) -> list[str]:
        """The command line of a fit after the program's name; see :func:`svl.sweeps.agent.word`."""
        given = [word(key, value) for key, value in settings.items()]
        names = [option.partition("=")[0] for option in (*self.command, *given)]
        named = [] if "--experiment" in names else [self.name]
        place = self.command.index(ARGS)
        return [
            *self.command[:place], *(f"--experiment={name}" for name in named), *given, *self.command[place + 1 :]
        ]  # fmt: skip


def read(path: str, count: int | None = None) -> Sweep:
    """Read and check a sweep file.

    Args:
        path: relative to the working directory, else to the shipped configs.
        count: number of fits, in place of ``run_cap``.

    Raises:
        SettingError: naming the key.
    """
    content = config_file.read_config(config_file.locate(path, "FILE"))
    return check(content, Path(path).stem, count)


def check(content: dict[str, Any], name: str, count: int | None = None) -> Sweep:
    """A sweep from a file's content.

    Args:
        content: the file's content.
        name: the sweep's name, where the file gives none.
        count: number of fits, in place of ``run_cap``.

    Raises:
        SettingError: naming the key.
    """
    for key in content:
        if key not in _KEYS:
            raise SettingError(key, content[key], f"keys of {_FORMAT}: {', '.join(_KEYS)}{nearest(key, _KEYS)}")
    method = content.get("method")
    if method not in ("grid", "random", "bayes"):
        raise SettingError("method", method, "grid, random or bayes")
    given = content.get("parameters")
    if not isinstance(given, Mapping) or not given:
        raise SettingError("parameters", given, "a mapping from dotted settings to their values")
    parameters = {str(key): read_parameter(f"parameters.{key}", value, method) for key, value in given.items()}
    metric, halving = _metric(content.get("metric")), _halving(content.get("early_terminate"))
    if metric is None and (method == "bayes" or halving):
        raise SettingError("metric", None, f"name and goal, which {'early_terminate' if halving else method} needs")
    cap = content.get("run_cap") if count is None else count
    if cap is not None:
        check_whole("run_cap", cap, 1)
    size = math.prod(len(parameter.values or []) for parameter in parameters.values()) if method == "grid" else None
    if cap is None and size is None:
        raise SettingError("run_cap", None, f"a number of fits, here or as --count: {method} does not end by itself")
    fits = min(limit for limit in (cap, size) if limit is not None)
    name = str(content.get("name") or name)
    return Sweep(name, method, parameters, _command(content.get("command")), metric, halving, fits, content)


def _command(given: Any) -> list[str]:
    allowed = f'a list of words with fit and {ARGS}: [svl, fit, --config, FILE, "{ARGS}"]'
    words = [str(word) for word in given] if isinstance(given, list) else []
    if "fit" not in words or words.count(ARGS) != 1:
        raise SettingError("command", given, allowed)
    words = words[words.index("fit") :]
    other = [word for word in words if word.startswith("${") and word != ARGS]
    if other or ARGS not in words[1:]:
        raise SettingError("command", given, allowed)
    return words


def _metric(given: Any) -> tuple[str, bool] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise SettingError("metric", given, "a mapping with name and goal")
    goal = given.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise SettingError("metric.goal", goal, "minimize or maximize")
    return given["name"], goal == "maximize"


def _halving(given: Any) -> Halving | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or given.get("type") != "hyperband":
        raise SettingError("early_terminate", given, "a mapping with type: hyperband and min_iter or max_iter")
    for key in given:
        if key not in ("type", "min_iter", "max_iter", "s", "eta", "strict"):
            raise SettingError(f"early_terminate.{key}", given[key], "type, min_iter, max_iter, s, eta, strict")
    eta = given.get("eta", 3)
    check_whole("early_terminate.eta", eta, 2)
    if "min_iter" in given:
        first = given["min_iter"]
    elif "max_iter" in given:
        check_whole("early_terminate.max_iter", given["max_iter"], 1)
        check_whole("early_terminate.s", given.get("s", 1), 1)
        first = max(1, given["max_iter"] // eta ** given.get("s", 1))
    else:
        raise SettingError("early_terminate", dict(given), "min_iter or max_iter: numbers of measurements")
    check_whole("early_terminate.min_iter", first, 1)
    return Halving(first, eta)
