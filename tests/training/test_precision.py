"""Matrix products in bfloat16: PyTorch's autocast of the same network alone is the oracle."""

from types import SimpleNamespace

import pytest
import torch

from svl.data import Online
from svl.models import MLP, Transformer
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ReplicaModule


def mlp(shape, outputs):
    return MLP(shape, outputs, width=12)


def transformer(shape, outputs):
    return Transformer(shape, outputs, width=16, heads=2, readout="mean")


def make(lab, network, precision, **settings):
    data = Online(Parity(10, 3), batch_size=32, test_size=100)
    return lab.stack(data, network=network, rule=SGD(0.3), precision=precision, **settings)


@pytest.mark.parametrize("network", [mlp, transformer])
def test_a_replica_equals_the_network_alone_under_autocast(lab, network):
    stack = make(lab, network, "bf16-mixed")
    stack.train_steps(0, 1)
    x, y = lab.examples(Parity(10, 3), 1, range(32))
    plain = lab.plain_network(Parity(10, 3), 1, network)
    start = {name: p.detach().clone() for name, p in plain.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16):
        outputs = plain(x)[:, 0]
    assert outputs.dtype == torch.bfloat16
    lab.losses["logistic"](outputs.float(), y).backward()
    size = sum(p.grad.norm().item() for p in plain.parameters())
    for name, parameter in stack.parameters_by_name().items():
        gradient = plain.get_parameter(name).grad
        assert parameter.dtype == torch.float32
        found = (start[name] - parameter[1]) / 0.3
        # Half a per cent of bfloat16, a few times over.
        assert (found - gradient).norm() <= 0.03 * gradient.norm() + 1e-4 * size, name


def test_it_differs_from_single_precision_by_a_little(lab):
    exact, mixed = make(lab, mlp, "32-true"), make(lab, mlp, "bf16-mixed")
    for stack in (exact, mixed):
        stack.train_steps(0, 5)
    loss, rounded = exact.evaluate()["val/loss"], mixed.evaluate()["val/loss"]
    assert not torch.equal(loss, rounded)
    torch.testing.assert_close(loss, rounded, rtol=0.02, atol=0)


def test_what_is_compiled_has_its_products_in_bfloat16(lab):
    stack = make(lab, mlp, "bf16-mixed")
    (block,) = stack.engine.blocks
    clock = torch.tensor(0), torch.tensor(1.0, dtype=torch.float64), torch.tensor(0)
    nodes = stack.engine.steps.whole._trace(block, clock).graph.nodes
    products = [node.meta["val"].dtype for node in nodes if "mm" in str(node.target)]
    assert products and set(products) == {torch.bfloat16}


@pytest.mark.parametrize("precision", ["bf16-mixed", "tf32"])
def test_a_fit_on_a_cpu_refuses_it(svl, tiny, tmp_path, precision):
    outcome = svl(tmp_path, *tiny, "--model.precision", precision, "--trainer.accelerator", "cpu")
    assert outcome.status == 2 and len(outcome.err.splitlines()) == 1
    assert "model.precision" in outcome.err and "'32-true' on a CPU" in outcome.err
    assert not list(tmp_path.glob("runs/*/*"))


def test_tf32_is_allowed_during_a_fit_on_a_gpu_and_not_behind_it():
    module = ReplicaModule(mlp, replicas=Replicas(2), precision="tf32")
    module._trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cuda")), global_rank=0, world_size=1
    )
    before = torch.get_float32_matmul_precision()
    module.setup("fit")
    during = torch.get_float32_matmul_precision()
    module.teardown("fit")
    assert (before, during, torch.get_float32_matmul_precision()) == ("highest", "high", "highest")
