"""Fused attention with the replicas folded into the batch, against plain attention of each replica."""

import pytest
import torch
from torch.func import grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from svl.training.attention import FoldedAttention


def heads(replicas=3, batch=2, count=4, positions=7, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(replicas, batch, count, positions, size, generator=generator) for _ in range(3)]


def by_hand(q, k, v, is_causal, scale=None):
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(torch.ones(q.shape[-2], k.shape[-2]).tril() == 0, -torch.inf)
    return scores.softmax(-1) @ v


class Calls(TorchDispatchMode):
    """Counts the calls of PyTorch's fused attention."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "flash_attention" in str(function):
            self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_outputs_and_gradients_equal_attention_by_hand(is_causal, scale):
    q, k, v = heads()

    def loss(attention):
        return lambda q, k, v: (attention(q, k, v, is_causal=is_causal, scale=scale).square()).sum()

    with FoldedAttention():
        found = vmap(grad(loss(F.scaled_dot_product_attention), argnums=(0, 1, 2)))(q, k, v)
        out = vmap(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=is_causal, scale=scale))(q, k, v)
    torch.testing.assert_close(out, by_hand(q, k, v, is_causal, scale), rtol=1e-4, atol=1e-5)
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    loss(by_hand)(*leaves).backward()
    for gradient, leaf in zip(found, leaves, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-5)


def test_a_head_that_all_replicas_share():
    q, k, v = heads()
    with FoldedAttention():
        found = vmap(F.scaled_dot_product_attention, in_dims=(0, None, 1))(q, k[0], v.movedim(0, 1))
    torch.testing.assert_close(found, by_hand(q, k[:1].expand_as(k), v, False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("replicas", [2, 6])
def test_there_is_one_call_forward_and_one_backward_for_all_replicas(replicas):
    q, k, v = heads(replicas)

    def loss(q, k, v):
        return F.scaled_dot_product_attention(q, k, v).square().sum()

    with FoldedAttention(), Calls() as calls:
        vmap(grad(loss))(q, k, v)
    assert len(calls.names) == 2 and sum("backward" in name for name in calls.names) == 1


@pytest.mark.parametrize(
    "settings", [{"attn_mask": torch.eye(7)}, {"enable_gqa": True}], ids=lambda settings: next(iter(settings))
)
def test_what_it_cannot_compute_it_leaves_to_pytorch(settings):
    q, k, v = heads()
    with sdpa_kernel([SDPBackend.MATH]):
        expected = F.scaled_dot_product_attention(q[0], k[0], v[0], **settings)
        with FoldedAttention(), Calls() as calls:
            assert torch.equal(F.scaled_dot_product_attention(q[0], k[0], v[0], **settings), expected)
    assert calls.names == []
    with sdpa_kernel([SDPBackend.MATH]), FoldedAttention():
        odd = vmap(F.scaled_dot_product_attention)(*heads(size=5))
    torch.testing.assert_close(odd, by_hand(*heads(size=5), False), rtol=1e-4, atol=1e-5)
