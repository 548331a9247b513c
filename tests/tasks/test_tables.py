"""Tables as datasets: what pandas and scikit-learn make of the same rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from svl import random
from svl.errors import SettingError
from svl.tasks import Dataset

COUNT = 80


def whole(task, part="population"):
    """All items of a task's part in order, as arrays."""
    size = task.test_size if part == "test_examples" else task.train_size
    inputs, targets = getattr(task, part)(random.key(torch.zeros(1, dtype=torch.int64)), torch.arange(size)[None])
    return inputs[0].numpy(), targets[0].numpy()


def same(task, other):
    pairs = ((whole(task, part), whole(other, part)) for part in ("population", "test_examples"))
    return all(np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


@pytest.fixture
def passengers():
    """Numbers of different sizes, texts, categories, booleans, and a target of texts."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(1, 80, COUNT),
            "port": generator.choice(["Q", "C", "S"], COUNT),
            "fare": generator.exponential(100, COUNT),
            "alone": generator.random(COUNT) < 0.5,
            "deck": pd.Categorical(generator.choice(["low", "high"], COUNT)),
            "fate": generator.choice(["lost", "saved"], COUNT),
        }
    )


def held_rows(count):
    """Which rows the task holds out of so many."""
    numbered = Dataset((np.arange(float(count)), np.arange(count) % 2), standardise=False)
    return whole(numbered, "test_examples")[0].ravel().astype(int)


def test_columns_are_those_of_scikit_learn(passengers):
    task = Dataset(passengers)
    held = np.isin(np.arange(COUNT), held_rows(COUNT))
    texts = ["port", "deck"]
    encoded = OneHotEncoder(sparse_output=False).fit_transform(passengers[texts])
    numbers = np.concatenate([passengers[["age", "fare", "alone"]].to_numpy(float), encoded], axis=1)
    expected = StandardScaler().fit(numbers[~held]).transform(numbers)
    np.testing.assert_allclose(whole(task)[0], expected[~held], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole(task, "test_examples")[0], expected[held], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole(task)[1], (passengers["fate"] == "saved")[~held])
    assert (task.input_shape, task.output_dim, task.target) == ((8,), 2, "class")
    assert "the target is the column 'fate'" in task.notes[0]
    assert "'port' (3), 'deck' (2)" in task.notes[1]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_file_is_the_table_that_was_written(passengers, tmp_path, suffix):
    path = tmp_path / f"passengers.{suffix}"
    if suffix == "parquet":
        passengers.to_parquet(path)
    else:
        passengers.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    assert same(Dataset(str(path)), Dataset(passengers))
    assert Dataset(str(path)).digest == Dataset(passengers).digest


def test_the_column_in_which_pandas_counts_rows_is_no_input(passengers, tmp_path):
    passengers.to_csv(tmp_path / "counted.csv")
    task = Dataset(str(tmp_path / "counted.csv"))
    assert same(task, Dataset(passengers))
    assert any("'Unnamed: 0', which counts the rows, is left out" in note for note in task.notes)


def test_numpy_files_are_a_matrix_or_a_pair(tmp_path):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 3)), generator.integers(0, 3, 40)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "both.npy", np.column_stack([x, y]))
    np.save(tmp_path / "flat.npy", y)
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy")]
    assert same(Dataset(paths), Dataset((x, y)))
    both = Dataset(str(tmp_path / "both.npy"))
    assert both.target == "number"
    assert "target_kind: class makes 3 classes" in both.notes[0]
    assert same(Dataset(str(tmp_path / "both.npy"), target_kind="class"), Dataset((x, y)))
    with pytest.raises(SettingError, match="last column is the target; or give two files"):
        Dataset(str(tmp_path / "flat.npy"))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(SettingError, match=r"one file, or two \.npy files"):
        Dataset([paths[0], str(tmp_path / "empty.csv")])
    with pytest.raises(SettingError, match="EmptyDataError"):
        Dataset(str(tmp_path / "empty.csv"))
    with pytest.raises(SettingError, match=r"file that exists, unlike nothing\.npy"):
        Dataset([paths[0], str(tmp_path / "nothing.npy")])


def test_columns_are_chosen_by_name(passengers):
    chosen = Dataset(passengers, columns=["age", "fare", "fate"])
    assert same(chosen, Dataset(passengers[["age", "fare", "fate"]]))
    assert chosen.notes == ("classes are numbered in sorted order: 'lost' is 0, 'saved' is 1",)
    assert same(chosen, Dataset(passengers, columns=["fate", "age", "fare"], target_columns="fate"))
    assert same(chosen, Dataset(passengers.rename(columns={"fate": "label"})[["label", "age", "fare"]]))


def test_several_target_columns_are_a_vector(passengers):
    task = Dataset(passengers[["age", "fare", "alone"]], target_columns=["age", "fare"], standardise=False)
    assert (task.target, task.output_dim, task.input_shape, task.has_accuracy) == ("vector", 2, (1,), False)
    rows = passengers[["age", "fare"]].drop(held_rows(COUNT))
    np.testing.assert_array_equal(whole(task)[1], rows.to_numpy(np.float32))


def test_rows_with_missing_values_are_refused_or_left_out(passengers):
    holes = passengers.astype({"age": float})
    holes.loc[3:9, "age"] = None
    holes.loc[8:20, "port"] = None
    holes.loc[50, "fate"] = None
    with pytest.raises(SettingError) as error:
        Dataset(holes)
    assert str(error.value) == (
        "drop_missing: got False; allowed: true, to leave out 19 of 80 items with missing values "
        "('age' has 7, 'port' has 13, 'fate' has 1), or columns without them"
    )
    task = Dataset(holes, drop_missing=True)
    assert same(task, Dataset(holes.dropna().reset_index(drop=True)))
    assert any(note.startswith("19 items with missing values are left out") for note in task.notes)
    assert Dataset(holes, columns=["fare", "alone"]).train_size == 64


def test_a_frame_of_numbers_beside_its_targets_is_an_array_that_can_have_missing_values(passengers):
    numbers, fate = passengers[["age", "fare"]].astype(float), passengers["fate"]
    assert same(Dataset((numbers, fate)), Dataset((numbers.to_numpy(), fate.to_numpy())))
    numbers.loc[:4, "fare"] = None
    with pytest.raises(SettingError, match=r"drop_missing: got False; .* 5 of 80 items .*\('fare' has 5\)"):
        Dataset((numbers, fate))
    kept = numbers[5:].to_numpy(), fate[5:].to_numpy()
    assert same(Dataset((numbers, fate), drop_missing=True), Dataset(kept))


def test_every_form_of_the_same_table_is_the_same_task(passengers):
    expected = Dataset(passengers)
    rows = passengers.to_dict("records")
    columns = {name: column.tolist() for name, column in passengers.items()}
    named = passengers.rename(columns={"fate": "target"})
    for other in (
        Dataset(rows),
        Dataset(columns),
        Dataset(lambda: passengers),
        Dataset((passengers.drop(columns="fate"), passengers["fate"])),
        Dataset((passengers.drop(columns="fate"), passengers["fate"].tolist())),
        Dataset({"data": named.drop(columns="target"), "target": named["target"]}),
        Dataset(passengers.convert_dtypes()),
        Dataset(passengers.set_index(np.arange(COUNT)[::-1])),
    ):
        assert same(other, expected)


def test_tables_of_other_libraries_become_those_of_pandas(passengers):
    import pyarrow

    assert same(Dataset(pyarrow.Table.from_pandas(passengers)), Dataset(passengers))

    class DataFrame:  # as polars has it
        columns = passengers.columns

        def to_pandas(self):
            return passengers

    DataFrame.__module__ = "polars.dataframe.frame"
    assert same(Dataset(DataFrame()), Dataset(passengers))


def test_scikit_learn_s_frames_stay_arrays():
    by_frame, by_array = (Dataset("sklearn.datasets.load_iris", {"as_frame": is_frame}) for is_frame in (True, False))
    assert same(by_frame, by_array)
    table = datasets.load_iris(as_frame=True).frame
    numbers = table.drop(columns="target").drop(held_rows(150))
    np.testing.assert_allclose(whole(Dataset(table))[0], StandardScaler().fit_transform(numbers), rtol=1e-4, atol=1e-5)


def test_a_separate_test_table_has_the_same_columns(passengers):
    first, second = passengers[:60], passengers[60:].reset_index(drop=True)
    task = Dataset(first, test=second)
    scaler = StandardScaler().fit(first[["age", "fare"]])
    expected = scaler.transform(second[["age", "fare"]])
    np.testing.assert_allclose(whole(task, "test_examples")[0][:, :2], expected, rtol=1e-5, atol=1e-6)
    other = second.assign(port=[f"port {number % 2}" for number in range(20)])
    assert Dataset(first, test=other).input_shape == (10,)
    with pytest.raises(SettingError, match=r"test: got 'inputs age, port, fare, alone, x, .*deck"):
        Dataset(first, test=second.rename(columns={"deck": "x"}))
    with pytest.raises(SettingError, match="test: got \"the column 'age'\""):
        Dataset(first, test=second.astype({"age": str}))


REFUSED = [
    ({"when": pd.date_range("2020", periods=9)}, {}, "columns: got 'when'; .*not of Timestamp"),
    ({"name": [f"name {n}" for n in range(101)]}, {}, "columns: got null; .*at most 100 .*'name', which has 101"),
    ({"x": [1.0, np.inf, 3.0]}, {}, "finite; 'x' of item . is not"),
    ({"x": [1.0, 2.0, 3.0]}, {"target_columns": "z"}, r"target_columns: got \['z'\]; allowed: 1 of x, y"),
    ({"age": [1.0, 2.0, 3.0]}, {"columns": ["ag", "y"]}, "columns: .*did you mean 'age'"),
    ({"x": [1.0, 2.0, 3.0]}, {"target_columns": ["x", "y"]}, "columns: .*input columns in addition"),
    ({"label": [1.0, 2.0, 3.0]}, {}, "target_columns: got null; allowed: one of label, y"),
    ({"x": [1.0, 2.0, 3.0]}, {"columns": ["y"]}, r"columns: got \['y'\]; allowed: two names"),
    ({"x": [1.0, 2.0, 3.0]}, {"target_columns": []}, r"target_columns: got \[\]"),
    ({"x": [1.0] * 3}, {}, "standardise: got True; allowed: false"),
]


@pytest.mark.parametrize(("inputs", "settings", "message"), REFUSED)
def test_tables_that_cannot_be_used_are_refused(inputs, settings, message):
    count = len(next(iter(inputs.values())))
    with pytest.raises(SettingError, match=message) as error:
        Dataset(pd.DataFrame({**inputs, "y": np.arange(count) % 2}), **settings)
    assert "\n" not in str(error.value)
