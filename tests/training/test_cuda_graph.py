"""Replaying a step as a graph, with a recorder in the place of CUDA: what it keeps, refuses and puts back."""

import warnings
from functools import partial

import pytest
import torch

from svl.data import Online
from svl.models import MLP
from svl.optim import AdamW
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings, compilation, cuda_graph


def step(rate, weights, targets):
    """One step of gradient descent on the squared distance, in place; returns the distance before it."""
    distance = ((weights - targets) ** 2).sum()
    weights.sub_(rate * 2 * (weights - targets))
    return (distance,)


class Recorder:
    """As CUDA's graph: recording computes nothing, and a replay reads and writes the tensors of the recording."""

    def __init__(self, spoil=lambda results: None, fail=None):
        self.spoil, self.fail, self.replays = spoil, fail, 0

    def __call__(self, function):
        if self.fail:
            raise self.fail
        function()
        results = [torch.full_like(result, torch.nan) for result in function()]

        def replay():
            self.replays += 1
            for place, result in zip(results, function(), strict=True):
                place.copy_(result)
            self.spoil(results)

        return replay, results


@pytest.fixture
def is_faster(monkeypatch):
    """A clock by which the first call that is timed, the replay, takes the time of the second times this factor."""

    def set_to(faster):
        times = iter([0.0, 1.0, 1.0, 3.0] if faster else [0.0, 3.0, 3.0, 4.0])
        monkeypatch.setattr(cuda_graph.time, "perf_counter", lambda: next(times))

    return set_to


def tensors(seed=0):
    torch.manual_seed(seed)
    return torch.randn(5), torch.randn(5)


def test_replays_are_the_calls(is_faster):
    is_faster(True)
    (weights, targets), (same, _) = tensors(), tensors()
    replay = cuda_graph.replayed(step, [torch.tensor(0.1)], [weights], [targets], Recorder())
    assert torch.equal(weights, same)
    kept = []
    for number in range(20):
        rate = torch.tensor(0.4 / (number + 1))
        kept.append((replay(rate, weights, targets), step(rate, same, targets)))
        torch.testing.assert_close(weights, same)
    # Results are copies: a later replay does not change them.
    assert all(torch.equal(*found, *expected) for found, expected in kept)
    assert len({float(found[0]) for found, _ in kept}) == 20


def test_a_function_that_is_as_fast_stays_as_it_is(is_faster):
    is_faster(False)
    (weights, targets), (same, _) = tensors(), tensors()
    recorder = Recorder()
    assert cuda_graph.replayed(step, [torch.tensor(0.1)], [weights], [targets], recorder) is None
    assert recorder.replays > 1 and torch.equal(weights, same)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_a_replay_that_computes_something_else_is_refused_and_everything_put_back(value):
    (weights, targets), (same, _) = tensors(), tensors()
    recorder = Recorder(spoil=lambda results: results[0].fill_(value))
    with pytest.raises(RuntimeError, match="computes something else"):
        cuda_graph.replayed(step, [torch.tensor(0.1)], [weights], [targets], recorder)
    assert torch.equal(weights, same)


def test_tensors_on_several_devices_are_refused():
    weights, targets = tensors()
    recorder = Recorder()
    with pytest.raises(RuntimeError, match="several devices"):
        cuda_graph.replayed(step, [torch.tensor(0.1, device="meta")], [weights], [targets], recorder)
    assert recorder.replays == 0


def test_what_has_diverged_is_compared_too(is_faster):
    is_faster(True)
    weights, targets = tensors()
    weights[2] = torch.inf
    assert cuda_graph.replayed(step, [torch.tensor(0.1)], [weights], [targets], Recorder()) is not None
    assert weights[2] == torch.inf


def stack(steps=40):
    data = Online(Parity(6, 3), batch_size=8, test_size=16)
    data.schedule(steps, steps)
    settings = TrainingSettings(partial(MLP, width=8), "logistic", AdamW(0.01), Replicas(3))
    return ReplicaStack(data, settings, ExecutionSettings(compile="always", route="autograd", threads=1))


def trained(monkeypatch, record, steps=40):
    """The weights of a fit whose compiled steps are replayed, though it is on the CPU."""
    replayed = cuda_graph.replayed
    monkeypatch.setattr(cuda_graph, "replayed", lambda *tensors: replayed(*tensors, record))
    made = stack(steps)
    made.engine.route.whole.is_replayed = True
    made.train_steps(0, steps)
    return made


def have_same_weights(made, other):
    found = made.parameters_by_name()
    return all(torch.equal(found[name], value) for name, value in other.parameters_by_name().items())


def test_a_fit_takes_its_steps_by_replays(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(cuda_graph.time, "perf_counter", lambda: next(seconds) ** 1.5)  # the later calls seem slower
    recorder = Recorder()
    made, plain = trained(monkeypatch, recorder), stack()
    plain.train_steps(0, 40)
    assert recorder.replays > 40
    assert have_same_weights(made, plain)


def test_a_fit_whose_steps_cannot_be_recorded_goes_on_with_one_line(monkeypatch):
    recorder = Recorder(fail=RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore"))
    plain = stack()
    plain.train_steps(0, 40)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = trained(monkeypatch, recorder)
    assert [str(line.message) for line in said] == [
        "no CUDA graph could be made of a training step, whose kernels Python launches "
        "(CUDA error: operation not permitted when stream is capturing)"
    ]
    assert have_same_weights(made, plain)


def test_functions_have_a_bounded_number_of_graphs(monkeypatch):
    monkeypatch.setattr(compilation, "_MOST_GRAPHS", 0)
    recorder = Recorder()
    trained(monkeypatch, recorder)
    assert recorder.replays == 0
