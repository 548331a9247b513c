"""Run by test_pretended.py: fits on fake tensors of a GPU, which have a device and a shape, and no values.

PyTorch refuses operations on tensors of two devices, and anything that asks for a value on the CPU raises: a training
step that waits for the GPU fails here.
"""

from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import svl.tasks.table
from svl.callbacks import Measurement
from svl.callbacks.sampling_bias import population_moment
from svl.cli import fit as command
from svl.data import FullBatch, Online, Phases, Population, Subset, TwoSets
from svl.models import MLP, Transformer
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.reproduction.catalogue import PAPERS
from svl.tasks import InContextRegression, LinearRegression, Parity, SingleIndex, Staircase
from svl.training import ExecutionSettings, ReplicaStack, TrainingSettings, memory
from svl.training.engine import Engine
from svl.training.plan import Plan
from svl.training.routes import warp, warp_full_batch
from svl.training.routes.warp import WarpSteps
from svl.training.routes.warp_full_batch import WarpFullBatch

ROOT = Path(__file__).parents[2]
GPU = torch.device("cuda:0")
OTHERS = ("sweeps", *PAPERS)
CONFIGS = sorted(path for path in ROOT.glob("configs/*/*.yaml") if path.parent.name not in OTHERS)
FEW = ["--replicas.seeds", "2", "--trainer.max_steps", "64", "--trainer.log_every_n_steps", "64"]
SMALL = {"gpt2": ["--data.batch_size", "2", "--data.test_size", "2", "--replicas.vary.data.axes.context.size", "[4]"]}


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    assert torch.zeros(1).device.type == "cpu"
    monkeypatch.setattr(memory, "of_gpu", lambda device: 80 * 2**30)
    monkeypatch.setattr(svl.tasks.table, "untraced", nullcontext)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(before)


class OnGPU:
    """A context in which a stack is on a GPU of fake tensors; steps are not compiled."""

    def __init__(self, stack):
        self.stack, self.mode = stack, FakeTensorMode(allow_non_fake_inputs=True)
        self.plan = Plan.of(stack.spec, GPU)

    def __enter__(self):
        self.stack.stopped_at = self.stack.stopped_at.numpy()  # on the CPU, where it has values
        self.mode.__enter__()
        self.gradients = torch.no_grad()
        self.gradients.__enter__()
        stack = self.stack
        for part in (stack, stack.state, stack.spec.network):
            part.to(GPU)
        stack.__dict__["engine"] = Engine.of(self.plan, stack.spec, stack.state)
        return stack

    def __exit__(self, *error):
        self.gradients.__exit__(*error)
        self.mode.__exit__(*error)


def devices(nest):
    return {leaf.device.type for leaf in pytree.tree_leaves(nest) if isinstance(leaf, torch.Tensor)}


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by a copy in torchmetrics
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_fit_stays_on_the_gpu_and_never_waits_for_it(config):
    words = ["fit", "--config", str(config), *FEW, "--model.compile", "never", *SMALL.get(config.stem, [])]
    session = command.objects(words)
    module, data = session.model, session.datamodule
    module.prepare(data, 64, 64)
    with OnGPU(module.stack) as stack:
        stack.train_steps(0, 2)
        stack.test_sums()
        stack.gradients(0, 2)
        assert devices(stack.state.trained()) == {"cuda"}
        assert devices(stack.evaluate()) == {"cpu"}
        assert devices(list(stack.predictions())) == {"cuda"}
        for measure in (stack.references, stack.train_metrics):
            only_asking_for_values(measure)
        module._trainer = Finished()
        for callback in session.settings.trainer.callbacks or []:
            if isinstance(callback, Measurement):
                only_asking_for_values(partial(callback.measure, module))


