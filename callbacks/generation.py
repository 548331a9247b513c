"""Accuracy by greedy generation: whether a decoder solves a problem when it reads its own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl.callbacks.measurement import Measurement, forward, test_examples
from svl.checks import check_whole
from svl.errors import SettingError
from svl.training.replica_module import ReplicaModule
from svl.training.stack import ReplicaStack

NO_TARGET = -100


class Generation(Measurement):
    """Accuracies of what each replica writes after the prompts of test examples.

    The prompt of an example is what comes before its first target. From there on each token is the one of the largest
    logit, and is read as the next input. ``generated/accuracy`` is the fraction of the examples that the task counts as
    solved (:meth:`~svl.tasks.Task.solves`), such as those with the right answer after any scratchpad;
    ``generated/exact`` is the fraction for which every token equals its target.

    The task has a target at each position, which is the next token, as :class:`~svl.tasks.ScratchpadAddition` and
    :class:`~svl.tasks.Facts` have. The network must be causal, like ``Transformer`` with ``causal: true``: otherwise a
    position depends on tokens that are not written yet.

    Cost: for each measurement as many forward passes over ``examples`` test examples as a completion has tokens.

    Args:
        examples: number of test examples.

    Raises:
        SettingError: for ``examples`` below 1, a task without tokens to predict at each position or without prompts,
            or a network that is not causal.
    """

    metrics = ("generated/accuracy", "generated/exact")

    def __init__(self, examples: int = 64) -> None:
        check_whole("examples", examples, 1)
        self.examples = examples

    def names(self, module: ReplicaModule) -> Sequence[str]:
        task = module.stack.data.task
        combination = f"Generation for {type(task).__name__}"
        if not (task.per_position and task.target == "class" and task.vocabulary):
            allowed = "tasks of tokens with a target at each position: the next token"
            raise SettingError("trainer.callbacks", combination, allowed)
        inputs, targets = test_examples(module.stack, self.examples)
        first = first_target(targets)
        if (first < 1).any() or (first == targets.shape[-1]).any():
            allowed = "tasks whose examples begin with a prompt, whose tokens are not targets, before any target"
            raise SettingError("trainer.callbacks", combination, allowed)
        if not _is_causal(module.stack, inputs):
            name = type(module.stack.spec.network).__name__
            allowed = "causal networks, whose outputs depend on earlier tokens alone: causal: true"
            raise SettingError("trainer.callbacks", f"Generation with {name}", allowed)
        return self.metrics

    def measure(self, module: ReplicaModule) -> dict[str, Float[Tensor, "replica"]]:
        stack = module.stack
        inputs, targets = test_examples(stack, self.examples)
        written = generate(stack, inputs, targets)
        is_exact = ((written == targets) | (targets == NO_TARGET)).all(-1)
        columns = (stack.data.task.solves(written, targets), is_exact)
        return {name: column.float().mean(1).cpu() for name, column in zip(self.metrics, columns, strict=True)}


def first_target(targets: Int[Tensor, "*batch position"]) -> Int[Tensor, "*batch"]:
    """The first position that has a target; the number of positions where none has."""
    has_target = targets != NO_TARGET
    return torch.where(has_target.any(-1), has_target.to(torch.int64).argmax(-1), targets.shape[-1])


def generate(
    stack: ReplicaStack,
    inputs: Int[Tensor, "replica batch position"],
    targets: Int[Tensor, "replica batch position"],
) -> Int[Tensor, "replica batch position"]:
    """What each replica writes: at each position from the first target on the token that follows, before it -100.

    Args:
        stack: the replicas.
        inputs: whose tokens up to the first target are the prompt; the others are not read.
        targets: which say where the prompt ends and where the last completion ends.
    """
    first = first_target(targets)
    has_target = (targets != NO_TARGET).any((0, 1)).nonzero()
    start, end = int(first.min()), int(has_target.max()) + 1
    tokens, written = inputs.clone(), torch.full_like(targets, NO_TARGET)
    # What lies behind the prompt is not known yet; a causal network does not read it.
    position = torch.arange(tokens.shape[-1], device=tokens.device)
    tokens[position > first[..., None]] = 0
    for place in range(start, end):
        token = forward(stack, tokens, partial(_likeliest, place))
        begun = place >= first
        written[..., place] = torch.where(begun, token, written[..., place])
        if place + 1 < tokens.shape[-1]:
            tokens[..., place + 1] = torch.where(begun, token, tokens[..., place + 1])
    return written


def _likeliest(place: int, outputs: Tensor) -> Int[Tensor, "batch"]:
    """The token of the largest logit at a position."""
    return outputs[:, place].argmax(-1)


def _is_causal(stack: ReplicaStack, inputs: Int[Tensor, "replica batch position"]) -> bool:
    """Whether another last token changes no output before it."""
    changed, vocabulary = inputs[:, :2].clone(), stack.data.task.vocabulary
    assert vocabulary is not None
    changed[..., -1] = (changed[..., -1] + 1) % vocabulary
    before, after = (forward(stack, tokens, lambda outputs: outputs[:, :-1]) for tokens in (inputs[:, :2], changed))
    return torch.allclose(before, after, rtol=1e-4, atol=1e-5, equal_nan=True)
