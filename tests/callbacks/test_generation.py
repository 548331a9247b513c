"""Greedy generation of every replica against a plain loop over replicas, examples and tokens."""

import pytest
import torch

from svl.callbacks import Generation
from svl.callbacks.generation import generate
from svl.callbacks.measurement import test_examples as examples_of_tests
from svl.data import Online, Subset
from svl.errors import SettingError
from svl.losses import CrossEntropy
from svl.models import Transformer
from svl.optim import AdamW
from svl.replicas import Replicas
from svl.tasks import Facts, ModularAddition, Parity, ScratchpadAddition, Text
from svl.training.replica_module import ReplicaModule

SHAPE = {"width": 16, "depth": 1, "heads": 2}


def module(task, steps=0, causal=True, readout="all", vary=None):
    def network(input_shape, output_dim, **tokens):
        return Transformer(input_shape, output_dim, causal=causal, readout=readout, **SHAPE, **tokens)

    replicas = Replicas(seeds=2, first_seed=4, vary=vary)
    made = ReplicaModule(network, CrossEntropy(), AdamW(lr=0.01), replicas=replicas, compile="never")
    data = Subset(task, 64, batch_size=32, test_size=16) if vary else Online(task, batch_size=32, test_size=16)
    made.prepare(data, max(steps, 1), 10)
    made.stack.train_steps(0, max(steps, 1))
    return made


def by_loop(network, prompt, count):
    """``count`` tokens that a plain network writes after a prompt, one after the other."""
    length, tokens = len(network.positions), list(prompt)
    for _ in range(count):
        # Behind the last token stands anything: the network is causal.
        padded = torch.tensor([tokens + [0] * (length - len(tokens))])
        tokens.append(int(network(padded)[0, len(tokens) - 1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        (ScratchpadAddition(1, 2, 3, base=3), 1),
        (ScratchpadAddition(1, 1, 1, base=2), 250),
        (Facts(6, 2, 3, 3, 2, objective="answer"), 30),
    ],
)
def test_what_is_written_is_that_of_a_loop(task, steps):
    made = module(task, steps, vary={"model.optimizer.lr": [0.01, 0.003]})
    measured = Generation(examples=12).measure(made)
    network = Transformer(task.input_shape, task.output_dim, task.vocabulary, causal=True, readout="all", **SHAPE)
    for replica in range(4):
        network.load_state_dict({name: p[replica] for name, p in made.stack.parameters_by_name().items()})
        inputs, targets = task.test_examples(made.stack.key[replica : replica + 1], torch.arange(12)[None])
        exact, solved = [], []
        for read, wanted in zip(inputs[0].tolist(), targets[0].tolist(), strict=True):
            first = next(place for place, token in enumerate(wanted) if token >= 0)
            own = by_loop(network, read[: first + 1], len(read) - first)
            answer = [token for token in wanted if token >= 0]
            exact.append(own[: len(answer)] == answer)
            colon = getattr(task, "colon", None)
            if colon is None:
                solved.append(exact[-1])
            else:
                own_answer = own[own.index(colon) + 1 :] if colon in own else []
                wanted_answer = answer[answer.index(colon) + 1 :]
                solved.append(own_answer[: len(wanted_answer)] == wanted_answer)
        assert measured["generated/exact"][replica].item() == pytest.approx(sum(exact) / 12)
        assert measured["generated/accuracy"][replica].item() == pytest.approx(sum(solved) / 12)
    if steps >= 250:  # the loop is also compared where there is something to find
        assert measured["generated/accuracy"].max() > 0.5


def test_all_tokens_are_right_exactly_if_they_are_right_after_right_ones():
    task = ScratchpadAddition(1, 1, 1, base=2)
    made = module(task, 120)
    exact = made.stack.evaluate()["val/exact"]
    torch.testing.assert_close(Generation(examples=16).measure(made)["generated/exact"], exact.float())


def test_what_follows_a_prompt_is_not_read():
    task = ScratchpadAddition(1, 2, 2, base=4)
    made = module(task, 20)
    inputs, targets = examples_of_tests(made.stack, 8)
    first = (targets != -100).int().argmax(-1, keepdim=True)
    spoiled = torch.where(torch.arange(inputs.shape[-1]) > first, (inputs + 1) % task.vocabulary, inputs)
    torch.testing.assert_close(generate(made.stack, spoiled, targets), generate(made.stack, inputs, targets))


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        (ScratchpadAddition(1, 1, 1), {"causal": False}),
        (ModularAddition(5), {"readout": "last"}),
        (Facts(4, 2, 3, 3, 2), {}),
        (Text(length=8, max_bytes=20_000), {}),
    ],
)
def test_tasks_without_prompts_and_networks_that_look_ahead_are_refused(task, settings):
    made = module(task, **settings)
    with pytest.raises(SettingError, match="Generation") as caught:
        Generation().names(made)
    assert caught.value.key == "trainer.callbacks"
    with pytest.raises(SettingError, match="examples"):
        Generation(examples=0)
    assert Parity(4, 2).per_position is False
