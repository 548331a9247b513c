import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.tasks.facts import Facts
from svl.tasks.task import axis_index


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def documents(inputs, targets):
    """Whole documents: the inputs and the last target."""
    return np.concatenate([inputs.numpy(), targets.numpy()[..., -1:]], axis=-1)


def is_uniform(draws, count):
    return 1e-3 < stats.chisquare(np.bincount(np.ravel(draws), minlength=count)).pvalue < 1 - 1e-3


@given(
    *(st.integers(1, 6) for _ in range(4)),
    st.integers(0, 4),
    st.integers(0, 2**62),
    st.lists(st.integers(0, 2**62), min_size=1, max_size=9),
)
def test_a_document_is_a_subject_a_relation_noise_and_an_answer_of_the_relation(
    subjects, relations, answers, noise_tokens, noise_length, seed, index
):
    task = Facts(subjects, relations, answers, noise_tokens, noise_length)
    inputs, targets = task.examples(keys(seed), torch.tensor([index]))
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (1, len(index), *task.input_shape)
    np.testing.assert_array_equal(inputs[..., 1:], targets[..., :-1])
    ranges = [range(subjects), range(subjects, subjects + relations)]
    first = subjects + relations
    sets = [range(first + r * answers, first + (r + 1) * answers) for r in range(relations)]
    noise = range(sets[-1].stop, sets[-1].stop + noise_tokens)
    assert noise.stop == task.vocabulary == task.output_dim
    for subject, relation, *middle, answer in documents(inputs, targets)[0].tolist():
        assert subject in ranges[0]
        assert relation in ranges[1]
        assert len(middle) == noise_length
        assert all(token in noise for token in middle)
        assert answer in sets[relation - subjects]


def test_a_pair_has_one_answer_in_every_document_and_another_for_another_seed():
    task = Facts(6, 5, 1000, 3, 2)
    docs = documents(*task.examples(keys(1, 2), torch.arange(2000).expand(2, -1)))
    tested = documents(*task.test_examples(keys(1, 2), torch.arange(30).expand(2, -1)))
    facts = [{tuple(doc[[0, 1, -1]]) for doc in both} for both in np.concatenate([docs, tested], axis=1)]
    for fact in facts:
        assert len(fact) == len({pair[:2] for pair in fact}) == 30
    assert len(facts[0] & facts[1]) <= 2  # 30 pairs agree by chance, each with 1/1000


def test_subjects_relations_and_noise_are_uniform_and_independent():
    task = Facts(7, 5, 3, 11, 2)
    docs = documents(*task.examples(keys(3), torch.arange(30_000)[None]))[0]
    parts = [docs[:, 0], docs[:, 1] - 7, docs[:, 2] - 27, docs[:, 3] - 27]
    sizes = [7, 5, 11, 11]
    for (part, size), (other, other_size) in itertools.combinations(zip(parts, sizes, strict=True), 2):
        assert is_uniform(part * other_size + other, size * other_size)


def test_answers_are_uniform_in_their_set():
    task = Facts(2000, 3, 8, 1, 0)
    docs = documents(*task.test_examples(keys(4), torch.arange(6000)[None]))[0]
    answers = (docs[:, -1] - 2003).reshape(2000, 3) - 8 * np.arange(3)
    for relation in range(3):
        assert is_uniform(answers[:, relation], 8)
    assert is_uniform(answers[:, 0] * 64 + answers[:, 1] * 8 + answers[:, 2], 512)
    assert is_uniform(answers[1:, 0] * 8 + answers[:-1, 1], 64)
    across = Facts(1, 1, 8, 1, 0).test_examples(random.key(torch.arange(4000)), torch.zeros(4000, 1).long())[1]
    assert is_uniform(across[..., -1] - 2, 8)


