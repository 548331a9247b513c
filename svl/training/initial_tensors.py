"""The tensors with which the networks of all seeds begin, stacked by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from svl import random
from svl.compat.torch import DispatchMode, schema
from svl.optim.initialisation import generator_seed
from svl.training.contents import differing_buffers, tensors

_COMPARED = 8  # networks that are built, to compare them with what is drawn without building


class InitialTensors:
    """Parameters and buffers of the networks of several seeds before training.

    Building a network takes most of a millisecond, and drawing its numbers a few microseconds. So what the constructor
    draws is recorded for the first seed, and drawn again, in the same order and with the same generator, for the
    others. Networks whose constructors do anything else, such as computing with what they have drawn, are all built.
    Some networks are built in any case, and compared with what is drawn.

    Args:
        build: makes the network of a seed, in a context if one is given as ``watch``.
        seeds: the seeds.
        name: of the network, for messages.

    Attributes:
        differing: names of the buffers that differ by seed.
        is_drawn: whether most networks were drawn instead of built.

    Raises:
        SettingError: for networks that differ in something that cannot be stacked.
    """

    def __init__(self, build: Callable[..., nn.Module], seeds: Sequence[int], name: str) -> None:
        recorder = _Recorder()
        first = build(seeds[0], watch=recorder)
        few = [first, *map(build, seeds[1:_COMPARED])]
        self.differing: tuple[str, ...] = differing_buffers(few, name)
        fills = recorder.fills(first)
        self.is_drawn = fills is not None and len(seeds) > len(few) and self._draw(fills, few, seeds, build)
        if self.is_drawn:
            return
        every: dict[str, list[Tensor]] = {key: [tensors(network)[key] for network in few] for key in tensors(first)}
        for seed in seeds[len(few) :]:
            network = build(seed)
            self.differing += tuple(key for key in differing_buffers([first, network], name))
            for key, value in tensors(network).items():
                every[key].append(value)
        self.differing = tuple(dict.fromkeys(self.differing))
        self._lists = every

    def stacked(self, name: str) -> Shaped[Tensor, "seed ..."]:
        """The parameter or buffer of this name, of every seed."""
        return self._drawn[name] if self.is_drawn else torch.stack(self._lists[name])

    def _draw(
        self, fills: list[_Fill], few: list[nn.Module], seeds: Sequence[int], build: Callable[..., nn.Module]
    ) -> bool:
        """Draw the tensors of every seed; whether those of the networks that are built are the same."""
        self._drawn = {
            name: value.expand(len(seeds), *value.shape).contiguous() for name, value in tensors(few[0]).items()
        }
        rows = {name: value.view(len(seeds), -1) for name, value in self._drawn.items()}
        generator = torch.Generator()
        starts = generator_seed(random.key(torch.tensor(seeds))).tolist()

        def equals(place: int, network: nn.Module) -> bool:
            return all(torch.equal(self._drawn[name][place], value) for name, value in tensors(network).items())

        for place, start in enumerate(starts):
            generator.manual_seed(start)
            for fill in fills:
                fill.again(rows[fill.name][place], generator)
            if place < len(few) and not equals(place, few[place]):
                return False
        return equals(len(seeds) - 1, build(seeds[-1]))


class _Fill(NamedTuple):
    """An operation in place on a part of one tensor, such as a draw of all its numbers.

    Attributes:
        operation: of torch, which changes its first argument.
        name: of the parameter or buffer.
        place: sizes, strides and offset of the part.
        arguments: all others.
        options: those given by name.
        is_random: whether it draws.
    """

    operation: Any
    name: str
    place: tuple[tuple[int, ...], tuple[int, ...], int]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    is_random: bool

    def again(self, row: Tensor, generator: torch.Generator) -> None:
        """Do the same to the numbers of another network's tensor."""
        options = self.options | {"generator": generator} if self.is_random else self.options
        sizes, strides, offset = self.place
        self.operation(row.as_strided(sizes, strides, row.storage_offset() + offset), *self.arguments, **options)


class _Recorder(DispatchMode):
    """Records what a constructor writes to tensors."""

    def __init__(self) -> None:
        super().__init__()
        self._is_simple = True
        self._written: list[tuple[Any, Tensor, tuple[Any, ...], dict[str, Any], bool]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        others = [*args[1:], *kwargs.values()]
        is_random = torch.Tag.nondeterministic_seeded in function.tags
        is_written = bool(schema(function).is_mutable)
        if is_written and not any(isinstance(other, Tensor | torch.Generator) for other in others):
            # Holding the tensor keeps its memory from being used again.
            self._written.append((function, args[0], tuple(args[1:]), kwargs, is_random))
        elif is_written or is_random or torch.Tag.data_dependent_output in function.tags:
            self._is_simple = False
        return function(*args, **kwargs)

    def fills(self, network: nn.Module) -> list[_Fill] | None:
        """All that was written, by the name of the tensor; ``None`` if the network's tensors are more than that."""
        if not self._is_simple or not self._written:
            return None
        names = {
            value.untyped_storage().data_ptr(): name
            for name, value in tensors(network).items()
            if value.is_contiguous() and value.storage_offset() == 0
        }
        fills = []
        for operation, part, arguments, options, is_random in self._written:
            name = names.get(part.untyped_storage().data_ptr())
            if name is None:
                return None
            place = tuple(part.shape), part.stride(), int(part.storage_offset())
            fills.append(_Fill(operation, name, place, arguments, options, is_random))
        return fills
