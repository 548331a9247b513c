"""The site of the documentation has every page and every public class, and its links lead somewhere."""

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import yaml

from svl.reproduction import claims

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WEBSITE = DOCS / "website"
PACKAGES = ["svl", *(f"svl.{name}" for name in ("callbacks", "data", "interventions", "losses", "metrics", "models"))]
PACKAGES += ["svl.optim", "svl.tasks", "svl.training"]


def website(name):
    """A module of the site's configuration, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"website_{name}", WEBSITE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, tag, node: None)
    return yaml.load((WEBSITE / "mkdocs.yml").read_text(encoding="utf-8"), Loader)


def pages(nav):
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages(value) if isinstance(value, list) else [value]


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def public():
    """Names of all public objects, as ``package.name``."""
    for package in PACKAGES:
        yield from (f"{package}.{name}" for name in importlib.import_module(package).__all__ if name != "__version__")


def directives():
    """For each object that the reference names, the patterns of the members that it leaves out."""
    for page in (DOCS / "reference").glob("*.md"):
        for name, options in re.findall(
            r"^::: ([\w.]+)\n((?:    .*\n)*)", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            yield name, re.findall(r'"!(\S+?)"', options)


def test_the_navigation_has_every_page_once():
    links = website("links")
    named = list(pages(settings()["nav"]))
    exist = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} | set(links.PAGES_ELSEWHERE.values())
    exist |= {path.with_suffix(".md").name for path in DOCS.glob("*.ipynb")}
    assert len(set(named)) == len(named) and set(named) == exist
    assert all((ROOT / path).is_file() for path in links.PAGES_ELSEWHERE)


def test_the_reference_has_every_public_object_once():
    named = dict(directives())
    for full in public():
        package, _, name = full.rpartition(".")
        in_package = package in named and not any(re.search(pattern, name) for pattern in named[package])
        assert in_package + (full in named) == 1, full
    of_claims = {f"{kind.__module__}.{kind.__name__}" for kind in claims.known().values()}
    assert len(of_claims) >= 7 and of_claims <= set(named)


@pytest.mark.parametrize(
    ("package", "page"),
    [
        ("svl.tasks", "tasks"),
        ("svl.data", "strategies"),
        ("svl.models", "networks"),
        ("svl.losses", "losses"),
        ("svl.optim", "optimizers"),
        ("svl.interventions", "interventions"),
        ("svl.callbacks", "measurements"),
    ],
)
def test_the_guide_names_every_class_that_a_config_can_name(package, page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    own = {"Checkpoint", "History", "Progress", "Axis"}  # svl adds them itself
    module = importlib.import_module(package)
    for name in set(module.__all__) - own:
        found = getattr(module, name)
        if inspect.isclass(found) and not inspect.isabstract(found):
            assert re.search(rf"`({name}|{snake(name)})`", text), name


def test_what_the_reference_names_exists():
    for full in dict(directives()):
        module, _, name = full.rpartition(".")
        found = importlib.util.find_spec(full) if full in sys.modules or (name.islower() and "." in full) else None
        assert found or hasattr(importlib.import_module(module), name), full


@pytest.mark.parametrize(
    ("link", "page", "place"),
    [
        ("data.md#kinds", "docs/extending.md", "data.md#kinds"),
        ("../svl/tasks/task.py", "docs/extending.md", "https://forge/svl/blob/main/svl/tasks/task.py"),
        ("../svl/tasks", "docs/architecture.md", "https://forge/svl/tree/main/svl/tasks"),
        ("../../slurm/README.md#a-transcript", "docs/recipes/sweeps.md", "slurm.md#a-transcript"),
        ("../slurm/README.md", "docs/README.md", "recipes/slurm.md"),
        ("docs/places.md", "CHANGELOG.md", "places.md"),
        ("../docs/places.md", "slurm/README.md", "../places.md"),
        ("website", "docs/architecture.md", "https://forge/svl/tree/main/docs/website"),
        ("gallery/looks.yaml", "docs/reproducing.md", "https://forge/svl/blob/main/docs/gallery/looks.yaml"),
        ("quickstart.png", "docs/README.md", "quickstart.png"),
        ("fit.sbatch", "slurm/README.md", "https://forge/svl/blob/main/slurm/fit.sbatch"),
        ("../tutorial.ipynb", "docs/recipes/notebook.md", "../tutorial.md"),
        ("../tutorial.md", "docs/recipes/notebook.md", None),
    ],
)
def test_links(link, page, place):
    links = website("links")
    if place is None:
        with pytest.raises(FileNotFoundError, match=r"docs/tutorial\.md"):
            links.link_on_site(link, page, "https://forge/svl")
    else:
        assert links.link_on_site(link, page, "https://forge/svl") == place
    assert links.link_on_site("../svl/random.py", "docs/theory.md", None) is None


def test_every_link_leads_to_a_file():
    links = website("links")
    texts = [*DOCS.rglob("*.md"), *(ROOT / path for path in links.PAGES_ELSEWHERE), ROOT / "README.md"]
    count = 0
    for path in texts:
        page = path.relative_to(ROOT).as_posix()
        text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^()\s]+)\)", text):
            if not re.match(r"#|https?:", link):
                links.link_on_site(link, page, None)
                count += 1
    assert count > 300


def test_the_repository_is_that_of_the_project():
    repository = website("links").repository
    assert repository({"project": {"urls": {"Documentation": "https://a", "Repository": "https://b"}}}) == "https://b"
    assert repository({"project": {}}) is None


def test_tables_of_docstrings():
    pytest.importorskip("griffe")
    tables = website("docstrings").markdown_tables
    plain = "Legend:\n\n====  =======\n``a``  an axis\n====  =======\n\nMore.\n".replace("====  ", "=====  ")
    assert tables(plain) == "Legend:\n\n|  |  |\n| --- | --- |\n| ``a`` | an axis |\n\nMore.\n"
    headed = "====  ==\nx     y\n====  ==\n1     2\nlong  4\n====  =="
    assert tables(headed) == "| x | y |\n| --- | --- |\n| 1 | 2 |\n| long | 4 |"
    assert tables("a = b == c") == "a = b == c"


def test_formulas_and_code_of_docstrings_stay_as_they_are():
    griffe = pytest.importorskip("griffe")
    text = "y = <w, x> for x < 1 and ``<metric>``.\n\n>>> run(a <b)\nSee :func:`~own.other` and :class:`Absent`."
    module = griffe.Module("own", docstring=griffe.Docstring(text))
    module["other"] = griffe.Function("other")
    website("docstrings").PlainText().on_package(pkg=module)
    assert module.docstring.value == (
        "y = &lt;w, x> for x < 1 and ``<metric>``.\n\n>>> run(a <b)\nSee "
        '<autoref identifier="own.other" optional><code>other</code></autoref> and '
        '<autoref identifier="Absent" optional><code>Absent</code></autoref>.'
    )


def test_the_picture_of_the_concepts_is_drawn_from_the_strategies():
    assert website("concepts").page() == (DOCS / "concepts.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_needs_no_network(tmp_path):
    pytest.importorskip("mkdocs")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(WEBSITE / "mkdocs.yml"),
        "-d",
        str(tmp_path),
    ]
    environment = {**os.environ, "SVL_DOCS_EXECUTE": "false", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    inventory = (tmp_path / "objects.inv").read_bytes().split(b"\n", 4)[4]
    objects = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    assert set(public()) <= objects
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|iframe|source)[^>]* src="(?:https?:)?//[^"]*"', text), page
        assert not re.findall(r'<link[^>]* rel="(?:stylesheet|preconnect)"[^>]* href="(?:https?:)?//[^"]*"', text), page
