"""The bias against NumPy's over the examples themselves, and the population's moments against enumeration and SciPy."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from svl.callbacks import SamplingBias
from svl.callbacks.sampling_bias import population_moment
from svl.data import Online, Phases, Subset
from svl.data.draw import Draw
from svl.errors import SettingError
from svl.interventions import BiasRemoval, Labels
from svl.models import MLP
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Dataset, Facts, LinearRegression, ModularAddition, Parity, SingleIndex, Staircase
from svl.tasks.single_index import LINKS
from svl.training.replica_module import ReplicaModule

NAMES = ("bias/x", "bias/yx", "bias/moment", "bias/moment_frobenius")


def module(data, replicas=None):
    made = ReplicaModule(MLP, "squared", SGD(lr=0.01), replicas=replicas or Replicas(2), compile="never")
    made.prepare(data, 60, 60)
    return made


def at(made, step, callback=None):
    made.trainer = SimpleNamespace(global_step=step, state=SimpleNamespace(fn="fit"))
    callback = callback or SamplingBias()
    found = callback.measure(made)
    assert list(found) == list(callback.names(made))
    return found


def of_examples(x, y, moment):
    """The four statistics of examples ``[n, dim]``, in NumPy."""
    x, y = (np.asarray(part, np.float64) for part in (x, y))
    off = (y[:, None, None] * x[:, :, None] * x[:, None]).mean(0) - moment
    return [
        np.linalg.norm(x.mean(0)),
        np.linalg.norm((y[:, None] * x).mean(0)),
        np.linalg.norm(off, 2),
        np.linalg.norm(off),
    ]


def compare(found, replica, expected, names=NAMES):
    for name, value in zip(names, expected, strict=False):
        np.testing.assert_allclose(found[name][replica].item(), value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "task", [Parity(6, 2, support="drawn"), Parity(7, 3), SingleIndex(5, "he2"), LinearRegression(4, 1.0)]
)
def test_it_is_that_of_the_set(task):
    found = at(module(Subset(task, size=50, batch_size=8, test_size=8)), 5)
    key = Replicas(2).key()
    x, y = task.examples(key, torch.arange(50).expand(2, -1))
    for replica in range(2):
        if isinstance(task, Parity):
            index = torch.arange(2**task.dim).expand(2, -1)
            every_x, every_y = (part[replica].double().numpy() for part in task.population(key, index))
            moment = np.einsum("n,ni,nj->ij", every_y, every_x, every_x) / len(every_y)
        elif isinstance(task, SingleIndex):
            teacher = task.teacher(key)[replica].double().numpy()
            moment = 2 * np.outer(teacher, teacher)
        else:
            moment = 0.0
        compare(found, replica, of_examples(x[replica], y[replica], moment))


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_the_moment_of_a_staircase_is_that_of_all_inputs(degree, epsilon):
    task, key = Staircase(6, degree, epsilon), Replicas(1).key()
    x, y = (part[0].double().numpy() for part in task.population(key, torch.arange(64)[None]))
    expected = np.einsum("n,ni,nj->ij", y, x, x) / 64
    np.testing.assert_allclose(population_moment(task, key)[0].numpy(), expected, atol=1e-6)


def test_the_moment_follows_a_setting_of_the_task_that_varies():
    replicas = Replicas(1, vary={"data.task.epsilon": [0.0, 0.5]})
    found = at(module(Subset(Staircase(6, 3), size=40, batch_size=8, test_size=8), replicas), 0)
    for replica, epsilon in enumerate([0.0, 0.5]):
        task = Staircase(6, 3, epsilon)
        x, y = (part[0] for part in task.examples(replicas.key()[:1], torch.arange(40)[None]))
        compare(found, replica, of_examples(x, y, population_moment(task, replicas.key()[:1])[0].numpy()))


@pytest.mark.parametrize("link", LINKS)
def test_the_moment_of_a_link_is_that_of_quadrature(link):
    task, key = SingleIndex(6, link), Replicas(2).key()

    def mean(power):
        def weighted(z):
            return float(LINKS[link](torch.tensor(z, dtype=torch.float64))) * z**power * stats.norm.pdf(z)

        return sum(integrate.quad(weighted, *ends)[0] for ends in ((-12, 0), (0, 12)))

    for moment, teacher in zip(population_moment(task, key).numpy(), task.teacher(key).double().numpy(), strict=True):
        # Along the teacher it is E[f(z) z^2], across it E[f(z)].
        across = np.eye(6) - np.outer(teacher, teacher)
        expected = mean(2) * np.outer(teacher, teacher) + mean(0) * across
        np.testing.assert_allclose(moment, expected, atol=1e-6)


def test_it_changes_with_the_phase_and_a_resumed_fit_finds_the_same():
    made = module(Phases(Parity(6, 3), sizes=[20, 50, "online"], durations=[6, 10], batch_size=8, test_size=8))
    callback, key = SamplingBias(), Replicas(2).key()
    fresh = made.stack.data.indices(Draw(made.stack.settings, {}, key, torch.tensor(16), torch.tensor(0), 8))
    sets = {step: torch.arange(20 if step < 6 else 50).expand(2, -1) if step < 16 else fresh for step in range(20)}
    for step, index in sets.items():
        found = at(made, step, callback)
        x, y = made.stack.data.task.examples(key, index)
        for replica in range(2):
            compare(found, replica, of_examples(x[replica], y[replica], 0.0))
        torch.testing.assert_close(at(made, step), found, rtol=0, atol=0)
    assert index.shape == (2, 8) and index.min() >= 50


def test_replicas_with_data_of_their_own_are_told_apart():
    replicas = Replicas(2, vary={"data.size": [20, 30], "model.optimizer.lr": [0.1, 0.2]})
    found = at(module(Subset(Parity(6, 3), size=20, batch_size=8, test_size=8), replicas), 0)
    key = replicas.key()
    for replica, size in enumerate(replicas.column("data.size", None)):
        x, y = Parity(6, 3).examples(key[replica : replica + 1], torch.arange(size)[None])
        compare(found, replica, of_examples(x[0], y[0], 0.0))
    assert len(set(found["bias/moment"].tolist())) == 4


def test_interventions_come_first():
    def of(**interventions):
        data = Subset(Parity(6, 3), size=64, batch_size=8, test_size=8, interventions=interventions)
        return at(module(data), 0)

    plain, removed, relabelled = of(), of(bias=BiasRemoval("mean")), of(labels=Labels("random"))
    assert (removed["bias/x"] < 1e-6).all() and (plain["bias/x"] > 0.05).all()
    assert (removed["bias/moment"] > 0.05).all()
    torch.testing.assert_close(relabelled["bias/x"], plain["bias/x"], rtol=0, atol=0)
    assert (relabelled["bias/moment"] != plain["bias/moment"]).all()


def test_a_population_is_without_bias_and_what_is_too_large_is_not_measured():
    replicas = Replicas(1, vary={"data.size": [30, "population"]})
    made = module(Subset(Parity(6, 2), size=30, batch_size=8, test_size=8), replicas)
    found = at(made, 0, SamplingBias(64))
    for name in NAMES:
        assert found[name][0] > 0.01 and found[name][1] == 0
    assert at(made, 0, SamplingBias(63))["bias/x"].isnan().tolist() == [False, True]


def test_other_tasks_have_no_population_moment_or_are_refused():
    numbers = np.random.default_rng(0)
    table = Dataset((numbers.normal(size=(60, 3)), numbers.normal(size=60)))
    made = module(Subset(table, size=20, batch_size=8))
    found = at(made, 0)
    assert list(found) == ["bias/x", "bias/yx"]
    x, y = table.examples(Replicas(2).key(), torch.arange(20).expand(2, -1))
    compare(found, 1, of_examples(x[1], y[1], 0.0)[:2], NAMES[:2])
    for task in (ModularAddition(5), Facts()):
        made.stack.spec = replace(made.stack.spec, data=Online(task, batch_size=8, test_size=8))
        with pytest.raises(SettingError, match=f"SamplingBias for {type(task).__name__}"):
            SamplingBias().names(made)
    with pytest.raises(SettingError, match=r"^examples: got"):
        SamplingBias(0)
