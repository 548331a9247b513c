"""Overfitting: train minus test, and the share of the reused examples that are memorised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl.callbacks.measurement import Measurement, forward, test_examples
from svl.callbacks.phase_log import present_phase
from svl.checks import check_whole
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.tasks import Facts, InContextRegression
from svl.training.blocks import view
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

_LARGEST_SET = 2**16
_CHUNK_SIZE = 2**12


class Probes(NamedTuple):
    """Examples on which all replicas of an arm are compared.

    Attributes:
        inputs: ``[replica, batch, *input_shape]``.
        targets: as training sees them, ``[replica, batch, ...]``.
        counter: of each.
        is_real: which of them count; a set that has fewer examples is filled up.
        saw: which replicas of the same arm have each example in their set: ``[replica, batch, seed]``.
    """

    inputs: Tensor
    targets: Tensor
    counter: Int[Tensor, "replica batch"]
    is_real: Bool[Tensor, "replica batch"]
    saw: Bool[Tensor, "replica batch seed"]


class Memorisation(Measurement):
    """How much better each replica does on the examples that it reuses than on others, and how many it has memorised.

    ``overfit/accuracy``: accuracy on the set that a replica reuses in its phase, minus that on test examples;
    ``overfit/loss``: the test loss minus that on the set. Targets of the set are those that training sees, with the
    interventions on data.

    ``memorised/share``: the share of the set's examples that are right and would not be if they had been left out. For
    example i of a replica's set, in_i is the share of the replicas of its arm that are right among those that have the
    example in their set, and out_i that among the others. The share is the mean of in_i (1 - out_i), without the
    examples that all replicas have in their sets. The mean of in_i - out_i is Feldman's memorisation, whose expectation
    is that of ``overfit/accuracy`` where examples are drawn independently. Since replicas with different seeds have
    different examples, the estimate needs no further training. ``memorised/chance``: the same for test examples, which
    no replica has seen, so that out_i is the share of the other replicas. It is not 0, because two trainings differ;
    what exceeds it is memorised.

    Where a teacher is drawn for each replica, the other replicas are asked for the labels of their own teachers. With a
    class at each position, every position that has a target counts as an example.

    If data are fresh, the set is the first batch of the phase. Columns are NaN at step 0; the shares are also NaN for
    one seed, where every replica has an example in its set, and where this is not known: for fresh data and sets of
    more than 65,536 examples of a task whose inputs can be enumerated or are stored.

    Source: Feldman 2020 (*Does learning require memorization?*), definition 1.1; Feldman and Zhang 2020, section 2.

    Cost: for each measurement 2 S forward passes over ``examples`` examples for S seeds an arm, and one pass over the
    sets at the first measurement of a phase.

    Args:
        examples: number of examples of each replica's set that are asked for, spread evenly over it; smaller sets are
            asked for whole. As many test examples are compared with them.

    Raises:
        SettingError: for ``examples`` below 1, or a task whose targets depend on the seed in another way than by a
            teacher that can label any input.
    """

    def __init__(self, examples: int = 64) -> None:
        check_whole("examples", examples, 1)
        self.examples = examples
        self._present: list[tuple[int, int, int]] = []
        self._probes: Probes | None = None

    def names(self, module: ReplicaModule) -> Sequence[str]:
        data = module.stack.data
        task = data.task
        if isinstance(task, Facts | InContextRegression) or (task.has_teacher and data.interventions):
            what = " with interventions on data" if task.has_teacher else ""
            allowed = "tasks that give the same targets to all seeds, or have a teacher and no interventions"
            raise SettingError("trainer.callbacks", f"Memorisation for {type(task).__name__}{what}", allowed)
        accuracies = ["overfit/accuracy", "memorised/share", "memorised/chance"] if task.has_accuracy else []
        return ["overfit/loss", *accuracies]

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack, step, names = module.stack, module.global_step, self.names(module)
        if step == 0:
            return dict.fromkeys(names, torch.full((len(stack.replicas),), math.nan))
        present = list(zip(*(part.tolist() for part in present_phase(stack, step)), strict=True))
        if present != self._present or self._probes is None:
            self._present, self._probes = present, probes(stack, present, self.examples)
        fresh = tests(stack, self.examples)
        losses = [_own_loss(stack, part) for part in (fresh, self._probes)]
        columns = {"overfit/loss": losses[0] - losses[1]}
        if stack.data.task.has_accuracy:
            trained, tested = (Shares.of(stack, part) for part in (self._probes, fresh))
            columns["overfit/accuracy"] = trained.own - tested.own
            columns["memorised/share"], columns["memorised/chance"] = trained.memorised, tested.memorised
        return {name: columns[name].float().cpu() for name in names}


class Shares(NamedTuple):
    """What the replicas of an arm say of each one's examples.

    Attributes:
        own: each replica's accuracy on its examples.
        memorised: the mean of in_i (1 - out_i) over those for which there is a replica to ask; NaN if there are none.
    """

    own: Float[Tensor, "replica"]
    memorised: Float[Tensor, "replica"]

    @classmethod
    def of(cls, stack: ReplicaStack, probes: Probes) -> Shares:
        """Ask every replica for the examples of every other one of its arm."""
        seeds = stack.replicas.seeds
        alive = (stack.record["diverged_at"] < 0).to(probes.saw.device)
        right = torch.stack([_right(stack, probes, shift) for shift in range(seeds)], dim=-1)
        # Column number ``shift`` has what the replica ``shift`` seeds further on says.
        place = (torch.arange(seeds, device=alive.device)[:, None] + torch.arange(seeds, device=alive.device)) % seeds
        place = place.repeat(len(alive) // seeds, 1)
        saw = probes.saw.gather(-1, place[:, None].expand(probes.saw.shape))
        asked = alive.view(-1, seeds).repeat_interleave(seeds, 0).gather(-1, place)[:, None]
        # Positions of an example are items of their own.
        right = right.flatten(2, -2) if right.dim() > 3 else right[:, :, None]
        saw, asked = (part[:, :, None] for part in (saw, asked))
        is_item = probes.is_real[:, :, None] & ~right[..., 0].isnan()
        inside, outside = (_share(right, part & asked) for part in (saw, ~saw & asked))
        # An example that no replica has in its set, such as a test example, is asked of its own replica.
        inside = torch.where(saw.any(-1), inside, right[..., 0])
        outside = torch.where(saw.any(-1), outside, _share(right[..., 1:], asked[..., 1:]))
        memorised = inside * (1 - outside)
        return cls(_mean(right[..., 0], is_item), _mean(memorised, is_item & ~memorised.isnan()))


def probes(stack: ReplicaStack, present: Sequence[tuple[int, int, int]], examples: int) -> Probes:
    """Examples of each replica's set, and who else has them.

    Args:
        stack: the replicas.
        present: of each replica, its phase, the size of its set, and the first step of its phase.
        examples: how many.
    """
    rows, hashes = [], []
    task = stack.data.task
    can_coincide = task.population_size is not None or task.train_size is not None
    for replica, (phase, size, first_step) in enumerate(present):
        draw, first = _draw(stack, replica, first_step), int(_sets(stack, replica)[phase, 0])
        batch = stack.data.indices(draw)[0] if size == 0 else None
        if batch is not None and "batch" in draw.settings:
            batch = batch[: int(draw.settings["batch"])]
        count = len(batch) if batch is not None else size
        place = torch.arange(examples, device=stack.key.device)
        place = place * count // examples if count > examples else place % count
        index = first + place if batch is None else batch[place]
        inputs, targets = stack.data.learned(draw, index[None])
        rows.append((inputs[0], targets[0], index, torch.arange(examples, device=index.device) < count))
        hashes.append(_hashes_of_set(stack, draw, first, size) if 0 < size <= _LARGEST_SET else None)
    inputs, targets, index, is_real = (torch.stack(part) for part in zip(*rows, strict=True))
    seeds = stack.replicas.seeds
    saw = torch.eye(seeds, dtype=torch.bool, device=index.device).repeat(len(rows) // seeds, 1)
    saw = saw[:, None].repeat(1, examples, 1)
    for replica in range(len(rows)):
        arm, own = replica - replica % seeds, _hash(inputs[replica])
        for seed, others in enumerate(hashes[arm : arm + seeds]):
            if others is not None:
                saw[replica, :, seed] |= torch.isin(own, others)
            elif can_coincide:
                # Whether the other has these examples is not known: as if it had, so that it is not asked.
                saw[replica, :, seed] = True
    return Probes(inputs, targets, index, is_real, saw)


def tests(stack: ReplicaStack, examples: int) -> Probes:
    """Test examples, which no replica has in its set."""
    inputs, targets = test_examples(stack, examples)
    shape, device = targets.shape[:2], targets.device
    index = torch.arange(shape[1], device=device).expand(shape)
    nobody = torch.zeros(*shape, stack.replicas.seeds, dtype=torch.bool, device=device)
    return Probes(inputs, targets, index, torch.ones(shape, dtype=torch.bool, device=device), nobody)


def _draw(stack: ReplicaStack, replica: int, step: int) -> Draw:
    row, key = slice(replica, replica + 1), stack.key
    settings, state = view(stack.settings, row), view(stack.state.data, row)
    number = torch.tensor(step, device=key.device)
    return Draw(settings, state, key[row], number, torch.zeros_like(number), stack.data.batch_size)


def _sets(stack: ReplicaStack, replica: int) -> Int[Tensor, "phase 2"]:
    sets: Tensor = stack.data.sets(view(stack.settings, slice(replica, replica + 1)))
    return sets[0]


def _hashes_of_set(stack: ReplicaStack, draw: Draw, first: int, size: int) -> Int[Tensor, "example"]:
    index = first + torch.arange(size, device=draw.key.device)
    return torch.cat([_hash(stack.data.learned(draw, part[None])[0][0]) for part in index.split(_CHUNK_SIZE)])


def _hash(inputs: Tensor) -> Int[Tensor, "batch"]:
    """A number for each example that is the same for equal inputs, and for others with a chance of about 2^-60."""
    numbers = inputs.flatten(1)
    words = numbers.view(torch.int32).long() if numbers.dtype == torch.float32 else numbers.to(torch.int64)
    total = torch.zeros(len(words), dtype=torch.int64, device=words.device)
    for column in words.unbind(1):
        # Products wrap around, as in any multiplicative hash.
        product = (total ^ column) * 0x5851F42D4C957F2D
        total = product ^ (product >> 29)
    return total


def _own_loss(stack: ReplicaStack, probes: Probes) -> Float[Tensor, "replica"]:
    outputs = forward(stack, probes.inputs)
    losses = torch.stack([
        stack.spec.objective.of_examples(own, targets)[0] for own, targets in zip(outputs, probes.targets, strict=True)
    ])  # fmt: skip
    return _mean(losses[:, :, None], probes.is_real[:, :, None])


def _right(stack: ReplicaStack, probes: Probes, shift: int) -> Float[Tensor, "replica batch *position"]:
    """Where the replica that is ``shift`` seeds further on in the same arm is right; NaN where there is no target."""
    seeds = stack.replicas.seeds

    def turned(values: Tensor, by: int) -> Tensor:
        return values.unflatten(0, (-1, seeds)).roll(by, 1).flatten(0, 1)

    inputs, targets = turned(probes.inputs, shift), turned(probes.targets, shift)
    task = stack.data.task
    if task.has_teacher and shift:
        targets = stack.data.bound_task(stack.settings).labels(stack.key, inputs, turned(probes.counter, shift))
    outputs = forward(stack, inputs)
    if task.per_position and task.target == "class":
        is_right = (outputs.argmax(-1) == targets).float().masked_fill(targets < 0, math.nan)
    else:
        correct = task.correct(outputs, targets)
        assert correct is not None
        is_right = correct.float()
    return turned(is_right, -shift)


def _share(right: Tensor, who: Tensor) -> Tensor:
    """The share that is right among some replicas; NaN where there are none."""
    who = who.expand(right.shape)
    return torch.where(who, right, 0.0).sum(-1) / who.sum(-1)


def _mean(values: Tensor, is_item: Tensor) -> Float[Tensor, "replica"]:
    """Each replica's mean over the items that count; NaN where there are none."""
    is_item = is_item.expand(values.shape)
    return torch.where(is_item, values, 0.0).sum((1, 2)) / is_item.sum((1, 2))
