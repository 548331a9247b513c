"""Config files: where they are found, how they are read, and their settings as a flat mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from svl import shipped
from svl.errors import SettingError, nearest

# A default can be a member of an enumeration of words, such as the interval of Lightning's Timer.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))


ROOTS = (shipped.ROOT,)
"""Where the shipped configs and the gallery are: in a checkout, or in an installed package."""

# Python's own spelling of floats: YAML 1.1 takes 1e-3, without a point, for a string.
_FLOAT = "|".join(
    (
        r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+",
        r"[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)",
        r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    )
)


_SCIENTIFIC = re.compile(r"[-+]?\d+(?:\.\d*)?[eE]\+?\d+")
# Up to here every whole number is also a float.
_LARGEST = 2**53


class _Loader(yaml.SafeLoader):
    """YAML as jsonargparse reads it, except that ``1e3`` is a whole number and a key stands once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in lines and isinstance(key, yaml.ScalarNode) and key.value != "<<":
                problem = f"the key {key.value!r} stands here again, after line {lines[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                lines[key.value] = line
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | int:
        whole = whole_number(str(node.value))
        return super().construct_yaml_float(node) if whole is None else whole


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that :class:`_Loader` would take for numbers."""


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT})$"), list("-+0123456789."))


def locate(path: str, key: str = "--config") -> str:
    """Find a config: ``path`` itself if it exists, else a shipped file (``configs/quickstart.yaml``, ``quickstart``).

    Raises:
        SettingError: if there is no such file.
    """
    if path and Path(path).is_file():
        return path
    found = shipped.find(path)
    if found is None:
        allowed = "an existing file, relative to the working directory or shipped with svl (svl configs list)"
        raise SettingError(key, path, allowed + nearest(path, list(shipped.shipped())))
    return str(found.path)


def is_inline(path: str) -> bool:
    """Whether a config is given as settings in YAML, ``{data: {size: 64}}``, in place of a file."""
    return path.lstrip().startswith("{")


def read_config(path: str) -> dict[str, Any]:
    """Read a config from a file, or from its text if it is inline.

    Raises:
        SettingError: if it is not YAML, or not a mapping of settings.
    """
    try:
        content = load_yaml(path if is_inline(path) else Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise SettingError("--config", path, f"a YAML file ({_reason(error)})") from None
    if not isinstance(content, dict) or not content:
        raise SettingError("--config", path, "a YAML file of settings (key: value)")
    return content


def whole_number(text: str) -> int | None:
    """The whole number that a text in scientific notation stands for (``1e3``, ``2.5e4``), or ``None``."""
    if not _SCIENTIFIC.fullmatch(text):
        return None
    try:
        number = Decimal(text)
        is_whole = abs(number) <= _LARGEST and number == number.to_integral_value()
    except ArithmeticError:  # an exponent of many digits, as in a name such as 12e3456789012
        return None
    return int(number) if is_whole else None


def load_yaml(text: str) -> Any:
    """The value that a text stands for in YAML; ``1e-3`` is a number, and ``1e3`` a whole one.

    Raises:
        yaml.YAMLError: if it is not YAML, also where a key stands twice in a mapping.
    """
    return yaml.load(text, _Loader)


def dump_yaml(value: Any) -> str:
    """A value as one line of YAML, which :func:`load_yaml` reads back."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True)
    return text.strip()


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested settings by dotted name; ``init_args`` is left out, and list items are named by number."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flatten(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
    elif isinstance(tree, list) and any(isinstance(value, Mapping) for value in tree):
        for place, value in enumerate(tree):
            yield from flatten(value, f"{prefix}.{place}")
    else:
        yield prefix, tree


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, OSError):
        return str(error.strerror)
    return " ".join(str(error).split())