@pytest.mark.parametrize(
    ("data", "kind", "kernels"),
    [
        (Online(Parity(20, 6)), WarpSteps, ["sgd_steps"]),
        (Subset(Parity(20, 6), 1000), WarpSteps, ["sgd_steps"]),
        (Subset(Parity(20, 6), 1000, "replacement"), WarpSteps, ["sgd_steps"]),
        (TwoSets(Parity(20, 6), 1000), WarpSteps, ["sgd_steps"]),
        (Phases(Parity(20, 6), [1000, "online"], [2]), WarpSteps, ["sgd_steps"]),
        (Population(Parity(20, 6)), WarpFullBatch, 3 * ["gradient_slices", "sgd_of_slices"]),
        (FullBatch(Parity(20, 6), [5000, "population"], [2]), WarpFullBatch, 3 * ["gradient_slices", "sgd_of_slices"]),
    ],
    ids=["fresh", "epochs", "replacement", "two sets", "phases", "population", "growing"],
)
@pytest.mark.parametrize("depth", [2, 3])
def test_kernels_are_given_tensors_of_the_gpu(monkeypatch, data, kind, kernels, depth):
    launched = []

    def compiled(file, name, defines):
        def launch(grid, threads, arguments):
            tensors = [argument for argument in arguments if isinstance(argument, torch.Tensor)]
            assert devices(tensors) == {"cuda"} and all(tensor.is_contiguous() for tensor in tensors)
            assert grid[0] > 0 and threads[0] <= 1024
            launched.append(name)

        return launch

    for module in (warp, warp_full_batch):
        monkeypatch.setattr(module, "compiled", compiled)
    machine = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: machine)
    data.schedule(100, 100)
    training = TrainingSettings(partial(MLP, width=64, depth=depth), "logistic", SGD(), Replicas(8))
    stack = ReplicaStack(data, training, ExecutionSettings(compile="never"))
    on_cpu = kind(stack.spec, stack.engine.steps, is_compiled=False)
    defines = on_cpu.defines  # which depend on the settings' values
    with OnGPU(stack):
        route = kind(stack.spec, stack.engine.steps, is_compiled=False)
        route.__dict__.update(defines=defines, draw=on_cpu.draw)
        route.advance(stack.engine.blocks[0], stack._clock(0, 3))
    assert launched == kernels


class Finished:
    """As much of a trainer as a callback's measurement asks for."""

    global_step, max_steps = 2, 64
    state = type("State", (), {"fn": "fit"})


def only_asking_for_values(measure):
    """A measurement may wait for the device, and fake tensors have nothing to wait for."""
    with suppress(DataDependentOutputException, DynamicOutputShapeException):
        measure()


@pytest.mark.parametrize(
    "task",
    [Parity(8, 2), Parity(8, 3), Staircase(8, 3), Staircase(8, 3, epsilon=0.5), SingleIndex(8), LinearRegression(8)],
    ids=lambda task: type(task).__name__,
)
def test_moments_in_closed_form_are_on_the_gpu(task):
    with FakeTensorMode(allow_non_fake_inputs=True):
        moment = population_moment(task, torch.zeros(3, 2, dtype=torch.int64, device=GPU))
        assert moment.device == GPU and moment.shape[1:] == (8, 8)


class Peak(TorchDispatchMode):
    """Follows how many bytes of the device are alive, of tensors that are made in the context."""

    def __init__(self):
        super().__init__()
        self._live, self.bytes = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cuda":
                storage = leaf.untyped_storage()
                self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._live = {place: (ref, size) for place, (ref, size) in self._live.items() if not ref.expired()}
        self.bytes = max(self.bytes, sum(size for _, size in self._live.values()))
        return result


@pytest.mark.parametrize(
    ("data", "network", "rule", "loss"),
    [
        (Online(Parity(20, 6)), partial(MLP, width=64), SGD(), "logistic"),
        (Online(Parity(20, 6)), partial(MLP, width=64, depth=3), SGD(), "logistic"),
        (Subset(Parity(40, 6), 10_000), partial(MLP, width=256), SGD(), "logistic"),
        (Online(SingleIndex(40)), partial(MLP, width=64), SGD(), "squared"),
        (
            Online(Parity(20, 6), batch_size=32),
            partial(Transformer, width=64, depth=2, heads=4, readout="mean"),
            AdamW(),
            "logistic",
        ),
        (
            Online(InContextRegression(20, 41, 1.0, objective="prefixes"), batch_size=128),
            partial(Transformer, width=256, depth=2, heads=8, causal=True, readout="all"),
            AdamW(),
            "squared",
        ),
    ],
    ids=["mlp", "depth 3", "width 256", "gaussian", "transformer", "gpt-2"],
)
def test_what_a_call_holds_is_within_its_share_of_the_gpu(monkeypatch, data, network, rule, loss):
    share = 2**30  # a GPU of 4 GB, which cuts the last of them into blocks
    monkeypatch.setattr(memory, "of_gpu", lambda device: 4 * share)
    data.schedule(100, 100)
    training = TrainingSettings(network, loss, rule, Replicas(8))
    stack = ReplicaStack(data, training, ExecutionSettings(compile="never"))
    with OnGPU(stack):
        engine = stack.engine
        engine.route.advance(engine.blocks[0], stack._clock(0, 1))  # makes the optimizer's state
        for call in (
            lambda: engine.route.advance(engine.blocks[0], stack._clock(1, 1)),
            lambda: engine.evaluation.on_tests(engine.blocks[0], engine.evaluation.starts[0]),
        ):
            with Peak() as peak:
                call()
            assert 0 < peak.bytes <= share
