"""Each optimizer in a stack: a replica equals a plain loop, and a resumed run an undisturbed one."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.data import FullBatch, Online, Population
from svl.errors import SettingError
from svl.models import MLP
from svl.optim import SAM, SGD, Adam, AdamW, Lion, Muon, MuP
from svl.replicas import Replicas
from svl.tasks import Parity
from svl.training import ParameterGroup
from svl.training.plan import Plan
from svl.training.routes.native_steps import NativeSteps
from svl.training.routes.triton import serves

STEPS, BATCH = 8, 32
TASK = Parity(10, 3)
DEEP = partial(MLP, width=12, depth=3)
EVERY = {
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    "dampening": SGD(0.1, momentum=0.9, dampening=0.3),
    "adam": Adam(0.01, weight_decay=0.1),
    "lion": Lion(0.002, weight_decay=0.1),
    "muon": Muon(0.02, adamw=["layers.2.weight"]),
    "sam": SAM(0.1, momentum=0.9, rho=0.2),
}


def online():
    return Online(TASK, batch_size=BATCH, test_size=50)


def trained(lab, rule, data=None, steps=STEPS, **more):
    stack = lab.stack(data or online(), steps, rule=rule, network=more.pop("network", DEEP), **more)
    stack.train_steps(0, steps)
    return stack


def batches(lab, seed):
    return [lab.examples(TASK, seed, range(step * BATCH, (step + 1) * BATCH)) for step in range(STEPS)]


@pytest.mark.parametrize("nesterov", [False, True])
def test_arms_with_and_without_nesterov_momentum_in_one_fit(lab, nesterov):
    vary = {"model.optimizer.nesterov": [False, True], "model.optimizer.momentum": [0.5, 0.9]}
    stack = trained(lab, SGD(0.2), replicas=Replicas(2, vary=vary))
    for momentum, first in ((0.5, 0), (0.9, 2)):
        for seed in (0, 1):
            plain = lab.plain_network(TASK, seed, DEEP)
            optimizer = torch.optim.SGD(plain.parameters(), 0.2, momentum=momentum, nesterov=nesterov)
            lab.loop(plain, optimizer, "logistic", batches(lab, seed))
            lab.assert_replica_is(stack, 4 * nesterov + first + seed, plain)


def test_muon_equals_torch_s_with_adamw_for_the_rest(lab, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    vary = {"model.optimizer.lr": [0.005, 0.03], "model.optimizer.momentum": [0.5, 0.95]}
    groups = {"biases": ParameterGroup("*.bias", lr=0.01)}
    stack = trained(lab, Muon(adamw=["layers.2.*"]), replicas=Replicas(1, vary=vary), groups=groups)
    for replica, arm in enumerate(stack.replicas.arms):
        plain = lab.plain_network(TASK, 0, DEEP)
        lr, momentum = arm.values()
        hidden, head = [plain.layers[0].weight, plain.layers[1].weight], plain.layers[2].weight
        biases = [layer.bias for layer in plain.layers]
        muon = torch.optim.Muon(hidden, lr, momentum=momentum, adjust_lr_fn="match_rms_adamw")
        options = [{"params": [head], "lr": lr}, {"params": biases, "lr": 0.01}]
        adamw = torch.optim.AdamW(options, betas=(0.9, 0.95), weight_decay=0.1)
        for x, y in batches(lab, 0):
            plain.zero_grad()
            lab.losses["logistic"](plain(x).squeeze(-1), y).backward()
            muon.step()
            adamw.step()
        lab.assert_replica_is(stack, replica, plain, rtol=1e-3, atol=1e-4)


def ascended(lab, plain, optimizer, rho, data, frozen=()):
    """SAM from its definition: the gradient at w + rho g / |g|, applied at w."""
    weights = [p for name, p in plain.named_parameters() if name not in frozen]
    for x, y in data:

        def gradient(x=x, y=y):
            plain.zero_grad()
            lab.losses["logistic"](plain(x).squeeze(-1), y).backward()
            return [p.grad.clone() for p in weights]

        before = [p.detach().clone() for p in weights]
        first = gradient()
        norm = torch.stack([g.norm() for g in first]).norm()
        with torch.no_grad():
            for p, g in zip(weights, first, strict=True):
                p += rho * g / norm
        second = gradient()
        with torch.no_grad():
            for p, b, g in zip(weights, before, second, strict=True):
                p.copy_(b)
                p.grad = g
        optimizer.step()


@pytest.mark.parametrize("frozen", [False, True])
def test_sam_takes_the_gradient_at_perturbed_weights(lab, frozen):
    vary = {"model.optimizer.rho": [0.0, 0.1, 2.0]}
    groups = {"first": ParameterGroup("layers.0.weight", frozen=frozen)}
    rule = SAM(0.2, momentum=0.9, weight_decay=0.01)
    stack = trained(lab, rule, replicas=Replicas(2, vary=vary), groups=groups)
    for replica, (rho, seed) in enumerate((rho, seed) for rho in vary["model.optimizer.rho"] for seed in (0, 1)):
        plain = lab.plain_network(TASK, seed, DEEP)
        names = ["layers.0.weight"] if frozen else []
        moving = [p for name, p in plain.named_parameters() if name not in names]
        optimizer = torch.optim.SGD(moving, 0.2, momentum=0.9, weight_decay=0.01)
        ascended(lab, plain, optimizer, rho, batches(lab, seed), names)
        lab.assert_replica_is(stack, replica, plain)
    assert not torch.allclose(*(stack.parameters_by_name()["layers.1.weight"][row] for row in (0, 4)), atol=1e-3)


@pytest.mark.parametrize(
    "make", [lambda n: FullBatch(TASK, 96, None, n, test_size=50), None], ids=["set", "population"]
)
def test_sam_perturbs_by_the_gradient_of_all_micro_batches(lab, make):
    make = make or (lambda n: Population(Parity(8, 3), micro_batch_size=n, test_size=50))
    at_once, parts = (trained(lab, SAM(0.3, rho=0.3), make(n)) for n in (256, 32))
    assert parts.engine.plan.has_micro_batches and not at_once.engine.plan.has_micro_batches
    for name, parameter in at_once.parameters_by_name().items():
        torch.testing.assert_close(parts.parameters_by_name()[name], parameter, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(parts.train_metrics(), at_once.train_metrics(), rtol=1e-4, atol=2e-5)
    without = trained(lab, SGD(0.3), make(256)).parameters_by_name()["layers.1.weight"]
    assert not torch.allclose(without, at_once.parameters_by_name()["layers.1.weight"], atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_a_stack_of_one_equals_its_part_in_a_stack_of_many(lab, name):
    rule = EVERY[name]
    vary = {"model.optimizer.lr": [rule.lr, 2 * rule.lr]}
    many = trained(lab, rule, replicas=Replicas(2, vary=vary))
    alone = trained(lab, type(rule)(**{**vars_of(rule), "lr": 2 * rule.lr}), replicas=Replicas(1, first_seed=1))
    for parameter, value in alone.parameters_by_name().items():
        torch.testing.assert_close(many.parameters_by_name()[parameter][3], value[0], rtol=1e-4, atol=2e-5)


def vars_of(rule):
    return {name: value for name, value in vars(rule).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", EVERY)
def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(lab, name):
    replicas = Replicas(2, vary={"model.optimizer.weight_decay": [0.0, 0.1]})
    whole = trained(lab, EVERY[name], replicas=replicas)
    stopped = lab.stack(online(), STEPS, rule=EVERY[name], network=DEEP, replicas=replicas)
    stopped.train_steps(0, 3)
    fresh = lab.stack(online(), STEPS, rule=EVERY[name], network=DEEP, replicas=replicas)
    fresh.load_state_dict(lab.through_a_file(stopped.state_dict()))
    fresh.train_steps(3, STEPS - 3)
    for stack in (whole, fresh):
        stack.all = {**stack.parameters_by_name(), **stack.get_extra_state(), **stack.evaluate()}
    torch.testing.assert_close(fresh.all, whole.all, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("fused", [False, True])
def test_compiled_equals_eager(lab, name, fused):
    replicas = Replicas(2, vary={"model.optimizer.lr": [EVERY[name].lr, 1e30]})
    eager = trained(lab, EVERY[name], replicas=replicas)
    compiled = trained(lab, EVERY[name], replicas=replicas, compile="always", fused=fused)
    assert compiled.engine.plan.is_compiled and compiled.engine.route is compiled.engine.steps
    assert (eager.record["diverged_at"] >= 0).tolist() == [False, False, True, True]
    alive = slice(0, 2)
    for parameter, value in eager.parameters_by_name().items():
        torch.testing.assert_close(compiled.parameters_by_name()[parameter][alive], value[alive], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_compiled_sam_with_micro_batches_equals_eager(lab):
    make = partial(FullBatch, TASK, 96, None, 32, test_size=50)
    eager, compiled = (trained(lab, SAM(0.3, rho=0.3), make(), compile=how) for how in ("never", "always"))
    for name, value in eager.parameters_by_name().items():
        torch.testing.assert_close(compiled.parameters_by_name()[name], value, rtol=1e-4, atol=2e-5)


def apart(kind):
    """The same rule, given one parameter after the other."""
    return type(f"Apart{kind.__name__}", (kind,), {"elementwise": False})


NUMBERS = {
    SGD: {"lr": st.floats(0.01, 0.5), "momentum": st.floats(0, 0.99), "weight_decay": st.floats(0, 0.1)},
    AdamW: {"lr": st.floats(0.01, 0.1), "beta1": st.floats(0, 0.99), "beta2": st.floats(0, 0.99)},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_packing_changes_nothing(lab, kind):
    @given(st.fixed_dictionaries(NUMBERS[kind]), st.floats(1e-4, 9e-3), st.booleans())
    @settings(max_examples=10, deadline=None)
    def check(numbers, lr, frozen):
        groups = {"first": ParameterGroup("layers.0.*", lr=lr), "bias": ParameterGroup("*.1.bias", frozen=frozen)}
        packed, alone = (
            trained(lab, rule(**numbers), groups=groups, steps=4, replicas=Replicas(2)) for rule in (kind, apart(kind))
        )
        assert len(packed.state.packed) == 3 - (not frozen) and len(alone.state.packed) == 6
        # The last numbers of a row are computed without vector instructions, which round in another order.
        near = {"rtol": 1e-4, "atol": 1e-6}
        torch.testing.assert_close(alone.parameters_by_name(), packed.parameters_by_name(), **near)
        torch.testing.assert_close(alone.state.rule, packed.state.rule, **near)

    check()


@pytest.mark.parametrize("name", EVERY)
def test_the_routes_written_by_hand_leave_it_to_others(lab, name):
    stack = lab.stack(online(), 200, rule=EVERY[name], network=DEEP, compile="always")
    assert NativeSteps.obstacle(stack.spec, torch.device("cpu")) == (
        "its optimizers are SGD, without Nesterov momentum and dampening, and AdamW"
    )
    assert not serves(stack.spec)
    assert Plan.of(stack.spec, torch.device("cpu")).step_route is not NativeSteps


def test_the_routes_written_by_hand_serve_the_others_as_before(lab):
    for rule in (SGD(0.1, 0.9), AdamW()):
        spec = lab.stack(online(), 200, rule=rule, compile="always").spec
        assert NativeSteps.obstacle(spec, torch.device("cpu")) in (None, "no C++ compiler built it")
        assert serves(spec) == isinstance(rule, SGD)


@pytest.mark.parametrize("name", ["muon", "sam"])
def test_mup_is_refused_where_its_table_does_not_hold(lab, name):
    with pytest.raises(SettingError, match=r"model\.parameterisation.*is not one$"):
        lab.stack(online(), STEPS, rule=EVERY[name], network=DEEP, parameterisation=MuP())


def test_a_pattern_of_muon_that_matches_nothing_is_refused(lab):
    with pytest.raises(SettingError, match=r"^model\.optimizer\.adamw: got 'head'; allowed: a pattern of layers"):
        lab.stack(online(), STEPS, rule=Muon(adamw=["head"]))
