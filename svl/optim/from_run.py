"""Initial weights from another run: for transfer, and for training that goes on after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from jaxtyping import Shaped
from torch import Tensor, nn

from svl.errors import SettingError, nearest, within
from svl.optim.initialisation import Initialisation, initial_network
from svl.replicas import Replicas
from svl.results import weights
from svl.results.files import CONFIG


@dataclass
class FromRun:
    """Weights that another run has trained.

    Without ``seed``, each replica begins with the weights of its own seed in that run, so that seeds stay independent
    of each other.

    Args:
        run: the run directory.
        arm: name of the arm, as in the history's column ``arm``; can be left out where the run has one.
        seed: the seed whose weights all replicas get.
        step: after which the weights are taken: one whose weights the run keeps; its last checkpoint's if left out.

    Raises:
        SettingError: if the run does not have these weights.
    """

    run: str
    arm: str | None = None
    seed: int | None = None
    step: int | None = None

    def load(self, network: nn.Module, seed: int) -> None:
        """Give a network the weights of one replica.

        Args:
            network: of the shape that was trained.
            seed: of the replica that begins with them.

        Raises:
            SettingError: if the network has other parameters, or the run other seeds.
        """
        own = row(self._replicas, self.arm, seed if self.seed is None else self.seed)
        weights.load_into(network, self._tensors, own)

    @cached_property
    def _tensors(self) -> dict[str, Shaped[Tensor, "..."]]:
        return weights.stacked(Path(self.run), self.step)

    @cached_property
    def _replicas(self) -> Replicas:
        return replicas_of(Path(self.run))


InitialWeights = Initialisation | FromRun


def initial(
    build: Callable[[], nn.Module],
    init: InitialWeights,
    seed: int,
    watch: AbstractContextManager[object] | None = None,
) -> nn.Module:
    """The network of one replica before training.

    Args:
        build: builds the network of one replica; its constructor initialises it.
        init: where its weights come from; see :func:`svl.optim.initialisation.initial_network`.
        seed: the replica's seed.
        watch: a context in which the network is built.

    Raises:
        SettingError: for weights that another run does not have, or that do not fit the network.
    """
    if not isinstance(init, FromRun):
        return initial_network(build, seed, init, watch)
    network = initial_network(build, seed)
    with within("model.init"):
        init.load(network, seed)
    return network


def replicas_of(run: Path) -> Replicas:
    """The arms and seeds of a run.

    Raises:
        SettingError: if there is no run directory with a config.
    """
    try:
        return Replicas(**yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))["replicas"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise SettingError("run", str(run), f"a run directory, with a {CONFIG}") from None


def row(replicas: Replicas, arm: str | None, seed: int) -> int:
    """The number of a replica in its stack.

    Args:
        arm: its arm's name; ``None`` for the only one.
        seed: its seed.

    Raises:
        SettingError: if there is no such replica.
    """
    names = replicas.arm_names
    if arm is None and len(names) > 1:
        raise SettingError("arm", None, f"one of {', '.join(map(repr, names))}")
    if arm is not None and arm not in names:
        raise SettingError("arm", arm, f"one of {', '.join(map(repr, names))}{nearest(arm, names)}")
    place = seed - replicas.first_seed
    if not 0 <= place < replicas.seeds:
        last = replicas.first_seed + replicas.seeds - 1
        raise SettingError("seed", seed, f"a seed of the run, {replicas.first_seed} to {last}")
    return (names.index(arm) if arm else 0) * replicas.seeds + place
