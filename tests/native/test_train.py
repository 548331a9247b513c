"""Training in C++, of every width of vectors, against a plain loop in double precision with PyTorch's optimizers."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from svl.native.arguments import ACTIVATIONS, HYPER, STATES, Batches, Kind, Parameter, Record, Steps
from svl.native.signs import encode_signs, order_of_signs, words_of
from svl.native.train import scores, train

pytestmark = pytest.mark.usefixtures("build")
# Derandomized: where a pre-activation is within rounding of the ReLU's kink, single and double precision disagree.
bounded = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

PLAIN_ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "quadratic": lambda z: z * z / 2, "gelu": F.gelu}
PLAIN_LOSSES = {
    "logistic": lambda f, y: F.softplus(-y * f),
    "hinge": lambda f, y: F.relu(1 - y * f),
    "squared": lambda f, y: (f - y) ** 2,
    "correlation": lambda f, y: -y * f,
}
SEVERAL = ("cross_entropy", "squared")


def make_parameters(dims, bias, rule, replicas, frozen=0.0):
    """Parameters side by side in one matrix, as a stack packs them, with hyperparameters of their own."""
    shapes = []
    for before, after in itertools.pairwise(dims):
        shapes += [(after, before), (after,)] if bias else [(after, before)]
    sizes = [torch.Size(shape).numel() for shape in shapes]
    rows = {name: torch.zeros(replicas, sum(sizes)) for name in ("value", *STATES[rule])}
    views = {name: row.split(sizes, 1) for name, row in rows.items()}
    parameters = []
    for number, shape in enumerate(shapes):
        tensors = {name: view[number].unflatten(1, shape) for name, view in views.items()}
        tensors["value"].copy_(torch.randn(replicas, *shape) / shape[-1] ** 0.5)
        lr = torch.rand(replicas, dtype=torch.float64) * (0.2 if rule == "sgd" else 0.02)
        hyper = {"lr": lr, "weight_decay": torch.rand(replicas, dtype=torch.float64) * 0.1}
        if rule == "sgd":
            hyper["momentum"] = torch.rand(replicas, dtype=torch.float64)
        else:
            hyper["beta1"] = torch.rand(replicas, dtype=torch.float64)
            hyper["beta2"] = 0.9 + 0.1 * torch.rand(replicas, dtype=torch.float64)
            # Not smaller: a gradient of nothing but rounding would move a parameter by the learning rate.
            hyper["eps"] = 0.01 + torch.rand(replicas, dtype=torch.float64)
        state = {name: tensors[name] for name in STATES[rule]}
        parameters.append(Parameter(tensors["value"], state, hyper, torch.rand(replicas) < frozen))
    return parameters


def make_record(replicas):
    counts = {name: torch.zeros(replicas, dtype=torch.int64) for name in ("steps", "diverged_at")}
    return Record(torch.zeros(replicas), torch.zeros(replicas), counts["steps"], counts["diverged_at"] - 1)


def make_batches(loss, signs, weighted, *shape, outputs=1, words=True):
    """Inputs, and the examples with these as bits where they are signs and ``words`` asks for it."""
    rows = shape[:-1]
    x, y = torch.randn(shape), torch.randint(0, 2, rows) * 2.0 - 1.0
    y = y + 0.123 if loss == "hinge" else y  # away from the kink, where rounding decides
    if outputs > 1:
        y = torch.randn(*rows, outputs) if loss == "squared" else torch.randint(0, outputs, rows).float()
    x = x.sign() if signs else x
    weights = torch.rand(rows) if weighted else None
    return x, Batches(encode_signs(x) if signs and words else x, y, weights, has_signs=signs)


def as_set(x, batches, order):
    """Examples of the first step, in an order, as those of all steps."""
    places = order(batches.inputs[:, :1])
    places = places if places.dim() == 3 else torch.arange(x.shape[2]).expand(len(x), 1, -1)

    def repeated(part):
        rows = places.view(*places.shape, *[1] * (part.dim() - 3)).expand(-1, -1, -1, *part.shape[3:])
        return part[:, :1].gather(2, rows).expand(-1, x.shape[1], *part.shape[2:])

    parts = {name: repeated(getattr(batches, name)) for name in ("inputs", "targets")}
    weights = None if batches.weights is None else repeated(batches.weights)
    return repeated(x), replace(batches, **parts, weights=weights)


def snapshot(parameters, record):
    tensors = [tensor for p in parameters for tensor in (p.value, *p.state.values())]
    return [tensor.clone() for tensor in (*tensors, *vars(record).values())]


def of_examples(outputs, y, kind):
    """Losses, and whether outputs are correct."""
    if outputs.shape[1] == 1:
        return PLAIN_LOSSES[kind.loss](outputs[:, 0], y), outputs[:, 0] * y > 0
    if kind.loss == "squared":
        return (outputs - y).square().mean(1), torch.zeros(len(y))
    weights = None if kind.class_weights is None else kind.class_weights.double()
    return F.cross_entropy(outputs, y.long(), weights, reduction="none"), outputs.argmax(1) == y


def plain_loop(parameters, x, batches, kind, rates, replica):
    """One replica's parameters, optimizer states, losses and accuracies after all steps."""
    values = [p.value[replica].double().requires_grad_() for p in parameters]
    groups, rule = [], kind.rule
    for value, p in zip(values, parameters, strict=True):
        hyper = {name: float(p.hyper[name][replica]) for name in HYPER[rule]}
        if rule == "adamw":
            hyper["betas"] = hyper.pop("beta1"), hyper.pop("beta2")
        if not p.frozen[replica]:
            groups.append({"params": [value], **hyper})
    bias = parameters[1].value.dim() == 2 if len(parameters) > 1 else False
    optimizer = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[rule](groups or [torch.zeros(1)])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(rates[min(step, len(rates) - 1)]))
    losses = hits = 0.0
    for step, inputs in enumerate(x[replica].double()):
        layers = values[:: 2 if bias else 1]
        after = inputs
        for number, layer in enumerate(layers):
            after = F.linear(after, layer, values[2 * number + 1] if bias else None)
            if layer is not layers[-1]:
                after = PLAIN_ACTIVATIONS[kind.activation](after)
        y = batches.targets[replica, step].double()
        weights = torch.full((len(y),), 1 / len(y)) if batches.weights is None else batches.weights[replica, step]
        each, correct = of_examples(after, y, kind)
        mean = (each * weights).sum()
        optimizer.zero_grad()
        mean.backward()
        optimizer.step()
        schedule.step()
        losses, hits = losses + mean.item(), hits + (correct * weights).sum().item()
    return values, [dict(optimizer.state[value]) for value in values], losses, hits


