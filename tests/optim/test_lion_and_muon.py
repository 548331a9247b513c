"""Lion against a loop written from its definition, and Muon against torch.optim."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svl.errors import SettingError
from svl.optim import Lion, Muon
from svl.optim.muon import orthogonalised

REPLICAS, STEPS = 3, 5
RATES, DECAYS, SHARES = st.floats(1e-4, 0.5), st.sampled_from([0.0, 1e-2, 0.5]), st.floats(0.0, 0.99)
LION = st.fixed_dictionaries({"lr": RATES, "beta1": SHARES, "beta2": SHARES, "weight_decay": DECAYS})
MUON = st.fixed_dictionaries({"lr": RATES, "momentum": SHARES, "weight_decay": DECAYS, "nesterov": st.booleans()})
ADAMW = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8}


def trained(rule, start, gradients, numbers):
    """Parameters ``[replica, ...]`` after all steps, by the rule with one set of numbers for each replica."""
    hyper = {key: torch.tensor([float(n[key]) for n in numbers], dtype=torch.float64) for key in numbers[0]}
    assert set(hyper) == rule.per_replica
    parameter, state = start, rule.state(start)
    for step, gradient in enumerate(gradients):
        parameter, state = rule.update(parameter, gradient, state, hyper, torch.tensor(step))
    return parameter


def drawn(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(REPLICAS, *shape, generator=generator, dtype=torch.float64)
    gradients = torch.randn(STEPS, REPLICAS, *shape, generator=generator, dtype=torch.float64)
    return start, gradients * 10.0 ** torch.randint(-4, 3, (STEPS, REPLICAS, *[1] * len(shape)), generator=generator)


@given(st.lists(LION, min_size=REPLICAS, max_size=REPLICAS), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_lion_is_its_definition(numbers, seed):
    start, gradients = drawn(seed, 4, 3)
    moved = trained(Lion(), start, gradients, numbers)
    for replica, n in enumerate(numbers):
        p, m = start[replica].numpy().copy(), np.zeros((4, 3))
        for g in gradients[:, replica].numpy():
            direction = np.sign(n["beta1"] * m + (1 - n["beta1"]) * g)
            p = p - n["lr"] * (direction + n["weight_decay"] * p)
            m = n["beta2"] * m + (1 - n["beta2"]) * g
        np.testing.assert_allclose(moved[replica].numpy(), p, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(4, 3), (3, 5), (1, 6), (6, 1)])
def test_muon_is_that_of_torch_in_double_precision(shape, scale, monkeypatch):
    # torch iterates in bfloat16, of whose rounding nothing can be said.
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())

    @given(st.lists(MUON, min_size=REPLICAS, max_size=REPLICAS), st.integers(0, 2**32 - 1))
    @settings(max_examples=15, deadline=None)
    def check(numbers, seed):
        start, gradients = drawn(seed, *shape)
        moved = trained(Muon(scale=scale), start, gradients, [n | ADAMW for n in numbers])
        for replica, n in enumerate(numbers):
            plain = torch.nn.Parameter(start[replica].clone())
            optimizer = torch.optim.Muon([plain], adjust_lr_fn=scale, **n)
            for gradient in gradients[:, replica]:
                plain.grad = gradient.clone()
                optimizer.step()
            torch.testing.assert_close(moved[replica], plain.detach(), rtol=1e-7, atol=1e-9)

    check()


def test_muon_is_near_that_of_torch_in_its_own_precision():
    start, gradients = drawn(0, 8, 5)
    n = {"lr": 0.1, "momentum": 0.95, "weight_decay": 0.1, "nesterov": True}
    moved = trained(Muon(), start.float(), gradients.float(), [n | ADAMW] * REPLICAS)
    plain = torch.nn.Parameter(start[0].float())
    optimizer = torch.optim.Muon([plain], adjust_lr_fn="match_rms_adamw", **n)
    for gradient in gradients[:, 0]:
        plain.grad = gradient.float()
        optimizer.step()
    far = (moved[0] - start[0]).norm()
    assert (moved[0] - plain.detach()).norm() < 0.02 * far


@pytest.mark.parametrize("shape", [(5,), (), (4, 3)])
def test_muon_trains_vectors_and_the_named_matrices_as_adamw(shape):
    rule, n = Muon(adamw=["*head*"]), {"lr": 0.02, "weight_decay": 0.1}
    start, gradients = drawn(1, *shape)
    numbers = [n | ADAMW | {"momentum": 0.9, "nesterov": True}] * REPLICAS
    hyper = {key: torch.tensor([float(part[key]) for part in numbers], dtype=torch.float64) for key in numbers[0]}
    parameter, state = start, rule.state_of("head.weight", start)
    for step, gradient in enumerate(gradients):
        parameter, state = rule.update(parameter, gradient, state, hyper, torch.tensor(step))
    plain = torch.nn.Parameter(start[0].clone())
    optimizer = torch.optim.AdamW([plain], betas=(0.9, 0.95), **n)
    for gradient in gradients[:, 0]:
        plain.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(parameter[0], plain.detach(), rtol=1e-10, atol=1e-12)
    if len(shape) < 2:
        assert set(rule.state_of("body.bias", start)) == {"exp_avg", "exp_avg_sq"}
    else:
        assert set(rule.state_of("body.weight", start)) == {"momentum_buffer"}


def test_muon_takes_a_kernel_of_a_convolution_as_a_matrix_of_its_outputs():
    start, gradients = drawn(2, 4, 3, 2, 2)
    numbers = [{"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True} | ADAMW] * REPLICAS
    kernel = trained(Muon(), start, gradients, numbers)
    matrix = trained(Muon(), start.flatten(2), gradients.flatten(3), numbers)
    torch.testing.assert_close(kernel.flatten(2), matrix, rtol=1e-12, atol=1e-12)


def test_newton_schulz_moves_singular_values_close_to_1_and_keeps_their_vectors():
    matrix = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    values = u.mT @ orthogonalised(matrix, 5) @ vh.mT
    assert ((values.diagonal(dim1=1, dim2=2) > 0.65) & (values.diagonal(dim1=1, dim2=2) < 1.25)).all()
    assert (values - torch.diag_embed(values.diagonal(dim1=1, dim2=2))).abs().max() < 1e-10
    assert orthogonalised(torch.zeros(1, 3, 2), 5).eq(0).all()


def test_a_pattern_that_matches_nothing_lists_the_names():
    with pytest.raises(SettingError, match=r"^adamw: got 'head\.\*'; allowed: a pattern of a\.weight, b\.weight$"):
        Muon(adamw=["a.*", "head.*"]).check_names(["a.weight", "b.weight"])
