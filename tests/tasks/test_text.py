import copy
import sysconfig
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.replicas import replace
from svl.tasks.text import Text

SIZES = {"a.txt": 300, "b.md": 41, "c.txt": 77, "deep/a.txt": 120, "deep/er/d.txt": 260, "z.txt": 500, "empty.txt": 0}


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def windows(inputs, targets):
    """Whole windows: the inputs and the last target."""
    np.testing.assert_array_equal(inputs[..., 1:], targets[..., :-1])
    return np.concatenate([inputs.numpy(), targets.numpy()[..., -1:]], axis=-1)


def fill(folder, sizes, seed=0):
    """Files of random bytes without zero."""
    generator = np.random.default_rng(seed)
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.integers(1, 256, size, np.uint8).tobytes())
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "corpus", SIZES)


def split(folder, names, share):
    """Bytes to train on and held-out ones, by plain Python."""
    names = sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))
    count = max(1, round(share * len(names)))
    return [
        b"\0".join((folder / name).read_bytes() for name in sorted(part)) for part in (names[count:], names[:count])
    ]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5])
@pytest.mark.parametrize("length", [1, 7, 16])
def test_windows_are_slices_of_the_joined_files(folder, share, length):
    task = Text([str(folder)], length=length, held_out=share, test_windows=10**6)
    train, test = split(folder, [name for name, size in SIZES.items() if size], share)
    step = length + 1
    for text, function, size in (
        (train, task.population, task.train_size),
        (test, task.test_examples, task.test_size),
    ):
        assert size == len(text) // step
        found = windows(*function(keys(0, 1), torch.arange(size).expand(2, -1)))
        assert found.shape == (2, size, step)
        for replica in found:
            assert [bytes(row) for row in replica.tolist()] == [text[w * step : (w + 1) * step] for w in range(size)]
    inputs, targets = task.examples(keys(0), torch.arange(3)[None])
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (1, 3, *task.input_shape)


def test_no_window_to_train_on_has_a_byte_of_a_held_out_file(tmp_path):
    for value in range(1, 101):
        (tmp_path / f"{value}.txt").write_bytes(bytes([value]) * (50 + value))
    task = Text([str(tmp_path)], length=10, held_out=0.2, test_windows=10**6)
    train, test = (
        set(windows(*function(keys(0), torch.arange(size)[None])).ravel().tolist()) - {0}
        for function, size in ((task.examples, task.train_size), (task.test_examples, task.test_size))
    )
    assert train.isdisjoint(test)
    assert (len(train), len(test)) == (80, 20)


def test_an_epoch_is_every_window_once_in_an_order_of_each_seed(folder):
    task = Text([str(folder)], length=3)
    index = torch.arange(task.train_size).expand(3, -1)
    population = windows(*task.population(keys(0), index[:1]))[0]
    numbers = {tuple(row): number for number, row in enumerate(population.tolist())}
    assert len(numbers) == task.train_size == task.population_size
    shuffled = windows(*task.examples(keys(0, 1, 2**40), index))
    orders = [[numbers[tuple(row)] for row in replica.tolist()] for replica in shuffled]
    for order in orders:
        assert sorted(order) == list(range(task.train_size))
    positions = np.corrcoef([*orders, range(task.train_size)])[np.triu_indices(4, 1)] * np.sqrt(task.train_size)
    assert np.abs(positions).max() < 4
    np.testing.assert_array_equal(windows(*task.examples(keys(0, 1, 2**40), index + task.train_size)), shuffled)


def test_an_example_does_not_depend_on_its_batch_or_its_neighbours(folder):
    task = Text([str(folder)], length=5)
    index = torch.arange(20)
    expected = windows(*task.examples(keys(4), index[None]))[0]
    backwards = windows(*task.examples(keys(9, 4), index.flip(0).expand(2, -1)))[1]
    np.testing.assert_array_equal(backwards[::-1], expected)
    alone = [windows(*task.examples(keys(4), index[None, n : n + 1]))[0, 0] for n in range(20)]
    np.testing.assert_array_equal(alone, expected)


