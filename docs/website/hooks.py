"""What MkDocs needs in order to build the site from pages that a forge shows too.

- Links to files outside ``docs/``, such as ``../svl/replicas.py``, lead to the repository.
- ``PAGES_ELSEWHERE`` are pages of the site that lie outside ``docs/``.
- The tutorial is executed, so that the site shows its tables and figures.

The repository is that of ``pyproject.toml`` (``project.urls``), or the environment variable ``SVL_REPOSITORY``. Without
either, a link to a source file is plain text.
"""

from __future__ import annotations

import functools
import logging
import tempfile
import tomllib
from pathlib import Path
from xml.etree.ElementTree import Element

import markdown
import nbformat
from links import NOTEBOOK, PAGES_ELSEWHERE, ROOT, link_on_site, repository
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

logger = logging.getLogger("mkdocs.hooks.svl")


class _Links(Treeprocessor):
    """Changes the links of one page before MkDocs checks them."""

    page: str
    repo_url: str | None
    made: frozenset[str] = frozenset()  # pictures that exist only on the site

    def run(self, root: Element) -> None:
        for image in root.iter("img"):
            image.set("loading", "lazy")  # the gallery has many
        links = [("href", anchor) for anchor in root.iter("a")] + [("src", image) for image in root.iter("img")]
        for attribute, element in links:
            link = element.get(attribute, "")
            if not link or link in self.made or link.startswith(("#", "/")) or ":" in link.partition("/")[0]:
                continue
            try:
                place = link_on_site(link, self.page, self.repo_url)
            except FileNotFoundError as error:
                logger.warning(f"{self.page}: the link {link} leads to {error}, which does not exist")
                continue
            if place is None:
                element.tag = "span"
                del element.attrib[attribute]
            else:
                element.set(attribute, place)


class _LinksExtension(markdown.Extension):
    def __init__(self) -> None:
        super().__init__()
        self.links = _Links()

    def extendMarkdown(self, md: markdown.Markdown) -> None:
        md.treeprocessors.register(
            self.links, "links_to_sources", 1
        )  # after inline patterns, before MkDocs's, which is 0


_extension = _LinksExtension()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Find the repository, and have links changed."""
    config.repo_url = config.repo_url or repository(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))
    _extension.links.repo_url = config.repo_url
    config.markdown_extensions.append(_extension)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and the tutorial as a page."""
    for path, place in PAGES_ELSEWHERE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    notebook = files.get_file_from_path(NOTEBOOK)
    files.remove(notebook)
    text, pictures = _as_markdown(Path(notebook.abs_src_path).read_text("utf-8"), config.extra["execute"])
    files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=text))
    _extension.links.made = frozenset(pictures)
    for name, picture in pictures.items():
        files.append(File.generated(config, name, content=picture))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Note whose links are changed next."""
    places = {place: path for path, place in PAGES_ELSEWHERE.items()}
    _extension.links.page = places.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return markdown


@functools.cache  # `mkdocs serve` builds the site again at each change
def _as_markdown(content: str, execute: bool) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, with its results, and its pictures by their names."""
    notebook = nbformat.reads(content, 4)
    if execute:
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if not output.get("text", "").startswith("step ")]
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    return text, resources["outputs"] or {}
