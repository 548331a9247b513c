"""``svl fit``, ``svl validate`` and ``svl test``: run one of them, or only resolve its config."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import lightning.pytorch as pl
import torch
from jsonargparse import Namespace, set_parsing_settings

from svl import limits
from svl.cli import arguments
from svl.cli.explain import FLAG, Estimator, Explainer
from svl.cli.objects import Objects
from svl.cli.session import Session
from svl.cli.setting_parser import SettingParser
from svl.compat.jsonargparse import supplied
from svl.data.reuse import ReuseDataModule
from svl.sweeps import agent
from svl.training.compilation import OWN
from svl.training.estimate import Estimate
from svl.training.replica_module import ReplicaModule

_PURPOSE = {
    "fit": "Train the arms of an experiment.",
    "validate": "Evaluate a checkpoint on the test set.",
    "test": "Evaluate a checkpoint on the test set.",
}
_HELP = (
    "Settings of a class: svl {0} --data.help Subset; --data Subset --data.task.help Parity; --model.network.help MLP."
    " svl fit ... --explain prints how the fit would be computed, with its memory and time, and trains nothing."
)
# Switches on jsonargparse's own list of import paths that it refuses, those of functions that run commands or code. The
# empty list adds nothing to it.
set_parsing_settings(import_path_denylist=[])
SessionKind = TypeVar("SessionKind", bound=Session)
# torch warns where CUDA is installed on a machine without a GPU; W&B and its client tell of every request, where a
# module of the user's has switched on such messages.
_LOGGERS = {
    **dict.fromkeys(("lightning.pytorch", "lightning.fabric", "wandb", "httpx"), logging.WARNING),
    "torch.utils.cpp_extension": logging.ERROR,
}


class _Settings(Session):
    """Makes the parser, and parses nothing."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Keep the defaults."""
        self.config = Namespace(subcommand="fit")

    def instantiate_classes(self) -> None:
        """Create no objects."""

    def run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


class _Resolver(Session):
    """Parses the settings and stops there."""

    def instantiate_classes(self) -> None:
        """Create no objects."""

    def run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def run(words: list[str], added: Sequence[pl.Callback] = ()) -> int:
    """Parse and run one subcommand; returns the exit status.

    Args:
        words: the command line after the program's name.
        added: callbacks in addition to those of the settings; they see each measurement.

    Raises:
        SettingError: for a setting that cannot be used; no run directory is left behind.
    """
    if words[0] == "fit" and FLAG in words:
        return _enter(Explainer, [word for word in words if word != FLAG]).exit_status
    return session(words, added).exit_status


def session(words: list[str], added: Sequence[pl.Callback] = ()) -> Session:
    """Parse and run one subcommand; see :func:`run`."""
    return _enter(Session, words, added)


def objects(words: list[str]) -> Objects:
    """The task, the strategy and the module of a command; nothing is run.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    return _enter(Objects, words)


def resolve(words: list[str]) -> str:
    """The whole config of a command, with every default, as YAML; nothing is created or run.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    return _enter(_Resolver, words).resolved_config()


def estimated(words: list[str]) -> Estimate:
    """What the fit of a command would take; its whole experiment is checked, and nothing is trained or written.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    return _enter(Estimator, words).estimate


def setting_parser() -> SettingParser:
    """The parser of the settings of ``svl fit``."""
    return _enter(_Settings, ["fit"]).subcommand_parser()  # type: ignore[return-value]


def _enter(kind: type[SessionKind], words: list[str], added: Sequence[pl.Callback] = ()) -> SessionKind:
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), limits.cores()))
    prepared = arguments.prepare(agent.understood(words))
    # The task gives a network its vocabulary.
    with _process(prepared.words), supplied("vocabulary"):
        return kind(
            prepared.given,
            words,
            added,
            model_class=ReplicaModule,
            datamodule_class=ReuseDataModule,
            save_config_callback=None,
            parser_class=SettingParser,
            parser_kwargs={"allow_abbrev": False, words[0]: _parser_settings(words[0])},
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )


def _parser_settings(subcommand: str) -> dict[str, Any]:
    return {
        "allow_abbrev": False,
        "usage": f"svl {subcommand} --config FILE [--KEY VALUE ...]",
        "description": _PURPOSE[subcommand],
        "epilog": _HELP.format(subcommand),
    }


@contextmanager
def _process(words: list[str]) -> Iterator[None]:
    """Set ``sys.argv``, which LightningCLI reads, and silence other libraries; both are restored afterwards.

    A warning of svl's own is one line that begins as all its messages do, and is printed once.
    """
    argv, levels = sys.argv, {name: logging.getLogger(name).level for name in _LOGGERS}
    python_format = warnings.formatwarning

    printed: set[str] = set()

    def formatted(message: Any, category: Any, filename: str, *place: Any) -> str:
        if filename != OWN:
            return python_format(message, category, filename, *place)
        line = f"svl: {message}\n"
        is_new = line not in printed
        printed.add(line)
        return line if is_new else ""

    sys.argv = [argv[0] if argv else "svl", *words]
    warnings.formatwarning = formatted  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            # Lightning's advice on loaders, loggers and optimizers assumes one optimisation step a batch.
            warnings.filterwarnings("ignore", module=r"lightning\.")
            for name, level in _LOGGERS.items():
                logging.getLogger(name).setLevel(level)
            yield
    finally:
        sys.argv, warnings.formatwarning = argv, python_format
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
