"""Every statistic against a plain loop over examples, heads and positions, with the softmax written out."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from svl.callbacks import QueryKey
from svl.data import Online
from svl.errors import SettingError
from svl.losses import CrossEntropy, Logistic
from svl.models import MLP, Transformer
from svl.optim import AdamW
from svl.replicas import Replicas
from svl.tasks import ModularAddition, Parity
from svl.tasks.task import TEST_START
from svl.training.replica_module import ReplicaModule

EXAMPLES, HEADS, DEPTH = 5, 2, 2


def module(replicas, task=None, **settings):
    def network(input_shape, output_dim, **tokens):
        return Transformer(input_shape, output_dim, width=8, depth=DEPTH, heads=HEADS, **settings, **tokens)

    task = task or Parity(5, 2)
    made = ReplicaModule(
        network,
        CrossEntropy() if task.target == "class" else Logistic(),
        AdamW(lr=0.1),
        replicas=replicas,
        compile="never",
    )
    made.prepare(Online(task, batch_size=8, test_size=16), 100, 10)
    made.stack.train_steps(0, 2)
    return made


def plain_statistics(made, replica, task, causal, network):
    """Of one replica, by column name, in NumPy."""
    parameters = {name: p[replica] for name, p in made.stack.parameters_by_name().items()}
    network.load_state_dict(parameters)
    index = TEST_START + torch.arange(EXAMPLES)[None]
    x = task.examples(made.stack.key[replica : replica + 1], index)[0][0]
    x = network.embed(x if network.is_discrete else x[..., None]) + network.positions
    found = {}
    for layer, block in enumerate(network.blocks):
        attention, stream = block.attention, block.attention_norm(x)
        for head in range(HEADS):
            rows = slice(4 * head, 4 * head + 4)
            w_q, w_k = (part.weight[rows].detach().numpy() for part in (attention.q, attention.k))
            logits, entropies = [], []
            for example in stream:
                q = attention.q_norm(attention.q(example)[:, rows]).detach().numpy()
                k = attention.k_norm(attention.k(example)[:, rows]).detach().numpy()
                for i in range(len(q)):
                    row = [q[i] @ k[j] / math.sqrt(4) for j in range(i + 1 if causal else len(k))]
                    logits += row
                    entropies.append(stats.entropy(np.exp(row) / np.exp(row).sum()))
            found |= {
                f"qk/{layer}.{head}/{name}": value
                for name, value in {
                    "logit_max": max(logits),
                    "logit_mean": np.mean(logits),
                    "logit_std": np.std(logits),
                    "entropy": np.mean(entropies),
                    "q_norm": np.linalg.norm(w_q),
                    "k_norm": np.linalg.norm(w_k),
                    "qk_norm": np.linalg.norm(w_q.T @ w_k, 2),
                }.items()
            }
        x = block(x)
    return found


@pytest.mark.parametrize(
    ("task", "causal", "qk_norm"),
    [(Parity(5, 2), False, "none"), (Parity(5, 2), True, "rms"), (ModularAddition(7), True, "layer")],
)
@torch.no_grad()
def test_statistics_are_those_of_a_plain_loop(task, causal, qk_norm):
    made, callback = module(Replicas(2), task, causal=causal, qk_norm=qk_norm), QueryKey(EXAMPLES)
    measured = callback.measure(made)
    assert list(measured) == list(callback.names(made))
    assert len(measured) == DEPTH * HEADS * 7
    for replica in range(2):
        network = made.build(task.input_shape, task.output_dim, **({"vocabulary": v} if (v := task.vocabulary) else {}))
        expected = plain_statistics(made, replica, task, causal, network)
        assert expected.keys() == measured.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(measured[name][replica].item(), value, rtol=2e-4, atol=2e-6, err_msg=name)


def test_a_replica_has_the_statistics_of_its_solo_run():
    together = QueryKey(EXAMPLES).measure(module(Replicas(3)))
    for name, column in QueryKey(EXAMPLES).measure(module(Replicas(1, first_seed=2))).items():
        torch.testing.assert_close(column, together[name][2:], rtol=1e-3, atol=1e-5)


def test_a_replica_that_is_not_finite_leaves_the_others_alone():
    made = module(Replicas(3))
    before = QueryKey(EXAMPLES).measure(made)
    made.stack.parameters_by_name()["blocks.0.attention.q.weight"][1, 0, 0] = math.inf
    after = QueryKey(EXAMPLES).measure(made)
    assert not any(part._forward_pre_hooks for part in made.stack.network.modules())
    for name in before:
        torch.testing.assert_close(after[name][[0, 2]], before[name][[0, 2]])
    assert not any(after[f"qk/0.0/{name}"][1].isfinite() for name in ("logit_mean", "entropy", "q_norm", "qk_norm"))


def test_networks_without_attention_are_refused(svl, tiny, tmp_path):
    refused = svl(tmp_path, *tiny, "--trainer.callbacks", "[QueryKey]")
    assert refused.status == 2 and refused.err.count("\n") == 1
    assert "QueryKey" in refused.err and "attention" in refused.err
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SettingError, match=r"^examples: got"):
        QueryKey(0)
    plain = ReplicaModule(MLP, "logistic", replicas=Replicas(1), compile="never")
    plain.prepare(Online(Parity(5, 2), batch_size=8, test_size=16), 10, 10)
    with pytest.raises(SettingError, match="QueryKey"):
        QueryKey().names(plain)
