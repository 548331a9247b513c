"""Sphinx's roles in docstrings, such as ``:class:`~svl.data.Subset` ``, as links of the site."""

from __future__ import annotations

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`(~?)\.?([\w.]+)`")


class Roles(griffe.Extension):
    """Turns each role into a link to the object that it names, or into code where the site does not have it."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        _convert(pkg)


def _convert(owner: griffe.Object) -> None:
    if owner.docstring:
        owner.docstring.value = _ROLE.sub(lambda role: _link(owner, role), owner.docstring.value)
    for member in owner.members.values():
        if isinstance(member, griffe.Object):
            _convert(member)


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
