"""The list of figures, which reads only YAML, against the figures as they are read for a run."""

import io
import re

import pytest
from rich.console import Console

from svl.errors import SettingError
from svl.reproduction import catalogue, paper_figure
from svl.reproduction.listing import listing
from svl.reproduction.scale import SCALES


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
