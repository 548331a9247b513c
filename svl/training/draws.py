"""Random numbers that a network draws while it is called: from each replica's key, not from torch's generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svl import random
from svl.compat.torch import DispatchMode, schema


class RandomnessError(RuntimeError):
    """A random operation that cannot be drawn for each replica by itself."""


class Draws(DispatchMode):
    """Within the block, torch's random operations on all replicas draw from the replicas' keys.

    A number is a function of the replica's key, the step, the micro-batch, how many random operations the call of the
    network had before, and the place in the tensor. Therefore it does not depend on the other replicas, on blocks, or
    on compilation, and a resumed fit draws the same numbers.

    It acts below ``torch.func.vmap`` with ``randomness="different"``, where tensors have the replica axis first. This
    includes dropout inside attention and recurrent layers.

    Args:
        key: of each replica; folded for the purpose of the call.
        step: number of the step, or what else is different for each call.
        micro: number of the micro-batch.

    Attributes:
        calls: random operations so far.
    """

    def __init__(self, key: Int[Tensor, "replica 2"], step: Int[Tensor, ""], micro: Int[Tensor, ""] | int = 0) -> None:
        super().__init__()
        self.key, self.micro, self.calls = random.fold(key, step), micro, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or _is_without_dropout(func, args, kwargs):
            return func(*args, **kwargs)
        draw = self._OPERATIONS.get(func)
        if draw is None:
            raise RandomnessError(f"svl cannot draw {func.name()} for each replica by itself")
        return draw(self, *args, **kwargs)

    def uniforms(self, shape: Any) -> Float[Tensor, "replica ..."]:
        """Numbers uniform on [0, 1)."""
        return self._numbers(random.uniforms, shape)

    def normals(self, shape: Any) -> Float[Tensor, "replica ..."]:
        """Standard Gaussians."""
        return self._numbers(random.normals, shape)

    def _numbers(self, function: Callable[..., Tensor], shape: Any) -> Tensor:
        if not shape or shape[0] != len(self.key):
            raise RandomnessError(f"svl cannot draw numbers of shape {tuple(shape)} for each replica by itself")
        # The counter of a call: the micro-batch in the low word, the number of the operation in the high one.
        counter = torch.as_tensor(self.micro, device=self.key.device) + (self.calls << 32)
        self.calls += 1
        return function(self.key, counter, math.prod(shape[1:])).reshape(shape)

    def _bernoulli(self, x: Tensor, p: Any = None, **_: Any) -> Tensor:
        return (self.uniforms(x.shape) < (x if p is None else p)).to(x.dtype)

    def _bernoulli_(self, x: Tensor, p: Any = 0.5, **_: Any) -> Tensor:
        return x.copy_(self.uniforms(x.shape) < p)

    def _dropout(self, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
        if train is False:
            return x.clone(), torch.ones_like(x, dtype=torch.bool)
        mask = self.uniforms(x.shape) < 1 - p
        return x * mask * (1 / (1 - p) if p < 1 else 0.0), mask

    def _rand(self, size: Any, **how: Any) -> Tensor:
        return self.uniforms(size).to(_dtype(how))

    def _rand_like(self, x: Tensor, **how: Any) -> Tensor:
        return self.uniforms(x.shape).to(_dtype(how, x))

    def _randn(self, size: Any, **how: Any) -> Tensor:
        return self.normals(size).to(_dtype(how))

    def _randn_like(self, x: Tensor, **how: Any) -> Tensor:
        return self.normals(x.shape).to(_dtype(how, x))

    def _uniform_(self, x: Tensor, low: float = 0.0, high: float = 1.0, **_: Any) -> Tensor:
        return x.copy_(low + (high - low) * self.uniforms(x.shape))

    def _normal_(self, x: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
        return x.copy_(mean + std * self.normals(x.shape))

    def _exponential_(self, x: Tensor, rate: float = 1.0, **_: Any) -> Tensor:
        return x.copy_(-torch.log1p(-self.uniforms(x.shape)) / rate)

    _OPERATIONS: ClassVar[dict[Any, Callable[..., Any]]] = {
        torch.ops.aten.bernoulli.default: _bernoulli,
        torch.ops.aten.bernoulli.p: _bernoulli,
        torch.ops.aten.bernoulli_.float: _bernoulli_,
        torch.ops.aten.bernoulli_.Tensor: _bernoulli_,
        torch.ops.aten.native_dropout.default: _dropout,
        torch.ops.aten.rand.default: _rand,
        torch.ops.aten.rand_like.default: _rand_like,
        torch.ops.aten.randn.default: _randn,
        torch.ops.aten.randn_like.default: _randn_like,
        torch.ops.aten.uniform_.default: _uniform_,
        torch.ops.aten.normal_.default: _normal_,
        torch.ops.aten.exponential_.default: _exponential_,
    }


def _dtype(how: dict[str, Any], like: Tensor | None = None) -> torch.dtype:
    return how.get("dtype") or (torch.get_default_dtype() if like is None else like.dtype)


def _is_without_dropout(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a fused attention, which counts as random, has no dropout."""
    names = [argument.name for argument in schema(func).arguments]
    values = dict(zip(names, args, strict=False)) | kwargs
    return "dropout_p" in names and not values.get("dropout_p")
