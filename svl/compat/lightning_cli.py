"""Lightning's command line: the hooks of ``LightningCLI`` that it keeps private, under public names.

``LightningCLI`` offers no public way to replace what it does between parsing and running. :class:`CommandLine`
overrides its private methods, and calls public ones in their place, which a subclass can override.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI


class CommandLine(LightningCLI):
    """A ``LightningCLI`` with public hooks; it seeds nothing, and takes no settings from a checkpoint."""

    def run_subcommand(self, subcommand: str) -> None:
        """Run a subcommand with the methods ``before_<name>``, ``<name>`` and ``after_<name>``."""
        super()._run_subcommand(subcommand)

    def subcommand_arguments(self, subcommand: str) -> dict[str, Any]:
        """The keyword arguments that the subcommand's method of the trainer is called with."""
        return super()._prepare_subcommand_kwargs(subcommand)

    def subcommand_parser(self) -> LightningArgumentParser:
        """The parser of the subcommand's settings; there is exactly one."""
        (parser,) = self._subcommand_parsers.values()
        return parser

    def _run_subcommand(self, subcommand: str) -> None:
        self.run_subcommand(subcommand)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return self.subcommand_arguments(subcommand)

    def _set_seed(self) -> None:
        """Nothing to seed: every random number comes from ``replicas.first_seed`` and a counter."""

    def _parse_ckpt_path(self) -> None:
        """Take no settings from a checkpoint: the command line decides."""
