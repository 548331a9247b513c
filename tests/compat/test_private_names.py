"""Private names of other libraries are used in svl.compat alone."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = [path for package in ("svl", "svl/callbacks") for path in sorted((ROOT / package).rglob("*.py"))]
OUTSIDE = [path for path in PATHS if ROOT / "svl" / "compat" not in path.parents]
OURS = ("svl",)

DOCUMENTED = {
    "_asdict": "named tuples document it; the underscore keeps it apart from the fields",
    "_replace": "named tuples document it; the underscore keeps it apart from the fields",
}
# What Python itself puts into a class.
GENERATED = {"_abc_impl", "_backward_cls", "_is_protocol", "_is_runtime_protocol"}


def is_private(name):
    return name.startswith("_") and not name.endswith("_")


def defined(trees):
    """Private names that are given a meaning here: functions, classes, variables, attributes, arguments."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            # Setting an attribute of another object gives it no meaning here.
            names |= {node.attr} if ast.unparse(node.value) in ("self", "cls") else set()
    return {name for name in names if is_private(name)}


def private_uses(tree, known):
    """Lines and names of private imports and attributes that nothing here defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if any(map(is_private, alias.name.split("."))):
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] not in OURS:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if any(map(is_private, name.split("."))):
                    yield node.lineno, name
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in known:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in known:
                yield node.lineno, ast.unparse(node)


TREES = {path: ast.parse(path.read_text()) for path in OUTSIDE}
KNOWN = defined(TREES.values()) | DOCUMENTED.keys()


def test_private_names_of_other_libraries_are_used_in_compat_alone():
    uses = [f"{path.relative_to(ROOT)}:{use}" for path in OUTSIDE for use in private_uses(TREES[path], KNOWN)]
    assert uses == []


@pytest.mark.parametrize(
    "line",
    [
        "import torch._inductor",
        "from torch._inductor import compile",
        "from torch.utils import _pytree as pytree",
        "torch._inductor.compile(graph)",
        "self._subcommand_parsers",
        "super()._run_subcommand('fit')",
        "getattr(action, '_typehint', None)",
        "trainer._results = None",
    ],
)
def test_a_private_name_would_be_found(line):
    tree = ast.parse(line)
    assert list(private_uses(tree, KNOWN | defined([tree])))


def test_names_of_svl_and_public_names_are_not_found():
    lines = "from svl.a import _b\nself._c = 1\nself._c\nresult._asdict()\nx.__name__\n_, y = z\nimport torch.nn"
    tree = ast.parse(lines)
    assert list(private_uses(tree, KNOWN | defined([tree]))) == []


def overridden(kind):
    """Private names that a class defines over those of another library's class."""
    for name in vars(kind).keys() - GENERATED:
        for base in kind.__mro__[1:]:
            if is_private(name) and base.__module__.partition(".")[0] not in OURS and name in vars(base):
                yield f"{kind.__module__}.{kind.__qualname__}.{name}, of {base.__module__}"


def test_no_class_overrides_a_private_method_of_another_library():
    found = set()
    for path in OUTSIDE:
        parts = path.relative_to(ROOT).with_suffix("").parts
        # These run when they are imported, or need a library that is not installed here.
        if parts[-1] == "__main__" or parts[1:2] == ("bench",) or parts[-1] == "fused_sgd_kernel":
            continue
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__:
                found |= set(overridden(kind))
    assert found == set()


def test_an_overridden_private_method_would_be_found():
    from svl.compat.lightning_cli import CommandLine

    assert any("_set_seed" in name for name in overridden(CommandLine))
