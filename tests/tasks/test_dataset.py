import random as python_random
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import datasets
from sklearn.utils import Bunch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.data import TensorDataset

from svl import random
from svl.data import Subset
from svl.errors import SettingError
from svl.replicas import replace
from svl.tasks.dataset import Dataset
from svl.tasks.sources import source as dataset_source

DIGITS = "sklearn.datasets.load_digits"


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def whole(task, function):
    """All items of a task's part in order, as arrays."""
    size = task.test_size if function == "test_examples" else task.train_size
    inputs, targets = getattr(task, function)(keys(0), torch.arange(size)[None])
    return inputs[0].numpy(), targets[0].numpy()


def same(task, other):
    """Whether two tasks have the same examples."""
    parts = ("population", "test_examples", "examples")
    pairs = ((whole(task, part), whole(other, part)) for part in parts)
    return all(a.shape == b.shape and (a == b).all() for one, two in pairs for a, b in zip(one, two, strict=True))


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return generator.normal(2, 3, (50, 4)), generator.integers(0, 3, 50)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a module that can be imported, and forgets it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_the_digits_are_split_and_standardised():
    task, digits = Dataset(DIGITS), datasets.load_digits()
    assert (task.input_shape, task.output_dim, task.target) == ((64,), 10, "class")
    assert (task.train_size, task.population_size, task.test_size) == (1438, 1438, 359)
    raw = Dataset(DIGITS, standardise=False)
    train, test = whole(raw, "population"), whole(raw, "test_examples")
    labels = {
        image.astype(np.float32).tobytes(): label for image, label in zip(digits.data, digits.target, strict=True)
    }
    assert len(labels) == 1797
    assert [labels[image.tobytes()] for image in train[0]] == train[1].tolist()
    assert [labels[image.tobytes()] for image in test[0]] == test[1].tolist()
    assert {image.tobytes() for image in (*train[0], *test[0])} == labels.keys()
    mean, deviation = train[0].mean(dtype=float), train[0].std(dtype=float)
    for part in ("population", "test_examples"):
        scaled = (whole(raw, part)[0].astype(float) - mean) / deviation
        np.testing.assert_allclose(whole(task, part)[0], scaled, rtol=1e-5, atol=1e-6)
    assert whole(task, "population")[0].dtype == np.float32
    assert whole(task, "population")[1].dtype == np.int64


def test_held_out_items_are_a_random_share_and_the_rest_lies_in_order():
    task = Dataset((np.arange(1000.0)[:, None], np.arange(1000) % 2), standardise=False, held_out=0.3)
    test, train = (whole(task, part)[0].ravel().astype(int) for part in ("test_examples", "population"))
    assert sorted([*test, *train]) == list(range(1000))
    assert (len(test), sorted(test), sorted(train)) == (300, list(test), list(train))
    # of a uniform draw each tenth would have 30, give or take 4.4
    assert np.abs(np.bincount(test // 100) - 30).max() < 14
    both = task.test_examples(keys(0, 7), torch.arange(600).expand(2, -1))[0].numpy()
    np.testing.assert_array_equal(both.reshape(2, 2, 300), np.broadcast_to(test, (2, 2, 300)))


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (7, 0.99, 6)])
def test_there_is_always_something_to_train_and_to_test_on(count, share, held):
    task = Dataset((np.arange(count), np.arange(count) % 2), standardise=False, held_out=share)
    assert (task.train_size, task.test_size, task.input_shape) == (count - held, held, (1,))


def test_an_epoch_is_every_item_once_in_an_order_of_each_seed():
    task, index = Dataset(DIGITS), torch.arange(1438).expand(3, -1)
    lying = {image.tobytes(): number for number, image in enumerate(whole(task, "population")[0])}
    inputs, targets = task.examples(keys(0, 1, 2**40), index)
    orders = np.array([[lying[image.tobytes()] for image in row] for row in inputs.numpy()])
    np.testing.assert_array_equal(np.sort(orders), index)
    np.testing.assert_array_equal(targets, whole(task, "population")[1][orders])
    z = np.corrcoef([*orders, range(1438)])[np.triu_indices(4, 1)] * np.sqrt(1438)
    assert np.abs(z).max() < 4
    again = task.examples(keys(2**40, 0), index[:2] + 1438)
    assert torch.equal(again[0], inputs[[2, 0]])
    alone = [task.examples(keys(1), torch.tensor([[number]]))[0][0, 0] for number in (9, 3, 0)]
    assert torch.equal(torch.stack(alone), inputs[1, [9, 3, 0]])