def test_few_test_windows_are_spread_evenly_and_repeat_beyond_the_end(folder):
    every = Text([str(folder)], length=4, held_out=0.6, test_windows=10**6)
    few = replace(every, test_windows=7)
    assert few.test_size == 7
    all_windows = windows(*every.test_examples(keys(0), torch.arange(every.test_size)[None]))[0]
    places = np.floor(np.arange(7) * every.test_size / 7).astype(int)
    found = windows(*few.test_examples(keys(0), torch.arange(21)[None]))[0]
    np.testing.assert_array_equal(found, np.tile(all_windows[places], (3, 1)))
    assert np.ptp(np.diff([*places, every.test_size])) <= 1


def test_a_folder_a_pattern_its_files_and_any_working_directory_give_the_same_corpus(folder, monkeypatch):
    digest = Text([str(folder)], "*.txt", 16).digest
    assert digest.endswith(f"(5 files, {sum(SIZES.values()) - 41} bytes)")
    assert Text([f"{folder}/**/*.txt"], length=16).digest == digest
    assert Text([str(folder), f"{folder}/deep/*"], "*.txt", 16).digest == digest
    monkeypatch.chdir(folder.parent)
    assert Text(["corpus"], "*.txt", 16).digest == digest
    (folder / "deep/link.txt").symlink_to(folder / "a.txt")
    (folder / "deep/nowhere.txt").symlink_to(folder / "nothing.txt")
    (folder / ".git").mkdir()
    (folder / ".git/config.txt").write_bytes(b"hidden")
    assert Text([f"{folder}/../corpus"], "*.txt", 16).digest == digest
    assert Text([str(folder)], length=16).digest != digest


def test_digests_depend_on_content_and_split(tmp_path):
    first = fill(tmp_path / "first", SIZES)
    same, other = fill(tmp_path / "same", SIZES), fill(tmp_path / "other", SIZES, seed=1)
    assert Text([str(first)], length=16).digest == Text([str(same)], length=16).digest
    digests = {
        Text([str(folder)], length=16, held_out=share).digest for folder in (first, other) for share in (0.1, 0.5)
    }
    assert len(digests) == 4


