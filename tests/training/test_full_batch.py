"""Full-batch gradient descent, in micro-batches, against PyTorch on the whole sample at once."""

import itertools
import math

import pytest
import torch

from svl.data import FullBatch, Population
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Parity

STEPS, DIM, DEGREE = 20, 8, 3


def hypercube():
    x = torch.tensor(list(itertools.product([1.0, -1.0], repeat=DIM)))
    return x, torch.tensor([math.prod(row[:DEGREE]) for row in x.tolist()])


def plain(lab, seed, sample, optimizer="SGD"):
    network = lab.plain_network(Parity(DIM, DEGREE), seed)
    make = {"SGD": lambda p: torch.optim.SGD(p, 0.5, momentum=0.5), "AdamW": lambda p: torch.optim.AdamW(p, 1e-2)}
    return network, *lab.loop(network, make[optimizer](network.parameters()), "logistic", [sample] * STEPS)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("micro_batch_size", [7, 64, 100, 1000])
def test_equals_gradient_descent_on_the_whole_sample(lab, micro_batch_size, optimizer):
    task, rule = Parity(DIM, DEGREE), {"SGD": SGD(0.5, 0.5), "AdamW": AdamW(1e-2)}[optimizer]
    stack = lab.stack(FullBatch(task, 100, None, micro_batch_size), STEPS, rule=rule, replicas=Replicas(2))
    stack.train_steps(0, STEPS)
    metrics = stack.train_metrics()
    assert stack.record["samples"].tolist() == [100 * STEPS] * 2
    for seed in (0, 1):
        network, losses, accuracies = plain(lab, seed, lab.examples(task, seed, range(100)), optimizer)
        lab.assert_replica_is(stack, seed, network)
        assert metrics["train/loss"][seed] == pytest.approx(sum(losses) / STEPS, rel=1e-5)
        assert metrics["train/accuracy"][seed] == pytest.approx(sum(accuracies) / STEPS, rel=1e-5)


@pytest.mark.parametrize("micro_batch_size", [60, 256])
def test_the_population_equals_exhaustive_enumeration(lab, micro_batch_size):
    stack = lab.stack(
        Population(Parity(DIM, DEGREE), micro_batch_size), STEPS, rule=SGD(0.5, 0.5), replicas=Replicas(2)
    )
    stack.train_steps(0, STEPS)
    assert stack.record["samples"].tolist() == [2**DIM * STEPS] * 2
    for seed in (0, 1):
        lab.assert_replica_is(stack, seed, plain(lab, seed, hypercube())[0])


def test_sizes_side_by_side_in_one_stack(lab):
    task, sizes = Parity(DIM, DEGREE), [5, 33, 64, "population"]
    replicas = Replicas(2, vary={"data.size": sizes})
    stack = lab.stack(FullBatch(task, 1, micro_batch_size=32), STEPS, rule=SGD(0.5, 0.5), replicas=replicas)
    stack.train_steps(0, 10)
    stack.train_steps(10, STEPS - 10)
    assert stack.record["samples"].tolist() == [n * STEPS for n in (5, 5, 33, 33, 64, 64, 256, 256)]
    for replica, (size, seed) in enumerate(itertools.product(sizes, (0, 1))):
        sample = hypercube() if size == "population" else lab.examples(task, seed, range(size))
        lab.assert_replica_is(stack, replica, plain(lab, seed, sample)[0])
