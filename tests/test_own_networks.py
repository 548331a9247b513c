"""Networks of one's own in a fit from the command line: what they hold is right for each replica, or refused."""

import pandas as pd
import pytest
import torch

MODULE = '''
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def xy(n=120, dim=8):
    x = np.random.default_rng(0).normal(size=(n, dim)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def tokens(n=80, length=16):
    s = np.cumsum(np.random.default_rng(0).integers(0, 3, (n, length + 1)), 1) % 11
    return s[:, :-1], s[:, -1]


class TinyGPT(nn.Module):
    """nanoGPT's attention: the causal mask is a buffer."""

    def __init__(self, input_shape: tuple[int, ...], output_dim: int, vocabulary: int = 256, width: int = 16):
        super().__init__()
        length = input_shape[0]
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.qkv, self.head = nn.Linear(width, 3 * width), nn.Linear(width, output_dim)
        self.register_buffer("mask", torch.tril(torch.ones(length, length)) == 0)
        self.register_buffer("number", torch.arange(length))

    def forward(self, x):
        x = self.tokens(x) + self.positions(self.number)
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(self.mask, -1e9)
        return self.head((x + F.softmax(scores, -1) @ v)[:, -1])


class Bag(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int, vocabulary: int):
        super().__init__()
        self.tokens, self.readout = nn.Embedding(vocabulary, 16), nn.Linear(16, output_dim)

    def forward(self, x):
        return self.readout(self.tokens(x).mean(1))


class Frozen(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, output_dim)
        self.a.requires_grad_(False)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


class Tied(nn.Module):
    """The readout is the embedding; the positions are a parameter of the module itself, as in ViT and minGPT."""

    def __init__(self, input_shape: tuple[int, ...], output_dim: int, vocabulary: int = 11):
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(input_shape[0], 16))
        self.tokens, self.mix = nn.Embedding(vocabulary, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, output_dim, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x):
        h = self.tokens(x) + self.positions
        return self.head((h + torch.tanh(self.mix(h))).mean(1))


class BatchStatistics(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__(nn.Linear(8, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.Linear(16, output_dim))


class Counts(nn.Linear):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__(8, output_dim)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class NumPyDropout(nn.Linear):
    def __init__(self, input_shape: tuple[int, ...], output_dim: int):
        super().__init__(8, output_dim)

    def forward(self, x):
        return super().forward(x * float(np.random.rand() < 0.5))


class OutOfPlace(nn.Module):
    def __init__(self, input_shape, output_dim, width: int = 16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, output_dim))

    def forward(self, x):
        return self.net(x * 0.5)


class InPlace(OutOfPlace):
    def forward(self, x):
        x *= 0.5
        return self.net(x)
'''
CONFIG = """
experiment: case
replicas: {seeds: 2, vary: {data.size: [32, population]}}
data:
  class_path: Subset
  init_args: {task: {class_path: Dataset, init_args: {dataset: own_networks.xy}}, batch_size: 16}
model:
  network: {class_path: svl.models.MLP, init_args: {width: 16, depth: 2}}
  loss: cross_entropy
  optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
  compile: never
  threads: 1
trainer: {max_steps: 6, log_every_n_steps: 3, logger: false, accelerator: cpu}
"""
TOKENS = ["--data.task.dataset", "own_networks.tokens", "--data.task.vocabulary", "11"]


@pytest.fixture
def fit(svl, tmp_path, monkeypatch):
    """Runs a fit of a network, and returns its outcome, history and checkpoint."""
    (tmp_path / "own_networks.py").write_text(MODULE)
    (tmp_path / "base.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)

    def run(network, run_id, *words):
        name = f"own_networks.{network}"
        outcome = svl(tmp_path, "fit", "--config", "base.yaml", "--model.network", name, "--run_id", run_id, *words)
        folder = tmp_path / "runs" / "case" / run_id
        if outcome.status:
            return outcome, None, None
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return outcome, pd.read_parquet(folder / "history.parquet"), state

    return run


def test_a_frozen_parameter_stays_as_it_is(fit):
    *_, before = fit(
        "Frozen", "before", "--trainer.max_steps", "1", "--model.optimizer.lr", "0", "--trainer.log_every_n_steps", "1"
    )
    *_, after = fit("Frozen", "after")
    for name, is_frozen in (("a.weight", True), ("a.bias", True), ("b.weight", False)):
        assert torch.equal(before[f"stack.network.{name}"], after[f"stack.network.{name}"]) == is_frozen


def test_a_network_of_tokens_is_given_its_vocabulary(fit):
    outcome, _, state = fit("Bag", "tokens", *TOKENS)
    assert outcome.status == 0, outcome.err
    assert state["stack.network.tokens.weight"].shape == (4, 11, 16)


def test_tied_weights_are_tied_in_the_checkpoint_and_have_a_norm_ratio(fit):
    callbacks = "[{class_path: NormRatio, init_args: {last: 'mix.*'}}]"
    outcome, history, state = fit("Tied", "tied", *TOKENS, "--trainer.callbacks", callbacks)
    assert outcome.status == 0, outcome.err
    tokens, mix = (state[f"stack.network.{name}.weight"] for name in ("tokens", "mix"))
    assert torch.equal(state["stack.network.head.weight"], tokens) and tokens.shape == (4, 11, 16)
    last = history[history.step == 6].norm_ratio.to_numpy()
    assert last == pytest.approx((mix.flatten(1).norm(dim=1) / tokens.flatten(1).norm(dim=1)).numpy(), rel=1e-5)


def test_tied_parameters_are_in_a_group_by_each_of_their_names(fit):
    groups = ["--model.groups", "{readout: {params: head.weight, frozen: true}}"]
    *_, state = fit("Tied", "frozen", *TOKENS, *groups)
    *_, one = fit("Tied", "one", *TOKENS, *groups, "--trainer.max_steps", "1", "--trainer.log_every_n_steps", "1")
    assert torch.equal(state["stack.network.tokens.weight"], one["stack.network.tokens.weight"])


def test_batch_statistics_and_counters_are_trained_and_saved(fit):
    outcome, history, _ = fit("BatchStatistics", "statistics")
    assert outcome.status == 0 and history["val/loss"].notna().all()
    outcome, _, state = fit("Counts", "counts")
    assert outcome.status == 0 and state["stack.network.calls"].flatten().tolist() == [6.0] * 4


def test_what_svl_cannot_see_is_refused_in_one_line(fit):
    outcome, *_ = fit("NumPyDropout", "numpy")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith(
        "svl: error: model.network: got 'NumPyDropout'; allowed: a network whose"
    )


def test_measurements_do_not_depend_on_what_earlier_ones_did_to_the_examples(fit):
    _, in_place, _ = fit("InPlace", "in")
    _, out_of_place, _ = fit("OutOfPlace", "out")
    for name in ("val/loss", "train/loss"):
        assert in_place[name].to_numpy() == pytest.approx(out_of_place[name].to_numpy(), rel=1e-6, nan_ok=True)


@pytest.mark.slow
def test_buffers_in_a_compiled_fit(fit):
    _, compiled, _ = fit("TinyGPT", "compiled", *TOKENS, "--model.compile", "always")
    _, eager, _ = fit("TinyGPT", "eager", *TOKENS)
    assert compiled["val/loss"].to_numpy() == pytest.approx(eager["val/loss"].to_numpy(), rel=1e-5)
