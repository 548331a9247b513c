"""``svl schema``: a JSON schema of a fit's config, for editors that complete and check YAML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from svl.cli.parser import Parser
from svl.errors import SettingError

USAGE = "svl schema [--output FILE]"
ABOUT = """Print a JSON schema of a fit's config. With the line

  # yaml-language-server: $schema=svl.schema.json

at the top of a config, editors with a YAML language server (VS Code, Neovim, Emacs, ...) complete settings and classes,
show what they are, and mark what is wrong."""


def main(words: Sequence[str]) -> int:
    """Print the schema, or write it and print its path.

    Args:
        words: the command line after ``svl schema``.

    Raises:
        SettingError: for a file that cannot be written.
    """
    parser = Parser("schema", USAGE, ABOUT)
    parser.add_argument("--output", type=Path, metavar="FILE", help="such as svl.schema.json; default: print it")
    given = parser.parse_args(words)
    # torch and Lightning take seconds to import.
    from svl.cli.fit import setting_parser
    from svl.cli.json_schema import JsonSchema
    from svl.results.atomic import replacing

    text = json.dumps(JsonSchema(setting_parser()).content, indent=1, ensure_ascii=False) + "\n"
    if given.output is None:
        print(text, end="")
        return 0
    try:
        with replacing(given.output) as file:
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingError("--output", str(given.output), f"a file that can be written ({error.strerror})") from None
    print(given.output)
    return 0
