"""Kinds of target of stored data: classes, signs, numbers, vectors, and targets at every position."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder

from svl import random
from svl.errors import SettingError
from svl.tasks import Dataset

COUNT = 60
X = np.random.default_rng(0).normal(size=(COUNT, 4))
WORDS = np.array(["dog", "cat", "hen"])[np.arange(COUNT) % 3]
TOKENS = np.random.default_rng(1).integers(0, 7, (COUNT, 5))
NEXT = np.roll(TOKENS, -1, axis=1)


def whole(task, part="population"):
    size = task.test_size if part == "test_examples" else task.train_size
    inputs, targets = getattr(task, part)(random.key(torch.zeros(1, dtype=torch.int64)), torch.arange(size)[None])
    return inputs[0].numpy(), targets[0].numpy()


def targets_in_order(task, inputs=X):
    """The targets of all items in the order of the inputs, which are not standardised."""
    by_input = {
        row.tobytes(): target
        for part in ("population", "test_examples")
        for row, target in zip(*whole(task, part), strict=True)
    }
    return np.array([by_input[row.astype(np.float32).tobytes()] for row in inputs])


def test_texts_and_booleans_are_classes_in_sorted_order():
    task = Dataset((X, WORDS), standardise=False)
    assert (task.target, task.output_dim, task.has_accuracy) == ("class", 3, True)
    assert task.notes == ("classes are numbered in sorted order: 'cat' is 0, 'dog' is 1, 'hen' is 2",)
    np.testing.assert_array_equal(targets_in_order(task), LabelEncoder().fit_transform(WORDS))
    np.testing.assert_array_equal(targets_in_order(Dataset((X, WORDS == "cat"), standardise=False)), WORDS == "cat")
    pairs = Dataset(list(zip(X, WORDS.tolist(), strict=True)), standardise=False)
    np.testing.assert_array_equal(targets_in_order(pairs), targets_in_order(task))


@pytest.mark.parametrize("labels", [(-1, 1), (0, 1), ("no", "yes"), (-1.0, 1.0), (False, True)])
def test_two_classes_become_signs_where_they_are_asked_for(labels):
    y = np.array(labels)[np.arange(COUNT) % 2]
    task = Dataset((X, y), target_kind="sign", standardise=False)
    assert (task.target, task.output_dim, task.has_accuracy, task.label_count) == ("sign", 1, True, 2)
    np.testing.assert_array_equal(targets_in_order(task), np.arange(COUNT) % 2 * 2 - 1)
    assert whole(task)[1].dtype == np.float32
    assert bool(task.notes) == (labels[0] != -1)
    outputs = torch.tensor([[0.3], [-2.0], [0.1]])
    assert task.correct(outputs, torch.tensor([1.0, 1.0, -1.0])).tolist() == [True, False, False]


def test_whole_numbers_are_regressed_on_where_that_is_asked_for():
    y = np.arange(COUNT) * 3
    task = Dataset((X, y), target_kind="number", standardise=False)
    assert (task.target, task.output_dim, task.notes) == ("number", 1, ())
    np.testing.assert_array_equal(targets_in_order(task), y)
    with pytest.raises(SettingError, match=r"target_kind: got null; allowed: number .* or class: .*48 different"):
        Dataset((X, y))
    assert Dataset((X, y), target_kind="class").output_dim == COUNT
    assert Dataset((np.tile(X, (20, 1)), np.arange(20 * COUNT) % 30)).output_dim == 30


def test_floats_that_are_whole_numbers_are_told():
    assert "target_kind: class makes 3 classes of them" in Dataset((X, np.arange(COUNT) % 3.0)).notes[0]
    assert Dataset((X, np.arange(COUNT) % 3.0), target_kind="class").output_dim == 3
    assert Dataset((X, np.arange(COUNT) % 3.0), target_kind="number").notes == ()
    assert Dataset((X, X[:, 0])).notes == ()


def test_rows_of_numbers_are_vectors_and_rows_with_a_single_1_can_be_classes():
    task = Dataset((X, X[:, :2]), standardise=False)
    assert (task.target, task.output_dim, task.label_count) == ("vector", 2, None)
    np.testing.assert_array_equal(targets_in_order(task), X[:, :2].astype(np.float32))
    one_hot = np.eye(3)[np.arange(COUNT) % 3]
    classes = Dataset((X, one_hot), target_kind="class", standardise=False)
    np.testing.assert_array_equal(targets_in_order(classes), np.arange(COUNT) % 3)
    assert Dataset((X, one_hot.astype(int)), target_kind="number").target == "vector"
    assert Dataset((X, X[:, :1])).target == "number"


def test_tokens_have_a_target_at_every_position():
    task = Dataset((TOKENS, NEXT), vocabulary=7)
    assert (task.per_position, task.target, task.output_dim, task.vocabulary) == (True, "class", 7, 7)
    assert task.has_perplexity
    inputs, targets = whole(task)
    np.testing.assert_array_equal(np.roll(inputs, -1, axis=1), targets)
    assert Dataset((TOKENS, NEXT[:, 0]), vocabulary=7).per_position is False
    # Classes that never occur keep their number.
    assert Dataset((TOKENS, np.full_like(NEXT, 3)), vocabulary=7).output_dim == 7


def test_positions_without_a_target_are_left_out():
    masked = np.where(np.arange(5) < 2, -100, NEXT)
    task = Dataset((TOKENS, masked), vocabulary=7)
    targets = torch.tensor([[-100, -100, 1, 2, 3]])
    outputs = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 2, 0]]), 7).float()
    assert task.correct(outputs, targets).tolist() == pytest.approx([2 / 3])
    counts = np.bincount(whole(task)[1][:, 2:].ravel(), minlength=7)
    np.testing.assert_array_equal(task.class_counts, counts)


def test_numbers_at_every_position_have_nan_where_there_is_none():
    x, y = X.reshape(COUNT, 4, 1), np.where(X > 1, np.nan, X)
    task = Dataset((x, y), per_position=True, standardise=False)
    assert (task.per_position, task.target, task.output_dim, task.input_shape) == (True, "number", 1, (4, 1))
    np.testing.assert_array_equal(targets_in_order(task, x), y.astype(np.float32))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_stratified_test_set_has_scikit_learn_s_number_of_each_class(share):
    rare = np.repeat([0, 1, 2], [120, 60, 20])
    inputs = np.arange(200.0)
    task = Dataset((inputs, rare), held_out=share, stratify=True, standardise=False)
    found = np.bincount(whole(task, "test_examples")[1], minlength=3)
    _, held = train_test_split(rare, test_size=round(200 * share), stratify=rare, random_state=0)
    np.testing.assert_array_equal(found, np.bincount(held, minlength=3))
    items = np.sort(np.concatenate([whole(task)[0], whole(task, "test_examples")[0]]).ravel())
    np.testing.assert_array_equal(items, inputs)
    # Inside a class it is a random share: of its first half a half, give or take.
    first = (whole(task, "test_examples")[0].ravel() < 60).sum()
    assert abs(first - 60 * share) < 4 * np.sqrt(30 * share)


def test_stratifying_spreads_texts_and_leaves_other_splits_alone():
    task = Dataset((X, WORDS), stratify=True)
    assert np.bincount(whole(task, "test_examples")[1]).tolist() == [4, 4, 4]
    assert Dataset((X, WORDS), stratify=False).digest == Dataset((X, WORDS)).digest != task.digest


def test_classes_of_the_test_set_alone_are_told():
    task = Dataset((X, WORDS), test=(X[:4], np.array(["cat", "fox", "dog", "owl"])))
    assert task.notes[0] == "2 of the classes of the test set never occur in training: fox, owl"


REFUSED = [
    ((X, np.arange(COUNT) % 3), {"target_kind": "sign"}, "target_kind: got 'sign'; allowed: class: .*3 different"),
    ((X, X[:, 0]), {"target_kind": "class"}, "target_kind: got 'class'; allowed: number: targets are real"),
    ((X, X[:, 0]), {"target_kind": "sign"}, "target_kind: got 'sign'; allowed: number"),
    ((X, WORDS), {"target_kind": "number"}, "target_kind: got 'number'; allowed: class or sign: .* texts such as '"),
    ((X, X[:, :2]), {"target_kind": "class"}, "target_kind: got 'class'; allowed: number: each item has 2"),
    ((X, TOKENS), {}, "target_kind: got null; allowed: number .*5 outputs.*vocabulary"),
    ((X, X[:, 0]), {"stratify": True}, "stratify: got True; allowed: false: targets are real"),
    ((X, X[:, :2]), {"stratify": True, "target_kind": "class"}, "stratify: got True; .*more than one"),
    ((X, WORDS), {"stratify": True, "test": (X, WORDS)}, "stratify: .*test set of its own"),
    ((TOKENS, NEXT[:, 1:]), {"vocabulary": 7, "per_position": True}, r"per_position: got True; .*shape \(4,\)"),
    ((TOKENS, NEXT * 2), {"vocabulary": 7}, r"targets from 0 to 6 \(vocabulary - 1\).*from 0 to 12"),
    ((TOKENS, NEXT - 1), {"vocabulary": 7}, "targets from 0 to 6.*from -1 to 5"),
    ((TOKENS, np.full_like(NEXT, -100)), {"vocabulary": 7}, "at one position or more; number 0 of the training"),
    ((TOKENS, NEXT), {"vocabulary": 7, "target_kind": "sign"}, "target_kind: got 'sign'; allowed: class or number"),
    ((X[..., None], X * np.inf), {"per_position": True}, "finite, or NaN"),
    ((X[..., None], np.where(X > 0, np.nan, X)), {}, "targets that are finite; those of number 0"),
]


@pytest.mark.parametrize(("data", "settings", "message"), REFUSED)
def test_targets_that_are_not_as_asked_for_are_refused(data, settings, message):
    with pytest.raises(SettingError, match=message) as error:
        Dataset(data, **settings)
    assert "\n" not in str(error.value)
