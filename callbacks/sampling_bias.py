"""Sampling bias: how far low-order statistics of the training data are from the population's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.callbacks.measurement import Measurement
from svl.callbacks.phase_log import present_phase
from svl.checks import check_whole
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.tasks import LinearRegression, Parity, SingleIndex, Staircase, Task
from svl.training.blocks import BlockRunner, view
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_CHUNK_SIZE = 2**14
# E[f(z)] and E[f(z) (z^2 - 1)] for z ~ N(0, 1), of the links f where they are not both 0.
_EVEN_PARTS = {
    "he2": (0.0, 2.0),
    "relu": (1 / math.sqrt(2 * math.pi), 1 / math.sqrt(2 * math.pi)),
    "sigmoid": (0.5, 0.0),
}


class SamplingBias(Measurement):
    """Sampling bias of the set that each replica reuses in its phase, after interventions on the data.

    ``bias/x`` = |mean of x|; ``bias/yx`` = |mean of y x|; ``bias/moment`` = |M^ - M| in the spectral norm, with M^ the
    mean of y x x^T in the set and the task's expectation M = E[y x x^T]; ``bias/moment_frobenius`` = |M^ - M| in the
    Frobenius norm. In a quadratic network, w^T M^ w is the signal that drives the output weight of a neuron w (Liu et
    al. 2026, section 4.2).

    M is exact for Parity, Staircase, SingleIndex and LinearRegression; other tasks have no ``bias/moment``. If data are
    fresh, the bias is that of the phase's first batch.

    Cost: one pass over the set at the first measurement of a phase, once for replicas that share the set. It takes as
    long as about four epochs of training a small network, so less than 5 % of a phase of 80 epochs or more. Later
    measurements in the phase are negligible.

    Args:
        examples: largest size of a set that is measured; NaN for larger sets.

    Raises:
        SettingError: for ``examples`` below 1, or tasks whose inputs are not vectors or whose targets are not numbers.
    """

    def __init__(self, examples: int = 2**16) -> None:
        check_whole("examples", examples, 1)
        self.examples = examples
        self._known: dict[tuple[object, ...], Float[Tensor, "statistic"]] = {}
        self._present: list[tuple[int, int, int]] = []
        self._columns: dict[str, Float[Tensor, "replica"]] = {}

    def names(self, module: ReplicaModule) -> Sequence[str]:
        task = module.stack.data.task
        is_vector = task.vocabulary is None and len(task.input_shape) == 1
        if not is_vector or task.per_position or task.target in ("class", "vector"):
            combination = f"SamplingBias for {type(task).__name__}"
            allowed = "tasks whose inputs are vectors and whose targets are numbers"
            raise SettingError("trainer.callbacks", combination, allowed)
        moments = ["bias/moment", "bias/moment_frobenius"]
        is_known = population_moment(task, module.stack.key[:1]) is not None
        return ["bias/x", "bias/yx", *(moments if is_known else ())]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        present = list(zip(*(part.tolist() for part in present_phase(module.stack, module.global_step)), strict=True))
        if present != self._present:
            self._present, self._columns = present, self._of(module, present)
        return self._columns

    def _of(self, module: ReplicaModule, present: list[tuple[int, int, int]]) -> dict[str, Float[Tensor, "replica"]]:
        names, stack = self.names(module), module.stack
        settings = [stack.replicas.column(key, None) for key in stack.replicas.vary if key.startswith("data.")]
        wanted, missing = [], {}
        for replica, (phase, size, first_step) in enumerate(present):
            # A set does not depend on the step at which its phase begins, but a batch does.
            data = (stack.replicas.seed[replica], *(repr(column[replica]) for column in settings))
            identity = (phase, first_step if size == 0 else None, *data)
            wanted.append(identity)
            if size > self.examples:
                self._known[identity] = torch.full((len(names),), math.nan)
            elif identity not in self._known:
                missing[identity] = (replica, phase, first_step)
        if missing:
            self._compute(stack, missing)
        columns = torch.stack([self._known[identity] for identity in wanted], dim=1)
        return dict(zip(names, columns, strict=True))

    def _compute(self, stack: ReplicaStack, missing: dict[tuple[object, ...], tuple[int, int, int]]) -> None:
        todo = list(missing.items())

        def compute(number: int) -> None:
            identity, place = todo[number]
            self._known[identity] = bias(stack, *place)

        # In parallel with one thread each: the operations are too small to use several.
        BlockRunner(len(todo)).run(compute, len(todo))


def bias(stack: ReplicaStack, replica: int, phase: int, first_step: int) -> Float[Tensor, "statistic"]:
    """The statistics of the set in one replica's phase that began at ``first_step``."""
    data, row = stack.data, slice(replica, replica + 1)
    settings, state, key = view(stack.settings, row), view(stack.state.data, row), stack.key[row]
    step = torch.tensor(first_step, device=key.device)
    draw = Draw(settings, state, key, step, torch.zeros_like(step), data.batch_size)
    first, size = data.sets(settings)[0, phase].tolist()
    if size:
        index = first + torch.arange(size, device=key.device)[None]
    else:
        batch = int(settings.get("batch", torch.tensor(data.batch_size)))
        index = data.indices(draw)[:, :batch]
    task, count = data.bound_task(settings), index.shape[1]
    dim = task.input_shape[0]
    # Sums of y^p x, and of y x x^T.
    sums = torch.zeros(2, dim, dtype=torch.float64, device=key.device)
    moment = torch.zeros(dim, dim, dtype=torch.float64, device=key.device)
    for part in index.split(_CHUNK_SIZE, dim=1):
        inputs, targets = data.learned(draw, part)
        x, y = inputs[0].double(), targets[0].double()
        sums += torch.stack((torch.ones_like(y), y)) @ x
        moment += x.mT @ (y[:, None] * x)
    statistics = list((sums / count).norm(dim=1))
    expected = population_moment(task, key)
    if expected is not None:
        difference = moment / count - expected[0]
        statistics += [torch.linalg.matrix_norm(difference, ord) for ord in (2, "fro")]
    return torch.stack(statistics).float().cpu()


def population_moment(task: Task, key: Int[Tensor, "replica 2"]) -> Float[Tensor, "replica dim dim"] | None:
    """E[y x x^T] of a task in closed form; ``None`` if it is not known."""
    if isinstance(task, Parity):
        # E[chi x x^T] is not zero only if chi is a product of two coordinates.
        share = 1.0 if task.degree == 2 else task.epsilon if isinstance(task, Staircase) and task.degree > 2 else 0.0
        pair = task.support_mask(key) if task.degree == 2 else torch.arange(task.dim, device=key.device) < 2
        pair = pair.expand(len(key), -1).double()
        pairs = pair[:, :, None] * pair[:, None] - torch.diag_embed(pair)
        return torch.as_tensor(share, device=key.device)[..., None] * pairs
    if isinstance(task, SingleIndex):
        # Stein's lemma: E[f(<w, x>) x x^T] = E[f] I + E[f''] w w^T.
        constant, curvature = _EVEN_PARTS.get(task.link, (0.0, 0.0))
        teacher = task.teacher(key).double()
        identity = torch.eye(task.dim, dtype=torch.float64, device=key.device)
        return constant * identity + curvature * teacher[:, :, None] * teacher[:, None]
    if isinstance(task, LinearRegression):
        return torch.zeros(len(key), task.dim, task.dim, dtype=torch.float64, device=key.device)
    return None
