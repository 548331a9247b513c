"""Datasets that bring their own test set: Hugging Face's ``DatasetDict``, mappings and pairs."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from svl import random
from svl.errors import SettingError
from svl.tasks import Dataset

X = np.random.default_rng(0).normal(size=(50, 4))
Y = np.arange(50) % 3
TEST = X[:9] + 1, Y[:9]


class Rows:
    """As ``datasets.Dataset``: rows are mappings, and columns can be asked for by name."""

    def __init__(self, **columns):
        self.columns = columns
        self.column_names = list(columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}

    def to_pandas(self):
        raise AssertionError("images and texts would not survive that")


class DatasetDict(dict):
    """As ``datasets.DatasetDict``."""


def rows(x, y):
    return Rows(features=x.tolist(), label=y.tolist())


def same(task, other):
    key = random.key(torch.zeros(1, dtype=torch.int64))
    index = torch.arange(50)[None]
    parts = zip(
        (*task.population(key, index), *task.test_examples(key, index)),
        (*other.population(key, index), *other.test_examples(key, index)),
        strict=True,
    )
    sizes = (task.train_size, task.test_size) == (other.train_size, other.test_size)
    return sizes and all(torch.equal(one, two) for one, two in parts)


@pytest.mark.parametrize("name", ["test", "validation", "valid"])
def test_a_dataset_dict_has_its_own_test_set(name):
    task = Dataset(DatasetDict({"train": rows(X, Y), name: rows(*TEST)}))
    assert same(task, Dataset((X, Y), test=TEST))
    assert task.notes == (f"of train, {name}, train is trained on and {name} is the test set",)


def test_the_test_set_is_test_if_there_are_others():
    every = {"train": rows(X, Y), "validation": rows(X, Y), "test": rows(*TEST)}
    assert same(Dataset(DatasetDict(every)), Dataset((X, Y), test=TEST))


def test_a_dataset_dict_with_train_alone_has_some_held_out():
    assert same(Dataset(DatasetDict(train=rows(X, Y))), Dataset((X, Y)))


def test_without_train_the_splits_are_named():
    with pytest.raises(SettingError, match=r"^dataset: got 'DatasetDict'; .*named train, not a, b"):
        Dataset(DatasetDict(a=rows(X, Y), b=rows(X, Y)))


def test_a_test_set_that_is_given_comes_first():
    every = DatasetDict(train=rows(X, Y), test=rows(X, Y))
    assert same(Dataset(every, test=DatasetDict(test=rows(*TEST))), Dataset((X, Y), test=TEST))
    assert same(Dataset(every, test=DatasetDict(train=rows(X, Y), test=rows(*TEST))), Dataset((X, Y), test=TEST))


def test_other_forms_of_two_sets():
    expected = Dataset((X, Y), test=TEST)
    tensors = [TensorDataset(torch.tensor(x), torch.tensor(y)) for x, y in ((X, Y), TEST)]
    for other in (
        {"train": (X, Y), "test": TEST},
        {"train": tensors[0], "test": tensors[1]},
        ((X, Y), TEST),
        lambda: ((X, Y), TEST),
        lambda: DatasetDict(train=rows(X, Y), test=rows(*TEST)),
    ):
        assert same(Dataset(other), expected)


def test_two_tables():
    frames = {name: pd.DataFrame(x).assign(y=y) for name, (x, y) in {"train": (X, Y), "test": TEST}.items()}
    assert same(Dataset(frames), Dataset(frames["train"], test=frames["test"]))


def test_rows_of_plain_values_are_a_table():
    table = {"age": list(range(50)), "sex": ["m", "f"] * 25, "fate": Y.tolist()}
    assert same(Dataset(Rows(**table)), Dataset(pd.DataFrame(table)))


def test_tokenised_rows_have_the_usual_names():
    tokens = np.random.default_rng(0).integers(0, 5, (50, 6))
    labels = np.where(np.arange(6) < 3, -100, tokens)
    data = Rows(input_ids=tokens.tolist(), attention_mask=np.ones_like(tokens).tolist(), labels=labels.tolist())
    assert same(Dataset(data, vocabulary=5), Dataset((tokens, labels), vocabulary=5))


def test_lists_are_columns_and_pairs_are_items():
    assert same(Dataset((X.tolist(), Y.tolist())), Dataset((X, Y)))
    assert same(Dataset([X.tolist(), Y.tolist()]), Dataset((X, Y)))
    assert Dataset([([1.0, 3.0], 0), ([2.0, 5.0], 1)]).train_size == 1


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Stream(), "a length and items.*not Stream"),
        (Rows(text=["one", "two"], label=[0, 1]), "numbers, not texts; .*vocabulary"),
        ((TensorDataset(torch.ones(3, 1)), TensorDataset(torch.ones(3, 1))), "pairs .*number 0 is neither"),
        (Rows(f=X.tolist(), label=Y.tolist(), id=Y.tolist()), "columns: got null; allowed: two of f, label, id"),
    ],
)
def test_what_is_not_a_dataset_of_numbers_is_refused(source, message):
    with pytest.raises(SettingError, match=message):
        Dataset(source)
