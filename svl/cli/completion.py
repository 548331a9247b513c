"""``svl --print_completion SHELL``: the script with which a shell completes subcommands, settings and names."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from svl.errors import SettingError
from svl.extras import require
from svl.shipped import shipped

OPTION = "--print_completion"
SHELLS = ("bash", "zsh", "tcsh")
USAGE = f"""svl {OPTION} SHELL
       bash: svl {OPTION} bash > ~/.local/share/bash-completion/completions/svl
       zsh:  svl {OPTION} zsh > FOLDER/_svl, for a FOLDER of $fpath"""


def main(words: Sequence[str], fitting: Sequence[str], others: Mapping[str, str]) -> int:
    """Print the script.

    Args:
        words: the shell.
        fitting: the subcommands that take the settings of a fit.
        others: the modules of the other subcommands.

    Raises:
        SettingError: for another shell, and where the package shtab is not installed.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        raise SettingError(OPTION, " ".join(words), f"one of {', '.join(SHELLS)}")
    require(OPTION, "shtab")
    import shtab

    print(shtab.complete(_parser(fitting, others), words[0]))
    return 0


def _parser(fitting: Sequence[str], others: Mapping[str, str]) -> argparse.ArgumentParser:
    """A parser that knows every subcommand and the names of its options, and does nothing."""
    from svl.cli.fit import setting_parser
    from svl.cli.json_schema import JsonSchema

    parser = argparse.ArgumentParser(prog="svl")
    parser.add_argument("--version", action="store_true", help="print the version")
    subcommands = parser.add_subparsers()
    content = JsonSchema(setting_parser()).content
    settings = dict(_settings(content, content["$defs"], "", ()))
    for name in fitting:
        command = subcommands.add_parser(name, help=f"svl {name}")
        _add(command, "--config", None, "a config")
        _add(command, "--print_config", None, "print the resolved config")
        for setting, schema in sorted(settings.items()):
            _add(command, f"--{setting}", _choices(schema), schema.get("description", ""))
    for name, module in others.items():
        usage: Any = importlib.import_module(module).USAGE
        if isinstance(usage, str):
            _add_usage(subcommands.add_parser(name, help=f"svl {name}"), name, usage)
            continue
        parts = subcommands.add_parser(name, help=f"svl {name}").add_subparsers()
        for part, line in usage.items():
            _add_usage(parts.add_parser(part, help=line), f"{name} {part}", line)
    return parser


def _add_usage(command: argparse.ArgumentParser, name: str, usage: str) -> None:
    """Add the options that a line of usage shows, and what a subcommand takes besides them."""
    for option in dict.fromkeys(re.findall(r"--[a-z][\w-]*", usage)):
        _add(command, option, None, "")
    named = command.add_argument("names", nargs="*", choices=_names(name))
    if named.choices is None:
        named.complete = _files()  # type: ignore[attr-defined]


def _names(command: str) -> list[str] | None:
    """What a subcommand takes by name; ``None`` where it takes files."""
    from svl.reproduction.catalogue import known
    from svl.theory.catalogue import NAMES

    files = list(shipped())
    names = {"reproduce": list(known()), "theory": list(NAMES), "configs show": files, "configs copy": files}
    return names.get(command)


def _add(command: argparse.ArgumentParser, option: str, choices: list[str] | None, about: str) -> None:
    action = command.add_argument(option, choices=choices, help=about.replace("%", "%%"))
    if choices is None:
        action.complete = _files()  # type: ignore[attr-defined]


def _files() -> Any:
    import shtab

    return shtab.FILE


def _settings(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], key: str, within: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The dotted names of all settings, also those of the classes that a setting can be."""
    reference = schema.get("$ref")
    if reference:
        if reference not in within:
            yield from _settings(definitions[reference.rpartition("/")[2]], definitions, key, (*within, reference))
        return
    for name, part in schema.get("properties", {}).items():
        if name == "class_path":
            continue
        inner = key if name == "init_args" else f"{key}.{name}".lstrip(".")
        if name != "init_args":
            yield inner, part
        yield from _settings(part, definitions, inner, within)
    for part in (*schema.get("anyOf", ()), *(rule["then"] for rule in schema.get("allOf", ()))):
        yield from _settings(part, definitions, key, within)
    if "else" in schema:
        yield from _settings(schema["else"], definitions, key, within)


def _choices(schema: Mapping[str, Any]) -> list[str] | None:
    """The words that a setting can be, where there are some."""
    words = [str(word) for part in (schema, *schema.get("anyOf", ())) for word in part.get("enum", ())]
    return ["true", "false"] if schema.get("type") == "boolean" else words or None
