"""The README of a package index, beside which there are no files.

A link to a file leads to the repository, whose address is in ``project.urls`` or in the environment variable
``SVL_REPOSITORY``, as for the site (``docs/website/links.py``). Without either it becomes the file's name. Pictures are
left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"!\[[^\]]*\]\((?![a-z]+:)[^)]*\)\n*")
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#]*)(#[^)]*)?\)")


class Readme(MetadataHookInterface):
    """Gives the metadata its readme."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the readme."""
        urls = metadata.get("urls", {})
        named = next((urls[name] for name in ("Repository", "Source", "Homepage") if name in urls), None)
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        readme = for_an_index(text, os.environ.get("SVL_REPOSITORY") or named, Path(self.root))
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}


def for_an_index(text: str, repository: str | None, root: Path) -> str:
    """The README with links that work anywhere.

    Args:
        text: the README, in Markdown, with links relative to ``root``.
        repository: its address, ``None`` if there is none to lead to.
        root: folder of the README.
    """

    def changed(link: re.Match[str]) -> str:
        words, path, anchor = link[1], link[2], link[3] or ""
        if repository:
            kind = "tree" if (root / path).is_dir() else "blob"
            return f"[{words}]({repository}/{kind}/main/{path}{anchor})"
        return f"`{path}`" if words == path else f"{words} (`{path}{anchor}`)"

    return _LINK.sub(changed, _PICTURE.sub("", text))