def test_every_form_of_the_same_items_is_the_same_task(arrays, tmp_path, package):
    x, y = arrays
    np.savez(tmp_path / "both.npz", y=y, x=x)
    np.savez(tmp_path / "more.npz", odd=x[::2], inputs=x, label=y, z=y)
    package("mypackage", "import numpy as np\nSTORED = np.load(r'%s')\n" % (tmp_path / "both.npz") + MODULE)
    expected = Dataset((x, y))
    dicts = [{"image": one, "label": label} for one, label in zip(x, y, strict=True)]
    for other in (
        Dataset([x, y]),
        Dataset((torch.tensor(x), torch.tensor(y))),
        Dataset(TensorDataset(torch.tensor(x), torch.tensor(y))),
        Dataset(dicts),
        Dataset([(list(one), int(label)) for one, label in zip(x, y, strict=True)]),
        Dataset([dict(reversed(row.items())) for row in dicts]),
        Dataset([{"a": row["image"], "b": row["label"]} for row in dicts]),
        Dataset([{**row, "c": 0} for row in dicts], columns=["image", "label"]),
        Dataset([{**row, "c": 0} for row in dicts]),
        Dataset({"target": y, "data": x, "images": -x}),
        Dataset(Bunch(data=x.tolist(), target=y.tolist())),
        Dataset(str(tmp_path / "both.npz")),
        Dataset(str(tmp_path / "more.npz")),
        Dataset(str(tmp_path / "more.npz"), columns=["inputs", "z"]),
        Dataset((x, y[:, None])),
        Dataset((x, y.astype(np.uint8))),
        Dataset((x, np.array([-1, 5, 7])[y])),
        Dataset("mypackage.Mine", {"sign": 1}),
        Dataset("mypackage.an_object"),
        Dataset("mypackage.make", arguments={"sign": 1}),
        Dataset(lambda sign: (sign * x, y), {"sign": 1}),
    ):
        assert same(other, expected)
    assert not same(Dataset("mypackage.Mine", {"sign": -1}), expected)


MODULE = """
class Mine:
    def __init__(self, sign):
        self.sign = sign
    def __len__(self):
        return len(STORED["y"])
    def __getitem__(self, number):
        return self.sign * STORED["x"][number], STORED["y"][number]
an_object = Mine(1)
def make(sign):
    return {"data": sign * STORED["x"], "target": STORED["y"]}
"""


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 3), ("1", 1)])
def test_images_are_floats_with_the_channel_first(mode, channels):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (9, 5, 7, 3), np.uint8)
    images = [Image.fromarray(one).convert(mode) for one in pixels]
    task = Dataset([{"image": image, "label": n % 2} for n, image in enumerate(images)], standardise=False)
    assert task.input_shape == (channels, 5, 7)
    held, expected = task.test_size, []
    for image in images:
        values = [[image.convert("RGB" if mode == "P" else mode).getpixel((c, r)) for c in range(7)] for r in range(5)]
        expected.append(np.array(values, float).reshape(5, 7, channels).transpose(2, 0, 1) / 255)
    found = np.concatenate([whole(task, "population")[0], whole(task, "test_examples")[0]])
    assert held == 2
    assert {one.tobytes() for one in found} == {np.float32(one).tobytes() for one in expected}


def test_float_targets_are_regressed_on():
    task, bunch = Dataset("sklearn.datasets.load_diabetes", held_out=0.5), datasets.load_diabetes()
    assert (task.output_dim, task.target, task.has_accuracy) == (1, "number", False)
    assert task.correct(torch.zeros(3, 1), torch.zeros(3)) is None
    targets = np.concatenate([whole(task, "population")[1], whole(task, "test_examples")[1]])
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(np.sort(targets), np.sort(bunch.target.astype(np.float32)))


def test_the_largest_output_is_the_answer():
    outputs = torch.tensor([[0.0, 2.0, 1.0], [5.0, 4.0, 3.0], [0.0, 0.0, 1.0]])
    task = Dataset((np.arange(9.0), np.arange(9) % 3))
    assert task.has_accuracy
    assert task.correct(outputs, torch.tensor([1, 1, 2])).tolist() == [True, False, True]


def test_tokens_stay_whole_numbers(arrays):
    tokens = np.random.default_rng(1).integers(0, 7, (40, 5))
    task = Dataset((tokens, tokens[:, 0] % 2), vocabulary=7)
    inputs, targets = whole(task, "population")
    assert (inputs.dtype, task.vocabulary, task.input_shape) == (np.int64, 7, (5,))
    np.testing.assert_array_equal(inputs[:, 0] % 2, targets)
    assert Dataset((tokens, tokens[:, 0] % 2)).vocabulary is None
    assert whole(Dataset((tokens, tokens[:, 0] % 2)), "population")[0].dtype == np.float32


