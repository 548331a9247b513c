"""The routes in order of preference, which of them can serve a fit, and the choice of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch

from svl.errors import SettingError
from svl.training.compilation import can_compile
from svl.training.routes.autograd import Autograd
from svl.training.routes.factored import FactoredPopulation
from svl.training.routes.factored_kernel import FactoredKernel
from svl.training.routes.mlp_kernel import MLPKernel
from svl.training.routes.native_steps import NativeSteps
from svl.training.routes.route import BatchRoute, GradientRoute, Route, StepRoute
from svl.training.routes.sample_gradients import SampleGradients
from svl.training.routes.step_by_step import StepByStep
from svl.training.routes.transformer_kernel import TransformerKernel
from svl.training.routes.triton import TritonSteps
from svl.training.routes.warp import WarpSteps
from svl.training.routes.warp_full_batch import WarpFullBatch
from svl.training.spec import StackSpec

# Of each kind, the first route without an obstacle is taken.
BATCH_ROUTES: tuple[type[BatchRoute], ...] = (MLPKernel, TransformerKernel, SampleGradients, Autograd)
POPULATION_ROUTES: tuple[type[GradientRoute], ...] = (FactoredKernel, FactoredPopulation)
STEP_ROUTES: tuple[type[StepRoute], ...] = (WarpSteps, WarpFullBatch, TritonSteps, NativeSteps, StepByStep)
STEP_WORDS = {route.word for route in STEP_ROUTES if route.word}

RouteType = TypeVar("RouteType", bound=Route)


class Choice(NamedTuple):
    """One of the routes that a user, a measurement or an earlier part of the fit has chosen.

    Attributes:
        route: the ``word`` of a step route or of a batch route.
        is_compiled: whether steps are compiled; ``None`` where that depends on the length of the fit.
        reason: why the others are not taken.
    """

    route: str
    is_compiled: bool | None
    reason: str = ""

    def leaves_out(self, route: type[Route]) -> bool:
        """Whether a route is not the chosen one; a step route leaves the choice of a batch route open."""
        is_open = not route.word or (issubclass(route, GradientRoute) and self.route in STEP_WORDS)
        return not is_open and route.word != self.route


def first(
    routes: Sequence[type[RouteType]],
    spec: StackSpec,
    device: torch.device,
    is_compiled: bool,
    choice: Choice | None,
    reasons: dict[str, str],
) -> type[RouteType] | None:
    """The first route that can serve, and into ``reasons`` why those before it cannot."""
    for route in routes:
        reason = obstacle(route, spec, device, is_compiled, choice)
        if reason is None:
            return route
        reasons[route.name] = reason
    return None


def obstacle(
    route: type[Route], spec: StackSpec, device: torch.device, is_compiled: bool, choice: Choice | None
) -> str | None:
    """Why a route is not taken, or ``None`` if it can be."""
    if choice and choice.leaves_out(route):
        return choice.reason
    # What an obstacle needs to find out can take seconds.
    if route.for_long_fits and not is_compiled:
        if spec.execution.compile == "never":
            return "model.compile is never"
        return "the fit is too short to gain by it" if can_compile() else "nothing can be compiled on this machine"
    return route.obstacle(spec, device)


def unserved(choice: Choice | None, reasons: dict[str, str]) -> SettingError:
    """The error for a chosen route that cannot serve.

    Args:
        choice: of that route.
        reasons: why routes are not taken, by their names.
    """
    assert choice is not None
    every = (*STEP_ROUTES, *BATCH_ROUTES)
    why = "; ".join(f"the {route.name}: {reasons[route.name]}" for route in every if route.word == choice.route)
    return SettingError("model.route", choice.route, f"null, or a route that serves this fit ({why})")
