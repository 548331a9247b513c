"""What is printed and written, in a pipe, on a terminal that is not UTF-8, and in files."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from rich.table import Table

from svl.console import console, plain

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for package in ("svl", "svl/callbacks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.parent.name != "bench"  # of developers, on their own machines
]
CELLS = ("[online]", "[/path]", "[bold]wide[/bold]", ":smile:", "[4096, 'online']", "2f8e88b18146" * 20)


def printed(capsys):
    shown = Table(box=None)
    for _ in CELLS:
        shown.add_column(overflow="fold")
    shown.add_row(*plain(CELLS))
    shown.add_row(*CELLS)
    console().print(shown)
    return capsys.readouterr().out


def test_in_a_pipe_a_row_is_a_line_and_text_is_as_it_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = printed(capsys).splitlines()
    assert [line.split("  ") for line in lines if line.strip()]
    rows = [line for line in lines if line.strip()]
    assert len(rows) == 2
    for row in rows:
        places = [row.index(cell) for cell in CELLS]
        assert places == sorted(places)


def test_no_colour_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color


def test_a_character_that_the_terminal_lacks_is_replaced(tmp_path):
    code = "import sys; from svl.cli import main; from svl.console import console;"
    code += "main(['--version']); console().print('≥ 0.9 ∞'); print('é→', file=sys.stderr)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"??\n")
    assert done.stdout.endswith(b"? 0.9 ?\n")


def calls(path):
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def name_of(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_every_text_has_its_encoding_and_every_console_is_made_in_one_place():
    """Beyond ruff's PLW1514, which knows a path only where it is made."""
    wrong = []
    for path in SOURCES:
        for call in calls(path):
            keywords = {keyword.arg for keyword in call.keywords}
            modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
            is_binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
            is_text = name_of(call) in ("read_text", "write_text") or (name_of(call) == "open" and not is_binary)
            is_text &= ast.unparse(call.func) != "os.open"
            is_text |= ast.unparse(call.func).startswith("subprocess.") and "text" in keywords
            is_elsewhere = name_of(call) in ("Console", "_Console") and path.name != "console.py"
            if (is_text and not keywords & {"encoding", "errors"}) or is_elsewhere:
                wrong.append(f"{path}: {ast.unparse(call)}")
        wrong += [f"{path}: rich.markup"] * ("rich.markup" in path.read_text(encoding="utf-8"))
    assert wrong == []
