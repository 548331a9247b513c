"""Images as arrays: which axis is the channel's, and how numbers are scaled."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.preprocessing import StandardScaler

from svl import random
from svl.errors import SettingError
from svl.tasks import Dataset

COUNT = 20
Y = np.arange(COUNT) % 2


def images(*shape):
    return np.random.default_rng(0).normal(size=(COUNT, *shape)).astype(np.float32)


def whole(task):
    """All inputs of the training items, then those of the test items."""
    key = random.key(torch.zeros(1, dtype=torch.int64))
    train, test = (torch.arange(size)[None] for size in (task.train_size, task.test_size))
    return np.concatenate([task.population(key, train)[0][0].numpy(), task.test_examples(key, test)[0][0].numpy()])


def rows(inputs):
    return {row.tobytes() for row in np.ascontiguousarray(inputs)}


@pytest.mark.parametrize("colours", [1, 3, 4])
def test_the_channel_is_moved_to_the_front_and_that_is_told(colours):
    last = images(6, 5, colours)
    task = Dataset((last, Y), standardise=False)
    assert task.input_shape == (colours, 6, 5)
    assert rows(whole(task)) == rows(last.transpose(0, 3, 1, 2))
    assert f"inputs 6 x 5 x {colours} are images with the channel last" in task.notes[0]
    # The same images with the channel first, as PyTorch has them, are the same task, and nothing is to be told.
    first = Dataset((last.transpose(0, 3, 1, 2), Y), standardise=False)
    assert (first.digest, first.notes) == (task.digest, ())
    assert Dataset((last, Y), channels="last", standardise=False).notes == ()


def test_an_axis_that_could_be_either_is_asked_for():
    unclear = images(3, 6, 3)
    with pytest.raises(SettingError, match=r"^channels: got null; allowed: first or last: inputs are 3 x 6 x 3"):
        Dataset((unclear, Y))
    assert rows(whole(Dataset((unclear, Y), channels="first", standardise=False))) == rows(unclear)
    moved = Dataset((unclear, Y), channels="last", standardise=False)
    assert rows(whole(moved)) == rows(unclear.transpose(0, 3, 1, 2))


def test_other_volumes_stay_as_they_are_and_that_is_told():
    task = Dataset((images(6, 5, 12), Y), standardise=False)
    assert rows(whole(task)) == rows(images(6, 5, 12))
    assert "taken to have 6 channels (channels: last" in task.notes[0]
    assert Dataset((images(6, 5, 12), Y), channels="last").input_shape == (12, 6, 5)
    assert Dataset((images(6, 5, 12), Y), channels="first").notes == ()


def test_a_shape_that_is_given_is_taken_as_it_is():
    assert Dataset((images(3, 6, 3), Y), shape=[3, 6, 3]).notes == ()
    assert Dataset((images(6, 5, 3), Y), shape=[6, 15]).input_shape == (6, 15)
    assert Dataset((images(6, 5), Y), shape=[1, 6, 5]).input_shape == (1, 6, 5)


def test_pil_images_need_no_guess():
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 3, 3), np.uint8)
    items = [(Image.fromarray(one), int(label)) for one, label in zip(pixels, Y, strict=True)]
    columns = {"image": [image for image, _ in items], "label": Y}
    for source in (items, columns):
        task = Dataset(source, standardise=False)
        assert (task.input_shape, task.notes) == ((3, 6, 3), ())
        assert rows(whole(task)) == rows(pixels.transpose(0, 3, 1, 2) / np.float32(255))


def test_bytes_are_standardised_or_their_range_is_told():
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 6, 5), np.uint8)
    assert Dataset((pixels, Y)).notes == ()
    task = Dataset((pixels, Y), standardise=False)
    assert task.notes == ("inputs are bytes, 0 to 255, and stay so without standardise",)
    assert whole(task).max() > 200


def test_each_number_can_have_its_own_mean_and_deviation():
    inputs = images(4) * [1, 10, 100, 0] + [5, 6, 7, 8]
    task = Dataset((inputs, Y), standardise="columns")
    held = Dataset((np.arange(20.0), Y), standardise=False)
    order = whole(held).ravel().astype(int)
    expected = StandardScaler().fit(inputs[order[:16]]).transform(inputs[order])
    np.testing.assert_allclose(whole(task), expected, rtol=1e-4, atol=1e-5)
