"""Augmentation: images are those of SciPy's shift and NumPy's flip, drawn anew in each step."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from svl.data import FullBatch, Subset
from svl.errors import SettingError
from svl.interventions import Augmentation
from svl.tasks import Dataset, Parity

COUNT = 300
IMAGES = np.random.default_rng(0).normal(size=(COUNT, 2, 6, 5)).astype(np.float32) + 9


def subset(size=64, kind=Subset, more=None, **settings):
    task = Dataset((IMAGES, np.arange(COUNT) % 2), standardise=False, channels="first")
    if kind is Subset:
        settings = {"batch_size": 64, **settings}
    return kind(task, size, interventions={"move": Augmentation(**(more or {}))}, **settings)


def changes(original, found, most):
    """Every shift and mirroring that turns an image into another one."""
    return [
        (down, right, flipped)
        for down in range(-most, most + 1)
        for right in range(-most, most + 1)
        for flipped in (False, True)
        if np.array_equal(
            ndimage.shift(original[..., ::-1] if flipped else original, (0, down, right), order=0, cval=0), found
        )
    ]


def test_images_are_shifted_and_mirrored_with_equal_probability(rule):
    data = subset(240, batch_size=240, more={"shift": 1, "flip": 0.25})
    drawn = rule(data, seeds=2)
    index = drawn.at(0)
    plain, targets = data.task.examples(drawn.key, index)
    inputs, same_targets, _ = drawn.batch(0)
    assert torch.equal(targets, same_targets)
    found = [
        changes(one.numpy(), other.numpy(), 1)
        for one, other in zip(plain.flatten(0, 1), inputs.flatten(0, 1), strict=True)
    ]
    assert {len(each) for each in found} == {1}
    down, right, flipped = np.array([each[0] for each in found]).T
    counts = np.zeros((3, 3))
    np.add.at(counts, (down + 1, right + 1), 1)
    # 480 draws over 9 shifts: 53.3 each, give or take 6.9.
    assert np.abs(counts - 480 / 9).max() < 4 * 6.9
    assert flipped.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 480))
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.2


def test_an_image_is_drawn_anew_in_each_step_and_the_same_again(rule):
    data = subset(64, reuse="replacement")
    drawn = rule(data, seeds=2)
    first, second = drawn.batch(3), drawn.batch(4)
    assert torch.equal(drawn.batch(3)[0], first[0])
    both = {int(index): image for index, image in zip(drawn.at(3)[0], first[0][0], strict=True)}
    shared = [(both[int(i)], image) for i, image in zip(drawn.at(4)[0], second[0][0], strict=True) if int(i) in both]
    assert len(shared) > 20
    assert sum(torch.equal(one, other) for one, other in shared) < len(shared) / 5


def test_replicas_can_have_shifts_of_their_own(rule):
    data = subset(64, more={"shift": 2, "flip": 0.0})
    drawn = rule(data, vary={"data.interventions.move.shift": [0, 2]})
    plain, _ = data.task.examples(drawn.key, drawn.at(0))
    inputs, _, _ = drawn.batch(0)
    assert torch.equal(inputs[0], plain[0])
    assert (inputs[1] != plain[1]).flatten(1).any(1).float().mean() > 0.8


def test_a_shift_beyond_the_image_leaves_zeros(rule):
    drawn = rule(subset(64, more={"shift": 1000, "flip": 0.5}))
    inputs, _, _ = drawn.batch(0)
    assert (inputs == 0).flatten(2).all(-1).float().mean() > 0.9


def test_tests_and_other_tasks_stay_as_they_are(rule):
    data = subset(64)
    drawn = rule(data)
    tests, _ = data.test_batch(drawn.settings, drawn.key, 0, 20)
    assert torch.equal(tests, data.task.test_examples(drawn.key, torch.arange(20)[None])[0])
    with pytest.raises(SettingError, match=r"interventions\.move: got 'Augmentation for Parity'; allowed: .*\(10,\)"):
        Subset(Parity(10, 3), 64, interventions={"move": Augmentation()})


@pytest.mark.parametrize(
    ("settings", "key"), [({"shift": -1}, "shift"), ({"shift": 1.5}, "shift"), ({"flip": 1.5}, "flip")]
)
def test_numbers_out_of_range_are_refused(settings, key):
    with pytest.raises(Exception) as error:
        Augmentation(**settings)
    assert getattr(error.value, "key", key) == key


def network(input_shape, output_dim):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(60, output_dim))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Subset, FullBatch])
def test_a_compiled_fit_draws_anew_as_an_eager_one_does(kind):
    from svl.optim import SGD
    from svl.replicas import Replicas
    from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings

    rows = []
    for compile in ("never", "always"):
        data = subset(64, kind)
        data.schedule(6, 6)
        training = TrainingSettings(network, "cross_entropy", SGD(0.01), Replicas(2))
        stack = ReplicaStack(data, training, ExecutionSettings(compile=compile))
        stack.train_steps(0, 6)
        rows.append(torch.cat([p.flatten(1) for p in stack.parameters_by_name().values()], 1))
    torch.testing.assert_close(rows[0], rows[1], rtol=1e-4, atol=1e-5)