def test_single_files_are_taken_as_they_are(folder):
    task = Text([str(folder / name) for name in ("z.txt", "b.md")], "*.nothing", 9)
    train, test = split(folder, ["z.txt", "b.md"], 0.1)
    assert (task.train_size, task.test_size) == (len(train) // 10, len(test) // 10)


@pytest.mark.parametrize("most", [400, 700, 1000, 10**6])
def test_a_limit_keeps_whole_files(folder, most):
    names = sorted((name for name, size in SIZES.items() if size), key=lambda name: zlib.crc32(name.encode()))
    kept = []
    for name in names:
        if sum(SIZES[other] for other in [*kept, name]) <= most:
            kept.append(name)
    task = Text([str(folder)], length=8, max_bytes=most)
    assert task.digest.endswith(f"({len(kept)} files, {sum(SIZES[name] for name in kept)} bytes)")
    train, test = split(folder, kept, 0.1)
    assert (task.train_size, task.test_size) == (len(train) // 9, len(test) // 9)


def test_the_default_corpus_is_the_standard_library_without_its_tests():
    task = Text(length=127, test_windows=10**9)
    assert task.train_size * 128 > 5_000_000
    share = task.test_size / (task.train_size + task.test_size)
    assert 0.03 < share < 0.25
    whole = windows(*Text(length=127).population(keys(0), torch.arange(50_000)[None]))
    assert b"import asyncio" in whole.astype(np.uint8).tobytes()
    assert (whole < 128).mean() > 0.97


def test_of_a_library_only_its_own_sources_are_taken(tmp_path, monkeypatch):
    kept = {"a.py": 30, "json/b.py": 40, "xml/dom/c.py": 50}
    others = [
        "site-packages/d.py",
        "test/e.py",
        "json/tests/f.py",
        "json/__pycache__/g.py",
        "h.txt",
        "_sysconfigdata_i.py",
    ]
    library = fill(tmp_path / "library", kept | dict.fromkeys(others, 20))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    # A share of its own: what is read of the true library stays in memory.
    assert Text(length=8, held_out=0.35).digest == Text([str(fill(tmp_path / "kept", kept))], length=8).digest


def test_a_trace_gives_the_same_examples_for_other_keys_and_counters(folder):
    task, index = Text([str(folder)], length=5), torch.arange(12).view(2, 6)
    for function in (task.examples, task.test_examples, task.population):
        graph = make_fx(lambda *inputs, call=function: call(*inputs), tracing_mode="fake")(keys(0, 1), index)
        for found, expected in zip(graph(keys(5, 6), index + 3), function(keys(5, 6), index + 3), strict=True):
            assert torch.equal(found, expected)


def test_a_rebuilt_task_does_not_read_its_files_again(folder):
    task = Text([str(folder)], length=5)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    again, index = replace(task, test_windows=3), torch.arange(9)[None]
    assert again.digest == task.digest
    np.testing.assert_array_equal(windows(*again.examples(keys(1), index)), windows(*task.examples(keys(1), index)))
    duplicate = copy.deepcopy(task)
    np.testing.assert_array_equal(windows(*duplicate.examples(keys(1), index)), windows(*task.examples(keys(1), index)))


def test_correct_is_the_share_of_next_bytes():
    targets = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    outputs = torch.nn.functional.one_hot(torch.tensor([[1, 2, 3, 0], [0, 0, 7, 0]]), 256).float()
    assert Text.correct(None, outputs, targets).tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("settings", "key", "allowed"),
    [
        ({"paths": []}, "paths", "list of files"),
        ({"paths": ["nowhere"]}, "paths", "a file, or a folder"),
        ({"paths": ["nowhere/*.txt"]}, "paths", "a file, or a folder"),
        ({"paths": [".", "deep/*.md"]}, "paths", "a file, or a folder"),
        ({"paths": ["."], "pattern": "*.rs"}, "paths", "'*.rs'"),
        ({"paths": ["empty.txt"]}, "paths", "two files or more"),
        ({"pattern": ""}, "pattern", "'*.py'"),
        ({"length": 0}, "length", "at least 1"),
        ({"length": True}, "length", "at least 1"),
        ({"length": 2000}, "length", "bytes to train on and"),
        ({"length": 41, "paths": ["b.md", "z.txt"]}, "length", "below 41"),
        ({"held_out": 0.0}, "held_out", "above 0 and below 1"),
        ({"held_out": 1.0}, "held_out", "above 0 and below 1"),
        ({"held_out": float("nan")}, "held_out", "above 0 and below 1"),
        ({"held_out": True}, "held_out", "above 0 and below 1"),
        ({"max_bytes": 0}, "max_bytes", "or null for all"),
        ({"max_bytes": 100}, "max_bytes", "two files or more"),
        ({"test_windows": 0}, "test_windows", "at least 1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(folder, monkeypatch, settings, key, allowed):
    monkeypatch.chdir(folder)
    with pytest.raises(SettingError) as error:
        Text(**{"paths": ["."], "length": 8, **settings})
    assert error.value.key == key
    assert allowed in error.value.allowed
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SettingError, match=r"^paths: got '.*'; allowed: files that can be read \(Permission denied\)"):
        Text([str(folder)], length=8)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_the_end_of_a_single_file_is_its_test_set(folder, share):
    text = (folder / "z.txt").read_bytes()
    task = Text([str(folder / "z.txt")], length=3, held_out=share, test_windows=10**6)
    cut = len(text) - round(share * len(text))
    for part, function, size in (
        (text[:cut], task.population, task.train_size),
        (text[cut:], task.test_examples, task.test_size),
    ):
        expected = np.frombuffer(part, np.uint8)[: len(part) // 4 * 4].reshape(-1, 4)
        np.testing.assert_array_equal(windows(*function(keys(0), torch.arange(size)[None]))[0], expected)
    assert task.digest.endswith("(1 file, 500 bytes)")
    assert Text([str(folder / "z.txt"), str(folder / "empty.txt")], length=3, held_out=share).digest == task.digest
