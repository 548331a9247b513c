"""The page of findings says what the gallery has: every interval is that of a figure which it links to."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from svl.reproduction.catalogue import known

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = DOCS / "gallery"
NUMBER = r"-?\d+(?:\.\d+)?"
INTERVAL = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")
LINK = re.compile(r"\]\(gallery/README\.md#([a-z0-9_-]+)\)")
KEYS = ("value", "low", "high")
PAGE = re.compile(r"\]\(([a-z]+\.md)(?:#[a-z0-9-]+)?\)")


def intervals(result):
    """Every value and its interval in a result, of numbers and in texts."""
    if isinstance(result, dict):
        if {"value", "low", "high"} <= result.keys() and None not in (found := [*map(result.get, KEYS)]):
            yield tuple(found)
        for value in result.values():
            yield from intervals(value)
    elif isinstance(result, list):
        for value in result:
            yield from intervals(value)
    elif isinstance(result, str):
        yield from (tuple(map(float, match.groups())) for match in INTERVAL.finditer(result))


def is_rounded(said, found):
    """Whether the numbers said are those found, or the negative of them, rounded to the digits said."""
    value, low, high = found
    return any(
        all(
            abs(float(text) - number) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9
            for text, number in zip(said, numbers, strict=True)
        )
        for numbers in ((value, low, high), (-value, -high, -low))
    )


def said():
    """Each interval of the page, with the links that follow it before the next interval."""
    for row in (DOCS / "findings.md").read_text().splitlines():
        waiting, links, pages = [], [], []
        matches = [match for pattern in (INTERVAL, LINK, PAGE) for match in pattern.finditer(row)]
        for match in sorted(matches, key=lambda match: match.start()):
            if match.re is INTERVAL:
                if links or pages:
                    yield from ((one, links, pages) for one in waiting)
                    waiting, links, pages = [], [], []
                waiting.append(match.groups())
            else:
                (links if match.re is LINK else pages).append(match[1])
        yield from ((one, links, pages) for one in waiting)


@pytest.mark.parametrize(("numbers", "links", "pages"), list(said()))
def test_an_interval_is_in_a_figure_or_page_that_it_links_to(numbers, links, pages):
    names = {"".join((*path.parts[-3:-1], "-", path.name)): path for path in GALLERY.glob("*/*/*")}
    found = []
    for link in links:
        confirming = names[link] / "confirming" / "result.json"
        path = confirming if confirming.exists() else names[link] / "result.json"
        found += intervals(json.loads(path.read_text()))
    for page in pages:
        found += intervals((DOCS / page).read_text())
    assert any(is_rounded(numbers, one) for one in found), (numbers, found)


def test_there_are_intervals_to_look_at():
    assert len(list(said())) > 50


def test_the_numbers_of_verdicts_are_those_of_the_gallery():
    results = [json.loads(path.read_text()) for path in GALLERY.glob("*/*/laptop/confirming/result.json")]
    verdicts = Counter(result["verdict"] for result in results)
    expected = (
        f"Of the {len(known())} figures, {len(results)} have a confirming run: "
        f"{verdicts['reproduced']} say *reproduced*, "
        f"{verdicts['not reproduced']} *not reproduced*, "
        f"{verdicts['undecided']} *undecided*"
    )
    assert expected in (DOCS / "findings.md").read_text()
