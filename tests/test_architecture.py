"""Modules import each other without circles, at the top of files and inside functions alike."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("svl", "svl/callbacks")  # the second is a link, which rglob does not follow


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, inside_functions):
    """The names that a module imports, each module of svl once; not those for type checkers alone."""
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


MOST_PARAMETERS = 8
MANY_PARAMETERS = {
    "svl.training.replica_module.ReplicaModule.__init__": "a config fills it: each is a setting under model",
    "svl.training.routes.triton_kernel.sgd_steps": "a Triton kernel, which takes pointers and constants one by one",
}
"""Functions of svl.data and svl.training that may have more parameters, and why."""


def parameters(function):
    """The names of a function's parameters, except the object or class that a method belongs to."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument.arg for argument in every if argument and argument.arg not in ("self", "cls")]


def functions(node, prefix):
    """Pairs of a dotted name and a function, also for methods and functions inside of functions."""
    for child in ast.iter_child_nodes(node):
        name = f"{prefix}.{child.name}" if hasattr(child, "name") and child.name else prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, child
        yield from functions(child, name)


def test_functions_have_few_parameters():
    modules = [name for name in PATHS if name.startswith(("svl.data", "svl.training"))]
    counts = {
        name: len(parameters(function))
        for module in modules
        for name, function in functions(ast.parse(PATHS[module].read_text()), module)
    }
    assert len(counts) > 100
    assert {name for name, count in counts.items() if count > MOST_PARAMETERS} == MANY_PARAMETERS.keys()


def test_every_kind_of_parameter_is_counted():
    source = "class A:\n    def f(self, a, /, b, *c, d, e=1, **g):\n        def inner(x): ...\n"
    assert {name: parameters(function) for name, function in functions(ast.parse(source), "m")} == {
        "m.A.f": ["a", "b", "c", "d", "e", "g"],
        "m.A.f.inner": ["x"],
    }
