import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx

from svl import random
from svl.errors import SettingError
from svl.tasks.linear_regression import LinearRegression

EXPONENTS = [0.0, 0.5, 1.0, 2.0]


def keys(*seeds):
    return random.key(torch.tensor(seeds))


def drawn(task, seed, count):
    """Inputs, labels and teacher, in float64 by NumPy."""
    key = keys(seed)
    inputs, labels = task.examples(key, torch.arange(count)[None])
    return (part[0].numpy().astype(float) for part in (inputs, labels, task.teacher(key)))


def z_score(samples, mean):
    return (samples.mean() - mean) / samples.std() * np.sqrt(len(samples))


@pytest.mark.parametrize("exponent", [*EXPONENTS, 1.5, 7.0])
def test_eigenvalues_are_a_power_of_their_rank(exponent):
    eigenvalues = LinearRegression(1000, exponent).eigenvalues(keys(0, 1))
    expected = np.arange(1, 1001, dtype=float) ** -exponent
    np.testing.assert_allclose(eigenvalues, np.broadcast_to(expected, (2, 1000)), rtol=1e-5)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_inputs_are_independent_gaussians_with_the_spectrum_as_variances(exponent):
    dim, count = 32, 20_000
    inputs, _, _ = drawn(LinearRegression(dim, exponent), 1, count)
    scaled = inputs * np.arange(1, dim + 1) ** (exponent / 2)
    assert stats.kstest(scaled.ravel(), "norm").pvalue > 1e-3
    covariance = scaled.T @ scaled / count
    assert np.abs(np.diag(covariance) - 1).max() < 4.5 * np.sqrt(2 / count)
    assert stats.kstest(np.sqrt(count) * covariance[np.triu_indices(dim, 1)], "norm").pvalue > 1e-3


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_labels_are_the_teachers_up_to_gaussian_noise_independent_of_the_inputs(noise):
    inputs, labels, teacher = drawn(LinearRegression(6, 1.0, noise), 2, 50_000)
    residual = labels - inputs @ teacher
    if noise == 0:
        np.testing.assert_allclose(residual, 0, atol=1e-5)
        return
    assert stats.kstest(residual / noise, "norm").pvalue > 1e-3
    assert abs(z_score(residual**2, noise**2)) < 4
    for coordinate in inputs.T:
        assert abs(z_score(residual * coordinate, 0)) < 4


def test_teachers_are_standard_gaussians_drawn_once_for_each_seed():
    teacher = LinearRegression(8).teacher(random.key(torch.arange(5000))).numpy().astype(float)
    assert stats.kstest(teacher.ravel(), "norm").pvalue > 1e-3
    z = np.sqrt(5000) * (teacher.T @ teacher / 5000)[np.triu_indices(8, 1)]
    assert np.abs(z).max() < 4
    assert torch.equal(LinearRegression(8, 2.0, 0.0).teacher(keys(7)), LinearRegression(8).teacher(keys(7)))


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_least_squares_finds_the_teacher_at_the_statistical_rate(exponent):
    # Of Gaussian designs the mean excess risk is noise^2 dim / (count - dim - 1), whatever the spectrum.
    dim, noise, seeds = 16, 0.5, 200
    key = random.key(torch.arange(seeds))
    task = LinearRegression(dim, exponent, noise)
    for count in (40, 320):
        inputs, labels = task.examples(key, torch.arange(count).expand(seeds, -1))
        fits = [
            np.linalg.lstsq(x.astype(float), y.astype(float))[0]
            for x, y in zip(inputs.numpy(), labels.numpy(), strict=True)
        ]
        risk = task.risk(key, torch.tensor(np.stack(fits), dtype=torch.float32)).numpy().astype(float)
        assert abs(z_score(risk, noise**2 * dim / (count - dim - 1))) < 4
    inputs, labels, teacher = drawn(LinearRegression(dim, exponent, 0.0), 0, 64)
    np.testing.assert_allclose(np.linalg.lstsq(inputs, labels)[0], teacher, atol=1e-4)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_excess_risk_equals_monte_carlo(exponent):
    dim, noise, count = 12, 0.7, 100_000
    task = LinearRegression(dim, exponent, noise)
    weights = torch.linspace(-1, 2, dim)[None]
    inputs, labels = task.test_examples(keys(5), torch.arange(count)[None])
    loss = (labels[0] - inputs[0] @ weights[0]).square().numpy().astype(float)
    assert abs(z_score(loss, task.risk(keys(5), weights).item() + noise**2)) < 4
    assert task.risk(keys(5), task.teacher(keys(5))).item() == 0


