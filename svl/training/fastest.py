"""The fastest of the routes that can serve a fit: measured once on a machine, and remembered there."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from importlib.metadata import version
from typing import Any

import torch

from svl import machine, native
from svl.caches import folders
from svl.errors import SettingError
from svl.results.atomic import replacing
from svl.training import memory
from svl.training.choice import BATCH_ROUTES, STEP_ROUTES, Choice, obstacle
from svl.training.compilation import warn
from svl.training.engine import Engine
from svl.training.plan import Plan
from svl.training.spec import StackSpec
from svl.training.step_examples import has_source
from svl.training.timing import Timing

# Compiling the other routes to measure them takes some ten seconds. A fit whose examples have a source rarely gains by
# them, and another one may train three times faster. A gain must be larger than a measurement's error.
_SECONDS_WORTH_MEASURING, _WITHOUT_SOURCE, _LEAST_GAIN = 120.0, 30.0, 1.15
_SECONDS_OF_MEASUREMENT, _ROUNDS = 0.1, 3
_OPERATIONS_WORTH_TIMING = 10**11  # seconds of any route, whose differences are not worth a measurement


def chosen_engine(
    spec: StackSpec, device: torch.device, build: Callable[[Plan], Engine], resumed: Choice | None = None
) -> Engine:
    """The engine of the route that has computed the fit so far, that ``model.route`` names, or that is fastest.

    Args:
        spec: what is trained.
        device: where its tensors are.
        build: puts a plan to work.
        resumed: the route that has computed the steps before a checkpoint.

    Raises:
        SettingError: if the route that ``model.route`` names cannot serve.
    """
    execution = spec.execution
    if resumed:
        try:
            return build(Plan.of(spec, device, resumed))
        except SettingError:
            warn(
                f"the fit was computed by the route {resumed.route} so far, which this machine does not have: from here"
                " on its numbers can differ by rounding"
            )
    if execution.route:
        return build(Plan.of(spec, device, _named(spec)))
    return fastest(spec, device, build)


def check_route(spec: StackSpec) -> None:
    """Raise :class:`SettingError` if ``model.route`` names a route that serves the fit on no device of this machine."""
    if not spec.execution.route:
        return
    devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        try:
            Plan.of(spec, torch.device(device), _named(spec))
        except SettingError:
            if device == devices[-1]:
                raise
        else:
            return


def _named(spec: StackSpec) -> Choice:
    """The choice of the route that ``model.route`` names."""
    execution = spec.execution
    assert execution.route is not None
    is_compiled = None if execution.route == "autograd" else execution.compile != "never"
    return Choice(execution.route, is_compiled, f"model.route is {execution.route}")


def fastest(spec: StackSpec, device: torch.device, build: Callable[[Plan], Engine]) -> Engine:
    """The engine of the route that trains a fit in the shortest time.

    Where several routes serve a fit of more than a few seconds, the first in order of preference is timed for a
    fraction of a second. If the whole fit would take more than two minutes by it, or half a minute where its examples
    have no source, the others are compiled and timed too. The times are kept for fits of the same shape on this
    machine, and the choice for those of the same length as well, so that a fit that is run again gives the same
    numbers.

    Args:
        spec: what is trained.
        device: where its tensors are.
        build: puts a plan to work.
    """
    plan = Plan.of(spec, device)
    others = [] if _operations(spec, plan) < _OPERATIONS_WORTH_TIMING else _others(plan, spec)
    if not others:
        return build(plan)
    remembered, steps = RouteMemory(spec, plan), spec.data.total_steps
    plans = {other.choice.route: other for other in (plan, *others)}
    chosen = remembered.chosen(steps)
    engines: dict[str, Engine] = {}
    if chosen not in plans:
        engines = {plan.choice.route: build(plan)}
        seconds = remembered.seconds(steps) or _measured(engines, steps)
        worth = _SECONDS_WORTH_MEASURING if has_source(spec) else _WITHOUT_SOURCE
        if max(seconds.values()) > worth and seconds.keys() != plans.keys():
            engines |= {word: build(other) for word, other in plans.items() if word not in engines}
            seconds = _measured(engines, steps)
        chosen = _best(plan.choice.route, seconds)
        remembered.keep(steps, seconds, chosen)
    return engines.get(chosen) or build(plans[chosen])


def _operations(spec: StackSpec, plan: Plan) -> int:
    """About how many operations all steps take: six for each example and parameter."""
    parameters = sum(math.prod(shape) for shape in spec.packing.shapes.values())
    calls = sum(block.calls(spec.data.total_steps) * block.replicas for block in plan.blocks)
    return 6 * parameters * calls * plan.micro_batch_size


def _others(plan: Plan, spec: StackSpec) -> list[Plan]:
    """The plans of all other routes that serve, where a measurement may choose between them."""
    # Processes that share a fit must all make the same choice, and a GPU's kernel checks itself against the eager step.
    if not plan.is_compiled or plan.device.type != "cpu" or spec.team.size > 1:
        return []
    found = []
    routes = [*STEP_ROUTES, *(BATCH_ROUTES if plan.uses_batches or plan.step_route.word else ())]
    for word in dict.fromkeys(route.word for route in routes if route.word):
        choice = Choice(word, True, "another route was faster when they were measured on this machine")
        serves = [
            route for route in routes if route.word == word and obstacle(route, spec, plan.device, True, choice) is None
        ]
        if word != plan.choice.route and serves:
            other = Plan.of(spec, plan.device, choice)
            found += [other] if memory.fits(spec, other) else []
    return found


def _measured(engines: dict[str, Engine], steps: int) -> dict[str, float]:
    """Seconds of a whole fit by each engine, the least of several rounds in which each is measured once."""
    timings = {word: Timing(engine, steps) for word, engine in engines.items()}
    rounds = [
        {word: timing.seconds(_SECONDS_OF_MEASUREMENT) for word, timing in timings.items()} for _ in range(_ROUNDS)
    ]
    return {word: min(part[word] for part in rounds) for word in timings}


def _best(preferred: str, seconds: dict[str, float]) -> str:
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[preferred] > _LEAST_GAIN * seconds[best] else preferred


class RouteMemory:
    """Remembers in a file what was measured of fits of one shape on this machine, beside the kernels.

    Removing the folder ``routes`` of svl's cache forgets it. Without a folder to write to, nothing is remembered.

    Args:
        spec: a fit of the shape.
        plan: by its preferred route.
    """

    def __init__(self, spec: StackSpec, plan: Plan) -> None:
        shape = _shape(spec, plan)
        digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
        self._folder = next(folders("routes"), None)
        self._name = f"{digest}.json"
        self._kept: dict[str, Any] = {"shape": shape, "seconds per step": {}, "chosen": {}}
        if self._folder:
            with suppress(OSError, ValueError):
                self._kept |= json.loads((self._folder / self._name).read_text(encoding="utf-8"))

    def chosen(self, steps: int) -> str | None:
        """The route that was chosen for fits of so many steps."""
        word: str | None = self._kept["chosen"].get(str(steps))
        return word

    def seconds(self, steps: int) -> dict[str, float]:
        """What so many steps take by each route that was measured."""
        return {word: seconds * steps for word, seconds in self._kept["seconds per step"].items()}

    def keep(self, steps: int, seconds: dict[str, float], chosen: str) -> None:
        """Remember a measurement and a choice.

        Args:
            steps: of the fit.
            seconds: of all of them by each route.
            chosen: the route's word.
        """
        self._kept["seconds per step"] |= {word: value / steps for word, value in seconds.items()}
        self._kept["chosen"][str(steps)] = chosen
        if self._folder:
            with suppress(OSError), replacing(self._folder / self._name) as temporary:
                temporary.write_text(json.dumps(self._kept, indent=1), encoding="utf-8")


def _shape(spec: StackSpec, plan: Plan) -> dict[str, Any]:
    """Everything that the time of a step depends on, apart from numbers such as rates and sizes of sets."""
    data, execution, block = spec.data, spec.execution, plan.blocks[0]
    interventions = [*data.interventions.values(), *spec.interventions.values()]
    return {
        "svl": [version("svl"), native.digest()],
        "machine": [machine.processor(), machine.compiler(), torch.__version__],
        "cores": [plan.workers, execution.threads or torch.get_num_threads()],
        "network": [str(spec.network), {name: list(shape) for name, shape in spec.packing.shapes.items()}],
        "parts": [_name(part) for part in (spec.objective.loss, spec.rule, data, data.task, *interventions)],
        "numbers": sorted(spec.numbers),
        "batch": [data.batch_size, list(data.task.input_shape)],
        "replicas": [spec.replicas, block.replicas, [astuple(steps)[1:] for steps in block.ranges]],
        "execution": [execution.block_size, execution.precision, execution.fused],
    }


def _name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"
