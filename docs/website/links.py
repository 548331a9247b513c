"""Where the links of a page of the repository lead on the site."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOTEBOOK = "tutorial.ipynb"
PAGES_ELSEWHERE = {"CHANGELOG.md": "changelog.md", "slurm/README.md": "recipes/slurm.md"}
"""Pages of the site by their path in the repository; their links are relative to that path."""
SHOWN = (".md", ".ipynb", ".png", ".svg")
"""What the site has of docs/."""


def repository(pyproject: Mapping[str, Any]) -> str | None:
    """The address of the repository that a project names."""
    urls = pyproject["project"].get("urls", {})
    return next((urls[name] for name in ("Repository", "Source", "Homepage") if name in urls), None)


def link_on_site(link: str, page: str, repo_url: str | None) -> str | None:
    """Where a link of a page leads on the site.

    Args:
        link: the link as written: relative to the page, perhaps with an anchor.
        page: the page's path in the repository, such as ``docs/data.md``.
        repo_url: the repository's address.

    Returns:
        A path relative to the page's place on the site, an address in the repository, or ``None`` where there is no
        repository to lead to.

    Raises:
        FileNotFoundError: if the link leads to nothing.
    """
    target, hash_sign, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    if not (ROOT / path).exists():
        raise FileNotFoundError(path)
    if path.startswith("docs/") and not path.startswith("docs/website/") and posixpath.splitext(path)[1] in SHOWN:
        place = path.removeprefix("docs/").replace(NOTEBOOK, NOTEBOOK.replace(".ipynb", ".md"))
    elif path == "README.md":
        place = "README.md"
    elif path in PAGES_ELSEWHERE:
        place = PAGES_ELSEWHERE[path]
    else:
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return repo_url and f"{repo_url}/{kind}/main/{path}{hash_sign}{anchor}"
    on_site = PAGES_ELSEWHERE.get(page, page.removeprefix("docs/"))
    return posixpath.relpath(place, posixpath.dirname(on_site) or ".") + hash_sign + anchor
