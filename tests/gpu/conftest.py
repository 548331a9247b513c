"""CUDA kernels on a CPU: their source is compiled for the host, where the lanes of a block run in turn."""

import ctypes
import subprocess
from functools import partial
from pathlib import Path

import pytest
import torch

from svl.data import Online
from svl.models import MLP
from svl.native.cuda import kernel_path
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings
from svl.training.routes import warp, warp_full_batch

HERE = Path(__file__).parent


class Emulation:
    """Kernels by file, name and what they are compiled with.

    Attributes:
        is_reversed: whether the warps of a block run in the other order.
        wrong: what to compile them with instead.
    """

    def __init__(self, folder):
        self.folder, self.libraries = folder, {}
        self.is_reversed, self.wrong = False, {}

    def compiled(self, file, kernel, defines):
        defines = {**defines, **self.wrong}
        key = (kernel, *defines.items())
        if key not in self.libraries:
            made = self.folder / f"{len(self.libraries)}.so"
            what = {"SOURCE": f'"{file}.cu"', "KERNEL": kernel, **defines}
            command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", f"-I{HERE}", f"-I{kernel_path(file).parent}"]
            command += [str(HERE / "emulated.cpp"), *(f"-D{k}={v}" for k, v in what.items()), "-o", str(made)]
            subprocess.run(command, check=True)
            self.libraries[key] = ctypes.CDLL(str(made))
        return partial(self._launch, self.libraries[key])

    def _launch(self, library, grid, threads, arguments):
        assert all(argument.is_contiguous() for argument in arguments if isinstance(argument, torch.Tensor))
        bits = [argument.data_ptr() if isinstance(argument, torch.Tensor) else argument or 0 for argument in arguments]
        library.emulate(grid[0], threads[0] // 32, ctypes.c_bool(self.is_reversed), (ctypes.c_int64 * len(bits))(*bits))


@pytest.fixture(scope="session")
def _emulation(tmp_path_factory):
    return Emulation(tmp_path_factory.mktemp("emulated"))


@pytest.fixture
def emulation(_emulation, monkeypatch):
    """Within the test, kernels are compiled for the host."""
    for module in (warp, warp_full_batch):
        monkeypatch.setattr(module, "compiled", _emulation.compiled)
    yield _emulation
    _emulation.is_reversed, _emulation.wrong = False, {}


def _make_stack(data=None, width=20, depth=2, bias=True, loss="logistic", replicas=None, rule=None, **settings):
    data = data or Online(Parity(20, 6, support="drawn"), batch_size=40, test_size=64)
    data.schedule(1000, 1)

    def network(input_shape, output_dim):
        return MLP(input_shape, output_dim, width=width, depth=depth, bias=bias)

    replicas = replicas or Replicas(1, vary={"model.optimizer.lr": [0.1, 0.5]})
    training = TrainingSettings(network, loss, rule or SGD(0.3), replicas, **settings)
    return ReplicaStack(data, training, ExecutionSettings(compile="never"))


@pytest.fixture(scope="session")
def make_stack():
    """Makes a stack of MLPs on parity."""
    return _make_stack


@pytest.fixture
def advanced(emulation):
    """Makes a stack that a route has advanced by an emulated kernel, one that the eager step has, one at the start."""

    def advance(kind=warp.WarpSteps, first=0, steps=3, **settings):
        by_kernel, eager, start = (_make_stack(**settings) for _ in range(3))
        route = kind(by_kernel.spec, by_kernel.engine.steps, is_compiled=False)
        for block in by_kernel.engine.blocks:
            route.advance(block, by_kernel._clock(first, steps))
        eager.train_steps(first, steps)
        return by_kernel, eager, start

    return advance


@pytest.fixture(scope="session")
def assert_equal():
    """Checks such stacks: each replica's distance is small against how far it has moved."""

    def check(by_kernel, eager, start, tolerance=2e-5):
        for name, expected in eager.parameters_by_name().items():
            moved = (expected - start.parameters_by_name()[name]).flatten(1).norm(dim=1).clamp(min=1e-2)
            distance = (by_kernel.parameters_by_name()[name] - expected).flatten(1).norm(dim=1)
            assert (distance <= tolerance * moved).all(), (name, distance / moved)
            found, velocity = (stack.state.rule[name]["momentum_buffer"] for stack in (by_kernel, eager))
            torch.testing.assert_close(found, velocity, rtol=1e-4, atol=1e-6, msg=name)
        for name in ("correct", "steps", "diverged_at"):
            torch.testing.assert_close(by_kernel.record[name], eager.record[name], rtol=1e-6, atol=0)
        torch.testing.assert_close(by_kernel.record["loss"], eager.record["loss"], rtol=1e-5, atol=1e-6)

    return check