def test_the_bayes_reference_is_the_teachers_own_loss():
    key = keys(1, 2)
    task = LinearRegression(10, 1.0, 0.5).bind({"noise": torch.tensor([0.5, 2.0])})
    inputs, labels = task.test_examples(key, torch.arange(20_000).expand(2, -1))
    bayes = task.references(key, inputs, labels, {})["bayes"]
    outputs = np.einsum("rbd,rd->rb", inputs.numpy(), task.teacher(key).numpy())
    np.testing.assert_allclose(bayes, np.square(outputs - labels.numpy()).mean(1), rtol=1e-4)
    # a mean of squares of Gaussians has the relative deviation sqrt(2 / count)
    np.testing.assert_allclose(bayes, [0.25, 4.0], rtol=4 * np.sqrt(2 / 20_000))


@given(st.permutations(range(12)), st.sampled_from([1, 2, 3, 4, 6, 12]))
@settings(max_examples=20)
def test_an_example_does_not_depend_on_its_batch(order, size):
    task, key = LinearRegression(7, 1.0), keys(4)
    index = torch.tensor(order) * (2**33 + 7)
    inputs, labels = task.examples(key, index.sort().values[None])
    batches = [task.examples(key, index[None, start : start + size]) for start in range(0, 12, size)]
    assert torch.equal(torch.cat([batch[0] for batch in batches], 1), inputs[:, order])
    assert torch.equal(torch.cat([batch[1] for batch in batches], 1), labels[:, order])


def test_seeds_and_test_examples_are_unrelated():
    task, index = LinearRegression(50), torch.arange(2000).expand(2, -1)
    train, test = task.examples(keys(0, 1), index)[0], task.test_examples(keys(0, 1), index)[0]
    for one, other in ((train[0], train[1]), (train[0], test[0]), (test[0], test[1])):
        assert abs(z_score((one * other).numpy().astype(float).ravel(), 0)) < 4


def test_replicas_that_differ_in_exponent_and_noise_equal_separate_tasks():
    key, index = keys(3, 3, 5, 2**40), torch.arange(120).view(4, 30)
    exponent, noise = torch.tensor(EXPONENTS), torch.tensor([0.0, 0.3, 2.0, 1.0])
    together = LinearRegression(33).bind({"exponent": exponent, "noise": noise})
    inputs, labels = together.examples(key, index)
    risk = together.risk(key, torch.ones(4, 33))
    for row, numbers in enumerate(zip(exponent.tolist(), noise.tolist(), strict=True)):
        alone, own = LinearRegression(33, *numbers), key[row : row + 1]
        alone_inputs, alone_labels = alone.examples(own, index[row : row + 1])
        assert torch.equal(inputs[row], alone_inputs[0])
        assert torch.equal(labels[row], alone_labels[0])
        torch.testing.assert_close(risk[row : row + 1], alone.risk(own, torch.ones(1, 33)))


def test_examples_can_be_traced():
    def examples(key, index, exponent, noise):
        return LinearRegression(9).bind({"exponent": exponent, "noise": noise}).examples(key, index)

    blank = keys(0, 1), torch.zeros(2, 9, dtype=torch.int64), torch.zeros(2), torch.zeros(2)
    traced = make_fx(examples, tracing_mode="fake")(*blank)
    arguments = keys(7, 8), torch.arange(18).view(2, 9), torch.tensor([0.5, 1.0]), torch.tensor([0.1, 0.2])
    for one, other in zip(traced(*arguments), examples(*arguments), strict=True):
        assert torch.equal(one, other)
        assert one.dtype == torch.float32


@pytest.mark.parametrize(
    ("setting", "given"),
    [("dim", 0), ("dim", -1), ("dim", True)]
    + [(name, given) for name in ("exponent", "noise") for given in (-0.1, float("nan"), float("inf"), True)],
)
def test_settings_out_of_range_are_refused(setting, given):
    with pytest.raises(SettingError) as error:
        LinearRegression(**{setting: given})
    assert error.value.key == setting
    assert error.value.given is given