@pytest.mark.slow
@bounded
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.sampled_from(sorted(PLAIN_LOSSES)),
    st.sampled_from(sorted(HYPER)),
    st.integers(1, 150),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_training_equals_a_plain_loop(dims, activation, loss, rule, size, steps, frozen, bias, weighted, signs, seed):
    compare([*dims, 1], activation, loss, rule, size, steps, frozen, bias, weighted, signs, seed)


@bounded
@given(
    st.integers(1, 100),
    st.integers(1, 150),
    st.sampled_from(sorted(PLAIN_LOSSES)),
    st.sampled_from(sorted(HYPER)),
    st.integers(1, 150),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_training_of_one_relu_layer_on_signs_equals_a_plain_loop(dim, width, loss, rule, size, bias, weighted, seed):
    compare([dim, width, 1], "relu", loss, rule, size, 3, 0.2, bias, weighted, True, seed)


@bounded
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(2, 35),
    st.sampled_from(["relu", "gelu"]),
    st.sampled_from(SEVERAL),
    st.sampled_from(sorted(HYPER)),
    st.integers(1, 150),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_training_with_several_outputs_equals_a_plain_loop(
    dims, outputs, activation, loss, rule, size, bias, weighted, signs, seed
):
    class_weights = torch.rand(outputs) if weighted and loss == "cross_entropy" else None
    compare([*dims, outputs], activation, loss, rule, size, 3, 0.2, bias, weighted, signs, seed, class_weights)


@pytest.mark.slow
@bounded
@given(
    st.integers(1, 100),
    st.integers(1, 150),
    st.sampled_from(sorted(PLAIN_LOSSES)),
    st.sampled_from(sorted(HYPER)),
    st.integers(1, 1200),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_full_batches_of_signs_equal_a_plain_loop(dim, width, loss, rule, size, steps, bias, weighted, ordered, seed):
    order = order_of_signs if ordered else torch.zeros_like
    compare([dim, width, 1], "relu", loss, rule, size, steps, 0.2, bias, weighted, True, seed, order=order)


def compare(
    dims, activation, loss, rule, size, steps, frozen, bias, weighted, signs, seed, class_weights=None, order=None
):
    torch.manual_seed(seed)
    replicas = 3
    kind = Kind(activation, loss, rule, class_weights=class_weights, is_set=order is not None)
    parameters = make_parameters(dims, bias, rule, replicas, frozen)
    sizes = replicas, steps, size, dims[0]
    x, batches = make_batches(loss, signs, weighted, *sizes, outputs=dims[-1], words=seed % 2 or kind.is_set)
    if order is not None:
        x, batches = as_set(x, batches, order)
    outputs = torch.zeros(*sizes[:3], dims[-1])
    batches = replace(batches, outputs=outputs)
    rates, record, before = torch.rand(steps, dtype=torch.float64), make_record(replicas), copy.deepcopy(parameters)
    correct = torch.zeros(replicas, steps)
    train(parameters, batches, record, kind, Steps(rates=rates, correct=correct))
    assert (record.steps == steps).all() and (record.diverged_at == -1).all()
    torch.testing.assert_close(correct.sum(1), record.correct)
    of_last = outputs[:, -1].double()
    for replica in range(replicas):
        values, states, losses, hits = plain_loop(before, x, batches, kind, rates, replica)
        for number, (value, state) in enumerate(zip(values, states, strict=True)):
            # Single precision's rounding, 6e-8, grows with the sums' length and from step to step.
            compare_numbers(parameters[number].value[replica], value)
            for name in STATES[rule]:
                moved = torch.zeros_like(value) if before[number].frozen[replica] else state[name]
                compare_numbers(parameters[number].state[name][replica], moved)
        assert float(record.loss[replica]) == pytest.approx(losses, rel=1e-4, abs=1e-5)
        assert float(record.correct[replica]) == pytest.approx(hits, rel=1e-5, abs=1e-5)
    # The scores of the last step's examples, from their outputs with the parameters before it.
    if steps == 1:
        values, one = [p.value for p in before], replace(batches, outputs=None, weights=None)
        found = scores(values, one, kind)
        for replica in range(replicas):
            each, hit = of_examples(of_last[replica], batches.targets[replica, 0].double(), kind)
            assert float(found[0][replica]) == pytest.approx(float(each.sum()), rel=1e-4, abs=1e-4)
            assert float(found[1][replica]) == float(hit.sum())


def compare_numbers(found, expected):
    expected = expected.detach()
    size = max(float(expected.abs().max()), 1e-2)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4 * size)


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize("rule", sorted(HYPER))
def test_neither_threads_nor_calls_nor_neighbours_change_a_number(rule, signs):
    torch.manual_seed(0)
    parameters = make_parameters([21, 37, 1], True, rule, 5, 0.2)
    _, batches = make_batches("logistic", signs, True, 5, 6, 70, 21)
    kind = Kind("relu", "logistic", rule)

    def trained(pieces, threads, rows=slice(None)):
        own = [
            Parameter(
                p.value[rows].clone(),
                {n: s[rows].clone() for n, s in p.state.items()},
                {n: h[rows] for n, h in p.hyper.items()},
                p.frozen[rows],
            )
            for p in parameters
        ]
        record = make_record(len(own[0].value))
        torch.set_num_threads(threads)
        for first, end in itertools.pairwise(pieces):
            tensors = (batches.inputs, batches.targets, batches.weights)
            part = Batches(*(tensor[rows, first:end] for tensor in tensors))
            train(own, part, record, kind, Steps(first))
        torch.set_num_threads(1)
        return snapshot(own, record)

    alone = trained([0, 6], 1)
    assert all(map(torch.equal, alone, trained([0, 6], 3)))
    assert all(map(torch.equal, alone, trained([0, 1, 4, 6], 2)))
    assert all(map(torch.equal, [tensor[2:4] for tensor in alone], trained([0, 6], 1, slice(2, 4))))


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize("rule", sorted(HYPER))
@pytest.mark.parametrize("step", [0, 2])
def test_a_replica_whose_loss_is_not_finite_stays_as_it_is(rule, signs, step):
    torch.manual_seed(0)
    parameters = make_parameters([9, 17, 1], True, rule, 3)
    _, batches = make_batches("squared", signs, False, 3, 4, 33, 9)
    kind = Kind("relu", "squared", rule)
    before, record, expected, fine = copy.deepcopy(parameters), make_record(3), make_record(3), make_record(3)
    untouched = copy.deepcopy(parameters)
    train(untouched, batches, fine, kind, Steps(100))
    spoiled = batches.targets.clone()
    spoiled[1, step, 20] = float("nan")
    if step:
        first = Batches(batches.inputs[:, :step], batches.targets[:, :step])
        train(before, first, expected, kind, Steps(100))
    train(parameters, Batches(batches.inputs, spoiled), record, kind, Steps(100))
    assert record.diverged_at.tolist() == [-1, 100 + step, -1] and record.steps.tolist() == [4, step, 4]
    runs = (parameters, record), (before, expected), (untouched, fine)
    for found, early, late in zip(*(snapshot(*run) for run in runs), strict=True):
        if found.dtype == torch.float32:
            assert torch.equal(found[1], early[1]) and torch.equal(found[[0, 2]], late[[0, 2]])
    train(parameters, batches, record, kind, Steps(104))
    assert torch.equal(parameters[0].value[1], before[0].value[1]) and record.steps.tolist() == [8, step, 8]


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_noticed_and_stay_in_their_replica(signs, bad):
    torch.manual_seed(0)
    parameters = make_parameters([5, 17, 1], True, "sgd", 3)
    _, batches = make_batches("logistic", signs, False, 3, 2, 39, 5)
    before, record = copy.deepcopy(parameters), make_record(3)
    train(before, batches, make_record(3), Kind("relu", "logistic", "sgd"))
    parameters[0].value[1, 3] = bad
    train(parameters, batches, record, Kind("relu", "logistic", "sgd"))
    if bad != bad:
        assert record.diverged_at.tolist() == [-1, 0, -1]
    for found, expected in zip(parameters, before, strict=True):
        assert torch.equal(found.value[[0, 2]], expected.value[[0, 2]])


def test_units_that_fill_up_a_vector_stay_zero_without_eps():
    torch.manual_seed(0)
    parameters = make_parameters([6, 5, 1], False, "adamw", 2)
    for p in parameters:
        p.hyper["eps"].zero_()
    _, batches = make_batches("logistic", True, False, 2, 5, 200, 6)
    record = make_record(2)
    train(parameters, batches, record, Kind("relu", "logistic", "adamw"))
    assert all(p.value.isfinite().all() for p in parameters[1:]) and (record.steps == 5).all()


def test_replicas_and_steps_may_share_examples():
    torch.manual_seed(0)
    _, batches = make_batches("logistic", True, False, 1, 2, 40, 12)
    both = batches.inputs[:, :1], batches.targets[:, :1]
    shared = Batches(*(t.expand(3, 2, *t.shape[2:]) for t in both))
    apart = Batches(*(t.contiguous() for t in (shared.inputs, shared.targets)))
    found = make_parameters([12, 8, 1], True, "sgd", 3)
    expected = copy.deepcopy(found)
    for parameters, given_batches in ((found, shared), (expected, apart)):
        train(parameters, given_batches, make_record(3), Kind("relu", "logistic", "sgd"))
    assert all(torch.equal(a.value, b.value) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dim", [1, 5, 32, 40])
def test_the_order_of_signs_is_that_of_the_first_coordinates(dim):
    torch.manual_seed(dim)
    x = torch.randn(3, 2, 50, dim).sign()
    order = order_of_signs(encode_signs(x))
    assert order.shape == (3, 2, 50)
    for rows, places in zip(x.flatten(0, 1).tolist(), order.flatten(0, 1).tolist(), strict=True):
        assert places == sorted(range(50), key=lambda place: rows[place][:32])


@pytest.mark.parametrize("dim", [1, 4, 15, 16, 31, 32, 33, 64, 70])
def test_signs_are_encoded_bit_by_bit(dim):
    torch.manual_seed(dim)
    x = torch.randn(3, 7, dim).sign()
    words = encode_signs(x)
    assert words.shape == (3, 7, words_of(dim))
    place = torch.arange(dim)
    bits = words.to(torch.int64)[..., place // 32] >> place % 32 & 1
    assert torch.equal(bits * 2.0 - 1, x)
    unused = torch.arange(dim, 32 * words.shape[-1])
    assert not (words.to(torch.int64)[..., unused // 32] >> unused % 32 & 1).any()


def test_what_the_library_would_misread_is_an_error():
    parameters = make_parameters([6, 5, 1], True, "sgd", 2)
    x, batches = make_batches("logistic", False, False, 2, 3, 4, 6)
    kind = Kind("relu", "logistic", "sgd")

    def refused(message, parameters=parameters, batches=batches, record=None, kind=kind, steps=None):
        with pytest.raises(ValueError, match=message):
            train(parameters, batches, record or make_record(2), kind, steps)

    for message, changes in (
        ("activation: got tanh; allowed: relu", {"activation": "tanh"}),
        ("loss: got exponential; allowed", {"loss": "exponential"}),
        ("rule: got lion; allowed: sgd, adamw", {"rule": "lion"}),
        ("correct: got maybe; allowed", {"correct": "maybe"}),
    ):
        with pytest.raises(ValueError, match=message):
            replace(kind, **changes)
    refused("batches.inputs: got", batches=Batches(x.double(), batches.targets))
    refused("batches.inputs: got", batches=Batches(x[..., :5].contiguous(), batches.targets))
    refused("contiguous within a replica", batches=Batches(x.mT.contiguous().mT, batches.targets))
    refused("batches.outputs: got", batches=replace(batches, outputs=torch.zeros(2, 3, 4, 2)))
    refused("record.loss: got", record=make_record(3))
    refused("rates: got", steps=Steps(rates=torch.ones(2)))
    refused("begins: got", steps=Steps(begins=torch.zeros(3, dtype=torch.int64)))
    refused("to one output", make_parameters([6, 5, 2], True, "sgd", 2))
    refused("to one output", kind=replace(kind, loss="cross_entropy"))


@pytest.mark.parametrize("signs", [True, False])
def test_each_replica_can_have_steps_of_its_own(signs):
    torch.manual_seed(0)
    parameters = make_parameters([9, 17, 1], True, "adamw", 4)
    _, batches = make_batches("logistic", signs, False, 4, 5, 33, 9)
    kind, record, together = Kind("relu", "logistic", "adamw"), make_record(4), copy.deepcopy(parameters)
    begins, ends, correct = torch.tensor([0, 2, 3, 4]), torch.tensor([5, 4, 3, 5]), torch.full((4, 5), -1.0)
    train(together, batches, record, kind, Steps(10, begins=begins, ends=ends, correct=correct))
    assert record.steps.tolist() == (ends - begins).tolist()
    for replica, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        rows, alone = slice(replica, replica + 1), make_record(1)
        assert ((correct[replica] >= 0) == (begins[replica] <= torch.arange(5)) & (torch.arange(5) < end)).all()
        if begin == end:
            continue
        own = [
            Parameter(p.value[rows], {n: s[rows] for n, s in p.state.items()}, {n: h[rows] for n, h in p.hyper.items()})
            for p in parameters
        ]
        part = Batches(batches.inputs[rows, begin:end], batches.targets[rows, begin:end])
        train(own, part, alone, kind, Steps(10 + begin))
        assert torch.equal(alone.loss, record.loss[rows]) and torch.equal(alone.correct, record.correct[rows])
        for found, expected in zip(together, own, strict=True):
            assert torch.equal(found.value[rows], expected.value)


def test_the_accuracy_of_a_replica_that_has_diverged_is_measured_where_it_is_asked_for():
    torch.manual_seed(0)
    parameters = make_parameters([9, 17, 1], True, "sgd", 2)
    _, batches = make_batches("squared", False, False, 2, 4, 33, 9)
    kind, record, correct = Kind("relu", "squared", "sgd"), make_record(2), torch.zeros(2, 4)
    record.diverged_at[1] = 0
    before = parameters[0].value[1].clone()
    train(parameters, batches, record, kind, Steps(7, correct=correct))
    assert record.steps.tolist() == [4, 0] and torch.equal(parameters[0].value[1], before)
    assert (correct[1] > 0).all()


def test_an_undefined_accuracy_is_nan():
    parameters, record = make_parameters([3, 1], True, "sgd", 2), make_record(2)
    _, batches = make_batches("squared", False, False, 2, 2, 5, 3)
    train(parameters, batches, record, Kind("relu", "squared", "sgd", "undefined"))
    assert record.correct.isnan().all() and (record.steps == 2).all()
