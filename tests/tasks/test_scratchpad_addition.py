"""Every document against one written as text by Python's own integers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from svl import random
from svl.errors import SettingError
from svl.losses import CrossEntropy
from svl.tasks import ScratchpadAddition
from svl.tasks.purity import check_pure

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def as_text(task, tokens):
    return "".join((DIGITS[: task.base] + "+=:._")[token] for token in tokens)


def written(number, places, base):
    return np.base_repr(number, base).lower().zfill(places)


def by_hand(x, z, places, room, base):
    """A document as text: the schoolbook's addition from the right."""
    carry, steps = 0, ""
    for a, b in zip(written(x, places, base)[::-1], written(z, places, base)[::-1], strict=True):
        carry, digit = divmod(int(a, base) + int(b, base) + carry, base)
        steps += DIGITS[digit] + str(carry)
    prompt = f"{written(x, places, base)}+{written(z, places, base)}="
    solution = f"{steps}:{written(x + z, places + 1, base)}."
    return prompt.rjust(2 * room + 2, "_") + solution.ljust(3 * room + 3, "_")


@given(st.integers(2, 36), st.data())
def test_a_document_is_the_schoolbooks_addition(base, data):
    room = data.draw(st.integers(1, max(k for k in range(1, 32) if base**k <= 2**31)))
    most = data.draw(st.integers(1, room))
    fewest = data.draw(st.integers(1, most))
    task = ScratchpadAddition(fewest, most, room, base)
    index = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6))
    inputs, targets = task.examples(keys(data.draw(st.integers(0, 2**62))), torch.tensor([index]))
    assert inputs.shape == targets.shape == (1, len(index), *task.input_shape)
    assert inputs.dtype == targets.dtype == torch.int64
    for read, following in zip(inputs[0].tolist(), targets[0].tolist(), strict=True):
        text = as_text(task, read)
        x, z = (int(word, base) for word in text.lstrip("_").partition("=")[0].split("+"))
        places = text.lstrip("_").index("+")
        assert fewest <= places <= most
        whole = by_hand(x, z, places, room, base)
        assert text == whole[:-1]
        first = whole.index("=")
        expected = [-100] * first + [
            -100 if token == "_" else (DIGITS[:base] + "+=:.").index(token) for token in whole[first + 1 :]
        ]
        assert following == expected


@given(st.integers(2, 36), st.data())
def test_documents_of_given_operands(base, data):
    places = data.draw(st.integers(1, max(k for k in range(1, 32) if base**k <= 2**31)))
    x, z = (data.draw(st.integers(0, base**places - 1)) for _ in range(2))
    task = ScratchpadAddition(1, places, base=base)
    tokens = task.document(*(torch.tensor([number]) for number in (x, z, places)))
    assert as_text(task, tokens[0].tolist()) == by_hand(x, z, places, places, base)


def test_digits_and_operands_are_uniform_and_independent():
    task = ScratchpadAddition(1, 3, base=2)
    inputs, _ = task.examples(keys(0), torch.arange(30_000)[None])
    found = {}
    for row in inputs[0].tolist():
        problem = as_text(task, row).lstrip("_").partition("=")[0]
        found[problem] = found.get(problem, 0) + 1
    by_places = [[count for text, count in found.items() if len(text) == 2 * places + 1] for places in (1, 2, 3)]
    assert [len(counts) for counts in by_places] == [4, 16, 64]
    assert stats.chisquare([sum(counts) for counts in by_places]).pvalue > 1e-3
    for counts in by_places:
        assert stats.chisquare(counts).pvalue > 1e-3


def test_the_task_is_pure_and_the_test_set_is_another():
    task = ScratchpadAddition(2, 6, 8)
    check_pure(task)
    index = torch.arange(500)[None]
    train, test = (
        {tuple(row) for row in part(keys(1), index)[0][0].tolist()} for part in (task.examples, task.test_examples)
    )
    assert len(train & test) < 5  # 10^4 problems of two digits in a fifth of the examples


def test_the_loss_is_that_of_the_completion_alone():
    task = ScratchpadAddition(1, 3, 4)
    _, targets = task.examples(keys(2), torch.arange(8)[None])
    outputs = torch.randn(8, *task.input_shape, task.output_dim)
    losses = CrossEntropy().each(outputs, targets[0])
    changed = torch.where((targets[0] < 0)[..., None], torch.randn_like(outputs), outputs)
    torch.testing.assert_close(CrossEntropy().each(changed, targets[0]), losses)
    log = outputs.log_softmax(-1).numpy()
    for row in range(8):
        scored = [-log[row, place, token] for place, token in enumerate(targets[0, row].tolist()) if token >= 0]
        assert np.isclose(np.mean(scored), losses[row].item(), rtol=1e-5)


def test_accuracy_and_exact_of_predicted_tokens():
    task = ScratchpadAddition(1, 2, 2)
    _, targets = task.examples(keys(3), torch.arange(50)[None])
    outputs = torch.nn.functional.one_hot(targets.clamp(min=0), task.output_dim).float()
    assert (task.correct(outputs, targets) == 1).all() and (task.measures(outputs, targets)["exact"] == 1).all()
    first = (targets != -100).int().argmax(-1)
    outputs.scatter_(2, first[..., None, None].expand(*first.shape, 1, task.output_dim), 0.0)
    outputs[..., task.padding] += 0.5
    count = (targets != -100).sum(-1)
    torch.testing.assert_close(task.correct(outputs, targets), (count - 1) / count)
    assert (task.measures(outputs, targets)["exact"] == 0).all()


def answered_by_hand(task, tokens, answer):
    """Whether the text behind the first colon begins with the answer and the end."""
    text = as_text(task, [token for token in tokens if token >= 0])
    return text.partition(":")[2].startswith(answer + ".")


@given(st.integers(0, 2**62), st.data())
def test_a_problem_is_solved_by_its_answer_whatever_the_scratchpad(seed, data):
    task = ScratchpadAddition(1, 3, 3, base=3)
    _, targets = task.examples(keys(seed), torch.arange(4)[None])
    written_tokens = targets.clone()
    for row, place in itertools.product(range(4), range(targets.shape[-1])):
        # Also beyond the end of the target, where a network writes on.
        if place >= 7 and data.draw(st.integers(0, 9)) == 0:
            written_tokens[0, row, place] = data.draw(st.integers(0, task.vocabulary - 1))
    solved = task.solves(written_tokens, targets)[0].tolist()
    for row in range(4):
        answer = as_text(task, [t for t in targets[0, row].tolist() if t >= 0]).partition(":")[2][:-1]
        assert solved[row] == answered_by_hand(task, written_tokens[0, row].tolist(), answer)
    assert task.solves(targets, targets).all()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"base": 1}, "base"),
        ({"base": 37}, "base"),
        ({"most_digits": 10}, "most_digits"),
        ({"room": 10}, "room"),
        ({"room": 2}, "most_digits"),
        ({"fewest_digits": 0}, "fewest_digits"),
        ({"fewest_digits": 4}, "fewest_digits"),
        ({"most_digits": True}, "most_digits"),
    ],
)
def test_what_is_out_of_range_is_refused(settings, key):
    with pytest.raises(SettingError) as caught:
        ScratchpadAddition(**settings)
    assert caught.value.key == key