def test_bytes_and_half_floats_are_standardised_exactly(arrays):
    x = np.random.default_rng(2).integers(0, 200, (60, 3))
    expected = whole(Dataset((x.astype(float), arrays[1].repeat(2)[:60])), "population")[0]
    for kind in (np.uint8, np.float16, np.int64, np.uint16):
        found = whole(Dataset((x.astype(kind), arrays[1].repeat(2)[:60])), "population")[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_shape_folds_inputs_without_moving_numbers():
    flat, folded = Dataset(DIGITS, {"return_X_y": True}), Dataset(DIGITS, shape=[1, 8, 8])
    assert (flat.input_shape, folded.input_shape) == ((64,), (1, 8, 8))
    np.testing.assert_array_equal(whole(folded, "population")[0].reshape(-1, 64), whole(flat, "population")[0])


def test_a_second_dataset_can_be_the_test(arrays):
    x, y = arrays
    task = Dataset((x, y), test=(x[:9] + 1, y[:9]))
    assert (task.train_size, task.test_size) == (50, 9)
    scaled = (x - x.mean()) / x.std()
    np.testing.assert_allclose(whole(task, "population")[0], scaled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole(task, "test_examples")[0], scaled[:9] + 1 / x.std(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole(task, "population")[1], y)
    twos = Dataset((x, y), test=lambda classes: (x, np.arange(50) % classes), test_arguments={"classes": 5})
    assert twos.output_dim == 5
    assert set(whole(twos, "test_examples")[1]) == set(range(5))


class Noisy:
    def __len__(self):
        return 20

    def __getitem__(self, number):
        noise = [python_random.random(), np.random.random(), torch.rand(()).item()]  # noqa: NPY002
        return noise, number % 2


def test_augmentations_are_frozen():
    first, second = Dataset(Noisy()), Dataset(Noisy())
    assert same(first, second)
    assert len(np.unique(whole(first, "population")[0])) == 48
    assert same(Dataset("sklearn.datasets.make_moons"), Dataset(datasets.make_moons, {}))


def test_reading_leaves_the_generators_as_they_were():
    def drawn():
        return Noisy()[0][0]

    def after(seed, inside):
        python_random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)  # noqa: NPY002
        inside()
        return drawn()

    def read():
        with dataset_source._seeded():
            seen.append(drawn())
            raise OSError("gone")

    def read_and_fail():
        with pytest.raises(OSError, match="gone"):
            read()

    seen: list[list[float]] = []
    for seed in (5, 6):
        assert after(seed, read_and_fail) == after(seed, lambda: None)
    assert seen[0] == seen[1] == after(0, lambda: None)


def test_what_is_made_is_made_once_and_told_apart_by_its_arguments(arrays):
    x, y = arrays
    made = []

    def make(shift, more=None):
        made.append(shift)
        return x + shift, y

    task = Dataset(make, {"shift": 1.0, "more": x})
    again = replace(task, held_out=0.3, shape=[2, 2])
    assert same(again, Dataset((x + 1, y), held_out=0.3, shape=[2, 2]))
    assert made == [1.0]
    arguments = {"shift": 2.0, "more": x}
    Dataset(make, arguments)
    arguments["shift"] = 3.0
    Dataset(make, arguments)
    Dataset(make, {"shift": 3.0, "more": x.copy()})
    Dataset(make, {"more": x, "shift": 3.0})
    assert made == [1.0, 2.0, 3.0, 3.0]


def test_a_file_that_changes_is_read_again(arrays, tmp_path):
    path, (x, y) = tmp_path / "a.npz", arrays
    np.savez(path, x=x, y=y)
    first = Dataset(str(path))
    assert same(Dataset(path), first)
    np.savez(path, x=x[:30], y=y[:30])
    assert Dataset(str(path)).train_size == 24


def test_a_trace_gives_the_same_examples_for_other_keys_and_counters():
    task, index = Dataset(DIGITS), torch.arange(12).view(2, 6)
    assert task.bind({}) is task
    for function in (task.examples, task.test_examples, task.population):
        graph = make_fx(lambda *inputs, call=function: call(*inputs), tracing_mode="fake")(keys(0, 1), index)
        for found, expected in zip(graph(keys(5, 6), index + 3), function(keys(5, 6), index + 3), strict=True):
            assert torch.equal(found, expected)


def test_sizes_reach_to_all_training_items():
    task = Dataset(DIGITS)
    assert [Subset(task, size).size for size in (1438, "population")] == [1438, "population"]
    with pytest.raises(SettingError, match="1 to 1438"):
        Subset(task, 1439)


def test_the_digest_tells_data_apart_and_not_how_they_are_held():
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 3
    one = Dataset((x, y)).digest
    assert one.endswith("(16 training items, 4 test items)")
    assert Dataset((torch.tensor(x), torch.tensor(y))).digest == one
    for other in ((x[:, ::-1], y), (x, y[::-1]), (x * x, y)):
        assert Dataset(other).digest != one
