from types import SimpleNamespace

import pytest
import torch

from svl.replicas import Replicas


class Rule:
    """A strategy with its numbers, as the training step sees it."""

    def __init__(self, data, seeds=1, first_seed=0, vary=None, total_steps=100):
        self.data = data
        self.replicas = Replicas(seeds, first_seed, vary)
        data.schedule(total_steps, 1)
        self.numbers = data.setting_numbers(self.replicas)
        self.state = data.initial_state(self.numbers)
        self.key = self.replicas.key()

    def at(self, step, micro=0):
        """Indices ``[replica, batch]`` of one micro-batch."""
        step, micro = torch.tensor(step), torch.tensor(micro)
        return self.data.indices(self.numbers, self.state, self.key, step, micro)

    def stream(self, steps):
        """Indices ``[replica, step * batch]`` of several steps, in order."""
        return torch.cat([self.at(step) for step in (range(steps) if isinstance(steps, int) else steps)], 1).numpy()

    def batch(self, step, micro=0):
        """Inputs, targets and weights of one micro-batch."""
        return self.data.batch(self.numbers, self.state, self.key, torch.tensor(step), torch.tensor(micro))

    def inputs(self, steps):
        """Inputs ``[replica, step * batch, dim]`` and targets of several steps, in order."""
        batches = [self.batch(step) for step in steps]
        return torch.cat([x for x, _, _ in batches], 1), torch.cat([y for _, y, _ in batches], 1)


@pytest.fixture(scope="session")
def lab():
    return SimpleNamespace(Rule=Rule)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small gain nothing from a second core, and tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
