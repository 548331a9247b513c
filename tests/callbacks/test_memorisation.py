"""The share of memorised examples against a plain loop over replicas, examples and who saw them; and known cases."""

import copy
import math

import numpy as np
import pytest
import torch

from svl.callbacks import Memorisation
from svl.callbacks import memorisation as this
from svl.callbacks.memorisation import Probes, Shares
from svl.data import Subset
from svl.errors import SettingError
from svl.interventions import LabelNoise
from svl.losses import CrossEntropy, Logistic
from svl.models import MLP, Transformer
from svl.optim import SGD, AdamW
from svl.replicas import Replicas
from svl.tasks import Facts, ModularAddition, Parity, ScratchpadAddition, Text
from svl.tasks.task import TEST_START
from svl.training.replica_module import ReplicaModule

SEEDS = 3


def module(task, size, steps, seeds=SEEDS, vary=None, **data):
    def network(input_shape, output_dim, vocabulary=None):
        if vocabulary is None:
            return MLP(input_shape, output_dim, width=16)
        readout = "all" if task.per_position else "last"
        shape = {"width": 8, "depth": 1, "heads": 2, "causal": True, "readout": readout}
        return Transformer(input_shape, output_dim, vocabulary, **shape)

    is_class = task.target == "class"
    made = ReplicaModule(
        network,
        CrossEntropy() if is_class else Logistic(),
        AdamW(lr=0.02) if is_class else SGD(lr=0.5),
        replicas=Replicas(seeds=seeds, first_seed=2, vary=vary),
        compile="never",
    )
    made.prepare(Subset(task, size, batch_size=16, test_size=32, **data), max(steps, 1), 10)
    made.stack.train_steps(0, max(steps, 1))
    return made


def measured(made, examples, step=1, monkeypatch=None):
    monkeypatch.setattr(type(made), "global_step", property(lambda self: step))
    return Memorisation(examples=examples).measure(made)