def test_given_subjects_are_the_documents_subjects_and_change_nothing_but_the_answer():
    task, index = Facts(50, 4, 6, 9, 3), torch.arange(300).expand(2, -1)
    given_subjects = axis_index(keys(5, 6), "elsewhere", index, 5)
    free = documents(*task.examples(keys(5, 6), index))
    restricted = documents(*task.examples(keys(5, 6), index, subject=given_subjects))
    np.testing.assert_array_equal(restricted[..., 0], given_subjects)
    np.testing.assert_array_equal(restricted[..., 1:-1], free[..., 1:-1])
    whole = task.examples(keys(5, 6), index, subject=axis_index(keys(5, 6), "subject", index, 50))
    np.testing.assert_array_equal(documents(*whole), free)
    assert task.axes == {"subject": 50}


def test_the_test_set_is_every_pair_once_with_noise_of_its_own():
    task = Facts(12, 5, 4, 1000, 6)
    assert task.test_size == 60
    docs = documents(*task.test_examples(keys(7, 8), torch.arange(60).expand(2, -1)))
    for replica in docs:
        assert [tuple(doc[:2]) for doc in replica.tolist()] == list(itertools.product(range(12), range(12, 17)))
    train = documents(*task.examples(keys(7, 8), torch.arange(2000).expand(2, -1)))
    noise = np.concatenate([train, docs], axis=1)[..., 2:-1].reshape(-1, 6)
    assert len(np.unique(noise, axis=0)) == 2 * 2060
    beyond = documents(*task.test_examples(keys(7, 8), torch.arange(60, 90).expand(2, -1)))
    np.testing.assert_array_equal(beyond[..., [0, 1, -1]], docs[:, :30][..., [0, 1, -1]])


def test_without_noise_a_document_is_the_fact():
    inputs, targets = Facts(3, 2, 4, 1, 0).test_examples(keys(0), torch.arange(6)[None])
    assert inputs[0].tolist() == [[s, 3 + r] for s in range(3) for r in range(2)]
    assert torch.equal(targets[..., 0], inputs[..., 1])


def test_the_objective_answer_has_no_other_target():
    index = torch.arange(40)[None]
    inputs, every = Facts(objective="all").examples(keys(1), index)
    same_inputs, only = Facts(objective="answer").examples(keys(1), index)
    assert torch.equal(inputs, same_inputs)
    assert (only[..., :-1] == -100).all()
    assert torch.equal(only[..., -1], every[..., -1])


def test_only_the_answer_is_correct_or_not():
    outputs = torch.zeros(3, 2, 4)
    outputs[0, :, 3] = outputs[1, 0, 3] = outputs[1, 1, 2] = outputs[2, 1, 3] = 1.0
    assert Facts().correct(outputs, torch.tensor([[3, 3], [3, 3], [-100, 3]])).tolist() == [True, False, True]


@settings(max_examples=25)
@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_an_example_does_not_depend_on_its_batch_or_its_neighbours(order, size):
    task = Facts()
    index = torch.tensor(order) * (2**33 + 7)
    expected = documents(*task.examples(keys(4), index.sort().values[None]))[0, order]
    batches = [task.examples(keys(9, 4), index[start : start + size].expand(2, -1)) for start in range(0, 12, size)]
    np.testing.assert_array_equal(np.concatenate([documents(*batch)[1] for batch in batches]), expected)


@pytest.mark.slow
def test_a_trace_gives_the_same_examples_for_other_keys_and_counters():
    task, index = Facts(objective="answer"), torch.arange(12).view(2, 6)
    cases = [(task.examples, ()), (Facts().examples, (index % 3,)), (task.test_examples, ())]
    for function, more in cases:
        graph = make_fx(lambda *inputs, call=function: call(*inputs), tracing_mode="fake")(keys(0, 1), index, *more)
        found, expected = (call(keys(5, 6), index + 3, *(index % 2 for _ in more)) for call in (graph, function))
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("setting", "given"),
    [
        *itertools.product(("subjects", "relations", "answers", "noise_tokens"), (-1, 0, True, 2**20 + 1)),
        *itertools.product(("noise_length",), (-1, True, 2**20 + 1)),
    ],
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        Facts(**{setting: given})
    assert (error.value.key, error.value.given) == (setting, given)
