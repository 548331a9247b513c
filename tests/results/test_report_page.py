"""The page of a report needs nothing but a browser, can be read by everybody, and fits a phone."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from svl.results.inline_svg import palette
from svl.results.style import RAMP


def test_the_page_refers_to_nothing_outside(page, nine):
    html = (nine / "report.html").read_text(encoding="utf-8")
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "image"}
    assert not re.search(r"https?:|@import|\bsrc=|//[a-z]", html)
    html = re.sub("<script>.*?</script>", "", html, flags=re.DOTALL)  # names of clips are made by the script
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    referred = [value[1:] for name in ("href", "xlink:href") for value in page.attributes(name)]
    referred += re.findall(r"url\(#([^)]*)\)", html)
    assert len(referred) > 20 and set(referred) <= set(ids)
    assert len(re.findall(r"url\(", html)) == len(re.findall(r"url\(#", html))
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert len(html) < 400_000


def test_the_page_can_be_read_without_looking(page):
    attributes = dict(page.elements)
    assert attributes["html"] == {"lang": "en"}
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [a for _, a in page.elements]
    assert "nine/20260101-000000-aaaa" in page.text
    assert {cell["scope"] for tag, cell in page.elements if tag == "th"} == {"col", "row"}
    pictures = [picture for tag, picture in page.elements if tag == "svg"]
    assert len(pictures) == 3 * (3 + 1)  # three metrics and the times, at three learning rates
    assert all(picture["role"] == "img" for picture in pictures)
    labels = {picture["aria-label"] for picture in pictures}
    assert len(labels) == len(pictures)
    assert "Curves of val/accuracy against samples, lr = 0.3" in labels
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


def test_the_page_says_what_was_asked_and_how(page):
    goal = "val/accuracy of 90 % after fewer samples than size = online, at lr = 0.1, 0.3 or 1?"
    assert f"Does size = 4096 or 16384 reach {goal}" in page.text
    assert "Subset: reuse epochs, batch_size 128" in page.text
    assert "Parity: dim 20, degree 6" in page.text
    assert "SGD" in page.text and "lr 0.1" not in page.text.split("Verdicts")[0]  # varied
    assert "data.size: 4096, 16384, online; model.optimizer.lr: 0.1, 0.3, 1" in page.text
    assert "svl fit \\ --config 'a b.yaml' \\ --runs here" in page.text
    assert "1.25 min" not in page.text and "75.2 s" in page.text
    assert f"numpy {np.__version__}" in page.text
    assert "max_steps: 2000" in page.text
    assert page.headings[:5] == ["nine", "Verdicts", "Curves", "val/accuracy", "norm ratio"]


def contrast(one, other):
    def luminance(colour):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return np.dot([0.2126, 0.7152, 0.0722], channels)

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_that_wcag_asks_for(nine):
    html = (nine / "report.html").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for block in re.search(r":root \{(.*?)\}.*?:root \{(.*?)\}", html, re.DOTALL).groups()
    )
    arms = [name for name in light if re.fullmatch("[0-9a-f]{6}", name)]
    assert {"e0a800", "1b4fa8"} < set(arms)
    assert {f"--{name}" for name in light} >= set(re.findall(r"var\((--[\w-]+)\)", html))
    for colours in (light, dark):
        assert colours.keys() == light.keys()
        texts = [*(f"{name}-text" for name in arms), "ink", "muted", "link", "faster", "slower"]
        assert all(contrast(colours[name], colours["page"]) >= 4.5 for name in texts)
        for verdict in ("faster", "slower"):
            assert contrast(colours[verdict], colours[f"{verdict}-tint"]) >= 4.5
    assert all(contrast(dark[name], dark["page"]) >= 3 for name in arms)


def test_dark_colours_keep_the_order_from_small_to_large():
    shades = ["".join(f"{round(255 * c):02x}" for c in RAMP(place / 10)[:3]) for place in range(11)]
    dark = palette(f"stroke: var(--{shade})" for shade in shades)
    lines = [contrast(dark[shade][1], "black") for shade in shades]
    assert lines == sorted(lines, reverse=True)


@pytest.mark.slow
def test_equal_runs_make_equal_pages_without_torch_and_nothing_else_is_written(page, nine, tmp_path):
    before, names = (nine / "report.html").read_bytes(), {path.name for path in nine.iterdir()}
    program = "import sys; from svl.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", program, "report", str(nine), "--output", "deep/page.html"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("deep/page.html\nFalse\n", "")
    assert (tmp_path / "deep" / "page.html").read_bytes() == before
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
    assert {path.name for path in nine.iterdir()} == names
