"""What a step computes is split into what never changes and the rest, without changing what it computes."""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from svl.training.compilation import hoist


def split(function, inputs, is_constant):
    constants, rest = hoist(make_fx(function, tracing_mode="fake")(*inputs), is_constant)
    fixed = constants(*(x for x, c in zip(inputs, is_constant, strict=True) if c))
    return fixed, lambda *changing: rest(*changing, *fixed)


def test_what_depends_on_constants_alone_is_computed_once():
    def step(x, key):
        return (x + (key * 3).sin().cumsum(0),)

    x, key = torch.randn(4), torch.randn(4)
    fixed, rest = split(step, (x, key), [False, True])
    assert len(fixed) == 1
    torch.testing.assert_close(rest(x)[0], step(x, key)[0])


def test_a_tensor_that_the_step_makes_and_writes_to_is_made_anew_at_every_step():
    def step(x, key):
        total = torch.zeros(4)
        total.add_(x)
        part = torch.ones(4) * key
        part[1:3].copy_(x[1:3])
        return total + part, total

    key = torch.tensor([1.0, 2.0, 3.0, 4.0])
    _, rest = split(step, (torch.zeros(4), key), [False, True])
    for x in torch.randn(3, 4):
        for result, expected in zip(rest(x), step(x, key), strict=True):
            torch.testing.assert_close(result, expected)


def test_what_is_drawn_is_drawn_at_every_step():
    fixed, rest = split(lambda x: (x + torch.rand(8),), (torch.zeros(8),), [False])
    assert not fixed
    assert not torch.equal(rest(torch.zeros(8))[0], rest(torch.zeros(8))[0])