def by_loop(made, sizes, examples, has_teacher):
    """Share, chance and overfitting of every replica: sets of texts, plain networks, one example at a time."""
    stack, task = made.stack, made.stack.data.task
    networks = [copy.deepcopy(stack.spec.network) for _ in stack.replicas.seed]
    for replica, network in enumerate(networks):
        network.load_state_dict({name: p[replica] for name, p in stack.parameters_by_name().items()})

    def named(inputs):
        return str(inputs.tolist())

    def rights(replica, inputs, targets, index):
        """Which of the example's items the replica has right."""
        if has_teacher:
            targets = task.labels(stack.key[replica : replica + 1], inputs[None, None], index[None, None])[0, 0]
        outputs = networks[replica](inputs[None])[0]
        if task.per_position:
            return [bool(o.argmax() == t) for o, t in zip(outputs, targets, strict=True) if t >= 0]
        if task.target == "class":
            return [bool(outputs.argmax() == targets)]
        return [bool(outputs[0] * targets > 0)]

    found = []
    for replica, seed_place in enumerate(list(range(SEEDS)) * len(sizes)):
        arm = replica - seed_place
        key, size = stack.key[replica : replica + 1], sizes[arm // SEEDS]
        sets = [
            {named(x) for x in task.examples(stack.key[other : other + 1], torch.arange(size)[None])[0][0]}
            for other in range(arm, arm + SEEDS)
        ]
        values = {}
        for name, start, count in (("share", 0, size), ("chance", TEST_START, 10**9)):
            chosen = range(count) if count <= examples else [j * count // examples for j in range(examples)]
            chosen = range(examples) if name == "chance" else chosen
            own, memorised = [], []
            for number in chosen:
                index = torch.tensor([[start + number]])
                inputs, targets = (part[0, 0] for part in task.examples(key, index))
                answers = [rights(arm + s, inputs, targets, index[0, 0]) for s in range(SEEDS)]
                saw = [named(inputs) in sets[s] if name == "share" else s == seed_place for s in range(SEEDS)]
                for item in range(len(answers[0])):
                    inside = [answers[s][item] for s in range(SEEDS) if saw[s]]
                    outside = [answers[s][item] for s in range(SEEDS) if not saw[s]]
                    own.append(answers[seed_place][item])
                    # Where all have the example in their set, nobody can be asked.
                    memorised += [np.mean(inside) * (1 - np.mean(outside))] if outside else []
            values[name] = (np.mean(own), np.mean(memorised))
        found.append((values["share"][0] - values["chance"][0], values["share"][1], values["chance"][1]))
    return np.array(found).T


@pytest.mark.parametrize(
    ("task", "sizes", "examples", "has_teacher"),
    [
        (Parity(9, 2), [24, 7], 12, False),
        (Parity(30, 1, support="drawn"), [24, 7], 12, True),
        (ModularAddition(9), [30, 30], 10, False),  # 81 inputs, so that sets have many in common
        (ScratchpadAddition(1, 1, 1, base=2), [3, 3], 8, False),
    ],
)
def test_every_column_is_that_of_a_loop(task, sizes, examples, has_teacher, monkeypatch):
    made = module(task, 8, 40, vary={"data.size": sizes} if sizes[0] != sizes[1] else None)
    if sizes[0] == sizes[1]:
        made, sizes = module(task, sizes[0], 40), sizes[:1]
    columns = measured(made, examples, monkeypatch=monkeypatch)
    gap, share, chance = by_loop(made, sizes, examples, has_teacher)
    np.testing.assert_allclose(columns["overfit/accuracy"], gap, atol=1e-6)
    np.testing.assert_allclose(columns["memorised/share"], share, atol=1e-6)
    np.testing.assert_allclose(columns["memorised/chance"], chance, atol=1e-6)


def test_the_loss_is_compared_too(monkeypatch):
    task = Parity(12, 3)
    made = module(task, 16, 60)
    columns = measured(made, 16, monkeypatch=monkeypatch)
    for replica in range(SEEDS):
        made.stack.spec.network.load_state_dict({n: p[replica] for n, p in made.stack.parameters_by_name().items()})
        losses = []
        for start in (0, TEST_START):
            x, y = task.examples(made.stack.key[replica : replica + 1], start + torch.arange(16)[None])
            losses.append(torch.nn.functional.softplus(-y[0] * made.stack.spec.network(x[0])[:, 0]).mean().item())
        assert columns["overfit/loss"][replica].item() == pytest.approx(losses[1] - losses[0], abs=1e-5)


def test_replicas_that_agree_have_memorised_nothing(monkeypatch):
    made = module(Parity(12, 3), 16, 60)
    for p in made.stack.parameters_by_name().values():
        p.copy_(p[:1].expand_as(p))
    columns = measured(made, 16, monkeypatch=monkeypatch)
    assert (columns["memorised/share"] == 0).all() and (columns["memorised/chance"] == 0).all()


def test_random_labels_that_are_learned_are_memorised_by_half(monkeypatch):
    """The examples are right in their own replica, and in any other with a probability of 1/2."""
    noise = {"noise": LabelNoise(rate=0.5)}
    made = module(Parity(40, 1), 32, 1000, seeds=8, interventions=noise)
    columns = measured(made, 32, step=1000, monkeypatch=monkeypatch)
    share = columns["memorised/share"]
    assert abs(share.mean().item() - 0.5) < 4 * math.sqrt(0.25 / (8 * 32))
    assert columns["memorised/chance"].mean() < share.mean() - 0.15


@pytest.mark.parametrize(("right_inside", "right_outside"), [(1.0, 0.25), (0.9, 0.6), (0.5, 0.5)])
def test_the_estimate_is_that_of_the_probabilities(monkeypatch, right_inside, right_outside):
    """Answers drawn with known probabilities: the share is p_in (1 - p_out), Feldman's memorisation p_in - p_out."""
    seeds, batch = 8, 4000
    made = module(Parity(9, 2), 8, 1, seeds=seeds)
    draws = np.random.default_rng(0)
    eye = torch.eye(seeds, dtype=torch.bool)[:, None].expand(-1, batch, -1)
    index = torch.arange(batch).expand(seeds, -1)
    probes = Probes(index, index, index, torch.ones_like(index, dtype=torch.bool), eye)

    def answers(stack, asked, shift):
        chance = right_inside if shift == 0 else right_outside
        return torch.tensor(draws.random((seeds, batch)) < chance).float()

    monkeypatch.setattr(this, "_right", answers)
    shares = Shares.of(made.stack, probes)
    assert shares.memorised.mean().item() == pytest.approx(right_inside * (1 - right_outside), abs=0.01)
    assert shares.own.mean().item() == pytest.approx(right_inside, abs=0.01)


def test_what_cannot_be_known_is_not_a_number(monkeypatch):
    alone = measured(module(Parity(9, 2), 8, 5, seeds=1), 8, monkeypatch=monkeypatch)
    assert alone["memorised/share"].isnan().all() and not alone["overfit/accuracy"].isnan().any()
    fresh = measured(module(ModularAddition(9), "online", 5), 8, monkeypatch=monkeypatch)
    assert fresh["memorised/share"].isnan().all() and not fresh["overfit/accuracy"].isnan().any()
    gaussian = measured(module(ScratchpadAddition(3), "online", 5), 8, monkeypatch=monkeypatch)
    assert not gaussian["memorised/share"].isnan().any()
    begun = measured(module(Parity(9, 2), 8, 5), 8, step=0, monkeypatch=monkeypatch)
    assert all(column.isnan().all() for column in begun.values())


def test_stored_items_that_several_sets_have_in_common(monkeypatch, tmp_path):
    (tmp_path / "text").write_text("abcdefgh" * 400, encoding="utf-8")
    task = Text(paths=[str(tmp_path / "text")], length=7)
    made = module(task, "population", 2)
    columns = measured(made, 8, monkeypatch=monkeypatch)
    # All replicas have all windows, so that nobody can be asked what it would say without one.
    assert columns["memorised/share"].isnan().all()


@pytest.mark.parametrize(
    ("task", "data"),
    [(Facts(4, 2, 3, 3, 2), {}), (Parity(9, 2, support="drawn"), {"interventions": {"noise": LabelNoise()}})],
)
def test_targets_of_each_seeds_own_are_refused(task, data):
    made = module(task, 8, 1, **data)
    with pytest.raises(SettingError, match="Memorisation"):
        Memorisation().names(made)
    with pytest.raises(SettingError, match="examples"):
        Memorisation(examples=0)
