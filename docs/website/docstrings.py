"""Docstrings as Markdown, for the site: their roles, such as ``:class:`~svl.data.Subset` ``, and their tables."""

from __future__ import annotations

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)\.?([\w.]+)`")
_CODE_OR_TAG = re.compile(r"(`+).*?\1|^ *>>>[^\n]*|<(?=[A-Za-z/])", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^=+(?: +=+)+$\n(?:.*\S.*\n)+?=+(?: +=+)+$(?:\n(?:[^\n]*\S[^\n]*\n)+?=+(?: +=+)+$)?", re.MULTILINE)


class PlainText(griffe.Extension):
    """Turns each role into a link (code where the site does not have the object), and each table into Markdown."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        _convert(pkg)


def _convert(owner: griffe.Object) -> None:
    if owner.docstring:
        escaped = _escape(owner.docstring.value)
        owner.docstring.value = markdown_tables(_ROLE.sub(lambda role: _link(owner, role), escaped))
    for member in owner.members.values():
        if isinstance(member, griffe.Object):
            _convert(member)


def _escape(text: str) -> str:
    """Keep what Markdown would take for HTML, such as <w, x>, except in code."""
    return _CODE_OR_TAG.sub(lambda found: "&lt;" if found[0] == "<" else found[0], text)


def _link(owner: griffe.Object, role: re.Match) -> str:
    tilde, name = role.groups()
    text = name.rpartition(".")[2] if tilde else name
    return f'<autoref identifier="{_path(owner, name)}" optional><code>{text}</code></autoref>'


def _path(owner: griffe.Object, name: str) -> str:
    """The full path of a name as it is seen from an object's docstring."""
    scope: griffe.Object | griffe.Alias | None = owner
    while scope is not None:
        try:
            return scope[name].canonical_path
        except (KeyError, griffe.AliasResolutionError):
            scope = scope.parent
    return name


def markdown_tables(text: str) -> str:
    """A text with its simple tables of reStructuredText (columns below rows of ``===``) as tables of Markdown."""
    return _TABLE.sub(_table, text)


def _table(found: re.Match) -> str:
    rule, *lines = found[0].splitlines()
    starts = [run.start() for run in re.finditer("=+", rule)]
    cuts = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    rows = [[line[cut].strip() for cut in cuts] for line in lines if not line.startswith("=")]
    has_head = sum(line.startswith("=") for line in lines) == 2
    head, body = (rows[0], rows[1:]) if has_head else ([""] * len(cuts), rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(cuts), *body])
