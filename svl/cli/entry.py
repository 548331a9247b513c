"""The entry point: finds the subcommand, runs it, and turns errors into one line. Imports only what it needs."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from svl import garbage
from svl.caches import settle_matplotlib, settle_torch
from svl.cli.streams import drop_output, replace_unknown_characters
from svl.processes import end_with_parent

FITTING = ("fit", "validate", "test")
SUBCOMMANDS = {
    "advise": "svl.cli.advise",
    "report": "svl.cli.report",
    "dashboard": "svl.cli.dashboard",
    "sweep": "svl.cli.sweep",
    "theory": "svl.cli.theory",
    "reproduce": "svl.cli.reproduce",
    "finish": "svl.cli.finish",
    "power": "svl.cli.power",
    "configs": "svl.cli.configs",
    "schema": "svl.cli.schema",
}
"""The subcommands that are not fits, and the modules whose ``main`` takes the words after them."""

HELP = """usage: svl [-h] [--version] COMMAND ...

The laboratory for one question: when does training again and again on a small sample beat training on fresh data,
and why?

subcommands:
  fit        train the arms of an experiment:    svl fit --config configs/quickstart.yaml
             resume the last run:                svl fit --config configs/quickstart.yaml --ckpt_path last
  validate   evaluate a checkpoint on the test set
  test       the same as validate, under Lightning's name for it
  finish     write the results of a run whose training is done once more
  advise     shall I repeat my data?             svl advise configs/quickstart.yaml --budget 2e8
  sweep      run many fits, here or on SLURM:    svl sweep run configs/sweeps/width.yaml
  report     write runs as one HTML page:        svl report runs/quickstart
  power      how many seeds a verdict needs:     svl power runs/quickstart/RUN
  dashboard  make a W&B workspace and reports:   svl dashboard quickstart --dry-run
  reproduce  reproduce and judge a figure:       svl reproduce liu2026/fig02a; svl reproduce --list
  theory     compare a theorem with experiments: svl theory theorem_1; svl theory --list
  configs    list, show, copy what comes with svl: svl configs list; svl configs copy quickstart
  schema     print a JSON schema of a config, with which editors complete and check YAML

common settings (svl fit --help lists all):
  --config FILE                        relative to the working directory, else to the shipped configs
  --replicas.seeds N                   replicas of each arm
  --replicas.vary.KEY "[a, b, ...]"    values of a setting, one arm each: --replicas.vary.data.size "[4096, online]"
  --trainer.max_steps N                optimisation steps
  --print_config                       print the resolved config
  --print_completion SHELL             print a script for bash, zsh or tcsh, which completes all this
  --explain                            print how the fit would be computed, its memory and time; train nothing
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    The status is 0 for success, 2 for a setting that cannot be used, 1 for a file that cannot be read or written or an
    error in the user's own code, and 128 + the signal's number for a fit that a signal stopped. An error that comes
    from the user's own code is printed with its traceback.

    Args:
        argv: the words after the program's name; ``None`` for those of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # in another program's process what there is may be garbage
        garbage.pause()
    replace_unknown_characters()
    # Of a notebook's or another program's environment; matplotlib refuses a backend that it does not know.
    os.environ["MPLBACKEND"] = "agg"
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        return 1
    return status


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be allocated, on a CPU or a GPU."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"MemoryError", "OutOfMemoryError"}) or "DefaultCPUAllocator" in str(error)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        print(f"svl {version('svl')}")
        return 0
    end_with_parent()
    settle_torch()
    settle_matplotlib()
    from svl.cli.own_code import own_traceback, place_of
    from svl.errors import SettingError, StorageError, nearest

    try:
        commands = (*FITTING, *SUBCOMMANDS)
        if arguments[0] == "--print_completion":
            return importlib.import_module("svl.cli.completion").main(arguments[1:], FITTING, SUBCOMMANDS)
        if arguments[0] not in commands:
            raise SettingError("subcommand", arguments[0], ", ".join(commands) + nearest(arguments[0], commands))
        if arguments[0] in SUBCOMMANDS:
            command = importlib.import_module(SUBCOMMANDS[arguments[0]])
            garbage.resume()
            return command.main(arguments[1:])
        from svl.cli.fit import run

        return run(arguments)
    except SettingError as error:
        print(own_traceback(error) or "", end="", file=sys.stderr)
        print(f"svl: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except StorageError as error:
        print(f"svl: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("svl: interrupted before the fit began", file=sys.stderr)
        return 130
    except SystemExit as request:
        # The parser ends with SystemExit after --help and --print_config.
        return request.code if isinstance(request.code, int) else int(request.code is not None)
    except Exception as error:
        text = None if isinstance(error, BrokenPipeError) else own_traceback(error)
        if text is None and _is_out_of_memory(error):
            advice = "a smaller data.batch_size, model.block_size or replicas.seeds takes less"
            print(
                f"svl: error: out of memory: {(str(error).splitlines() or ['no more can be had'])[0][:200]}; {advice}",
                file=sys.stderr,
            )
            return 1
        if text is None:
            raise
        print(f"{text}svl: error: {place_of(error)}", file=sys.stderr)
        return 1
