"""A command of LightningCLI from its words: run, or only resolved."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from jsonargparse import set_parsing_settings

from svl import arguments
from svl.data.reuse import ReuseDataModule
from svl.laboratory import Laboratory, Parser
from svl.training.replica_module import ReplicaModule

_PURPOSE = {
    "fit": "Train the arms of an experiment.",
    "validate": "Measure a checkpoint on the test set.",
    "test": "Measure a checkpoint on the test set.",
}
_HELP = (
    "Settings of a class: svl {0} --data.help Subset; --data Subset --data.task.help Parity; --model.network.help MLP"
)
# A config can name the classes of a fit and nothing that runs commands or reads code.
set_parsing_settings(import_path_denylist=[])
_CHATTY = ("lightning.pytorch", "lightning.fabric")


class _Resolver(Laboratory):
    """Parses, and does nothing."""

    def instantiate_classes(self) -> None:
        """Nothing is made."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing is run."""


def run(words: list[str], added: Sequence[pl.Callback] = ()) -> int:
    """Parse and run one subcommand; returns the exit status.

    Args:
        words: the command line after the program's name.
        added: callbacks beside those of the settings; they see each measurement.

    Raises:
        SettingError: for a setting that cannot be used; no run directory is left behind.
    """
    return _enter(Laboratory, words, added).exit_status


def resolve(words: list[str]) -> str:
    """The whole config of a command, with every default, as YAML; nothing is made or run.

    Raises:
        SettingError: for a setting that cannot be used.
    """
    return _enter(_Resolver, words).resolved_config()


def _enter(kind: type[Laboratory], words: list[str], added: Sequence[pl.Callback] = ()) -> Laboratory:
    prepared = arguments.prepare(words)
    with _process(prepared.words):
        return kind(
            prepared.given,
            words,
            added,
            model_class=ReplicaModule,
            datamodule_class=ReuseDataModule,
            save_config_callback=None,
            parser_class=Parser,
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
    """What LightningCLI reads and says as a process, and as it was afterwards."""
    argv, levels = sys.argv, {name: logging.getLogger(name).level for name in _CHATTY}
    sys.argv = [argv[0] if argv else "svl", *words]
    try:
        with warnings.catch_warnings():
            # Lightning's advice on loaders, loggers and optimizers is about fits that have one step a batch.
            warnings.filterwarnings("ignore", module=r"lightning\.")
            for name in _CHATTY:
                logging.getLogger(name).setLevel(logging.WARNING)
            yield
    finally:
        sys.argv = argv
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
