"""Modules import each other without circles, at the top of files and inside functions alike."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("svl", "callbacks")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, inside_functions):
    """The names that a module imports, each module of svl or callbacks once; not those for type checkers alone."""
    waiting, found = [tree], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in PATHS else node.module)
        elif is_for_types(node):
            waiting += node.orelse
            continue
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found & PATHS.keys()


def graph(inside_functions):
    """What runs when a module is imported: what it names, and the packages that hold it, but not those it is in."""
    edges = {}
    for name, path in PATHS.items():
        edges[name] = set()
        for target in imports(ast.parse(path.read_text()), inside_functions):
            parts = target.split(".")
            parents = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
            edges[name] |= {parent for parent in parents if not f"{name}.".startswith(f"{parent}.")}
    return edges


def circle(edges):
    """The modules of one circle in order, an empty list if there is none."""
    done = set()

    def search(name, path):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for target in sorted(edges[name]):
            if found := search(target, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := search(name, []))), [])


@pytest.mark.parametrize("inside_functions", [False, True], ids=["at the top", "also inside functions"])
def test_no_modules_import_each_other_in_a_circle(inside_functions):
    assert circle(graph(inside_functions)) == []


def test_a_circle_would_be_found():
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert circle(edges) == ["b", "d"]
    assert circle({**edges, "d": set()}) == []
