"""The command line. Only what a subcommand needs is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

FITTING = ("fit", "validate", "test")
MODULES = {
    "report": "svl.results.report",
    "dashboard": "svl.dashboard",
    "sweep": "svl.sweeps.main",
    "theory": "svl.theory.command",
    "reproduce": "svl.reproduction.command",
}
"""Subcommands that are no fits, and the modules whose ``main`` takes the words after them."""

HELP = """usage: svl [-h] [--version] {fit,validate,test,sweep,report,dashboard,theory,reproduce} ...

The laboratory for one question: when does training again and again on a small sample beat training on fresh data,
and why?

subcommands:
  fit        train the arms of an experiment:  svl fit --config configs/quickstart.yaml
             go on where a run stopped:        svl fit --config configs/quickstart.yaml --ckpt_path last
  validate   measure a checkpoint on the test set
  test       the same, with a table per arm
  sweep      many fits, here or on SLURM:      svl sweep run configs/sweeps/width.yaml
  report     runs as one HTML page:            svl report runs/quickstart
  dashboard  a workspace and reports on W&B:   svl dashboard quickstart --dry-run
  reproduce  a figure of the papers, judged:   svl reproduce liu2026/fig02a; svl reproduce --list
  theory     a theorem beside its experiment:  svl theory theorem_1; svl theory --list

common settings (svl fit --help lists all):
  --config FILE                        relative to the working directory, else to the shipped configs
  --replicas.seeds N                   replicas of each arm
  --replicas.vary.KEY "[a, b, ...]"    settings whose values make the arms: --replicas.vary.data.size "[4096, online]"
  --trainer.max_steps N                optimisation steps
  --print_config                       the resolved config
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 2 for a setting that cannot be used, or 128 + the signal that stopped a fit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        from svl import __version__

        print(f"svl {__version__}")
        return 0
    from svl.errors import SettingError, StorageError, nearest

    try:
        commands = (*FITTING, *MODULES)
        if arguments[0] not in commands:
            raise SettingError("subcommand", arguments[0], ", ".join(commands) + nearest(arguments[0], commands))
        if arguments[0] in MODULES:
            return importlib.import_module(MODULES[arguments[0]]).main(arguments[1:])
        from svl.command import run

        return run(arguments)
    except SettingError as error:
        print(f"svl: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except StorageError as error:
        print(f"svl: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("svl: interrupted before the fit began", file=sys.stderr)
        return 130
    except SystemExit as request:
        # The parser's way to end after --help and --print_config.
        return request.code if isinstance(request.code, int) else int(request.code is not None)


if __name__ == "__main__":
    sys.exit(main())
