"""The list of figures, which reads only YAML, against the figures as they are read for a run."""

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from svl.errors import SettingError
from svl.reproduction import catalogue, gallery, paper_figure
from svl.reproduction.listing import listing
from svl.reproduction.scale import SCALES

SHIPPED = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.mark.parametrize("name", catalogue.known())
def test_an_entry_says_what_the_figure_says(name):
    entry = catalogue.entry(name, catalogue.known()[name])
    figures = {scale: paper_figure.read(name, scale) for scale in SCALES}
    assert entry.says == figures["laptop"].says
    assert entry.minutes == {scale: figure.minutes for scale, figure in figures.items()}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_claims_are_not_broken_into_single_words(tmp_path, width):
    output = io.StringIO()
    Console(file=output, width=width).print(listing(tmp_path, width))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for name in catalogue.known():
        assert sum(line.startswith(f"{name} ") for line in lines) == 1
    words = [len(line.split()) for line in lines if line.startswith(" ") and line.strip()]
    assert not words or sum(words) / len(words) > 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("experiment: mine\n", "figure: got null; allowed: a mapping (in mine.yaml)"),
        ("figure: {scales: {huge: {}}}\n", "figure.scales.huge: got {}; allowed: smoke, laptop, paper (in mine.yaml)"),
        ("figure: {scales: [1]}\n", "figure: got 'mine.yaml'; allowed: a figure's config"),
    ],
)
def test_a_config_that_is_no_figure_s_is_named(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(SettingError, match=re.escape(said)):
        catalogue.entry("mine/mine", "mine.yaml")


def test_the_shipped_gallery_s_page_is_what_is_written_from_its_results(tmp_path):
    folder = tmp_path / "gallery"
    shutil.copytree(SHIPPED, folder)
    page = (folder / gallery.PAGE).read_text(encoding="utf-8")
    gallery.write(folder)
    assert (folder / gallery.PAGE).read_text(encoding="utf-8") == page
    sections = {name.partition("/")[0] for name in catalogue.known() if (folder / name).is_dir()}
    assert all(f"## {catalogue.PAPERS[paper]}" in page for paper in sections)
