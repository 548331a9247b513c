"""A figure as SVG inside an HTML page: unique ids, no external files, colours set by the page's style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from svl.results.style import own_settings

_COLOUR = re.compile(r"#([0-9a-f]{6})")
_NAMES = {"#000000": "currentColor", "#ffffff": "var(--page)", "#666666": "var(--muted)", "#dddddd": "var(--rule)"}
_NAMED = re.compile("|".join(_NAMES))
_HALO = "halo"
_REFERENCES = ("href", "clip-path")


@own_settings()
def inline_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element.

    Text stays text, in the page's font. Black is ``currentColor``, white ``--page``, greys ``--muted`` and ``--rule``;
    any other ``#rrggbb`` is the variable ``--rrggbb``, on text ``--rrggbb-text``: see :func:`palette`.

    Args:
        figure: its background is removed, and the outline of text is replaced by the class ``halo``.
        name: a prefix of the ids, unique on the page.
        label: a description of the figure in words.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    for text in figure.findobj(Text):
        if text.get_path_effects():  # matplotlib would draw outlined text as curves
            text.set_path_effects([])
            text.set_gid(_HALO)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "svl", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    root = _without_namespaces(ElementTree.fromstring(file.getvalue()))
    svg = ElementTree.Element("svg", {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": label})
    svg.extend(child for child in root if child.tag != "metadata" and child.find("style") is None)
    references = " ".join(element.get(key, "") for element in svg.iter() for key in _REFERENCES)
    used = set(re.findall(r"#([\w.-]+)", references))
    for element in svg.iter():
        _adapt(element, name, used)
        element.text = element.text if element.tag == "text" else None
        element.tail = None
    return ElementTree.tostring(svg, encoding="unicode")


def palette(pages: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """For each colour ``rrggbb`` of inlined figures: its shade for text on white, lines on black, text on black."""
    colours = sorted({colour for page in pages for colour in re.findall(r"var\(--([0-9a-f]{6})", page)})
    return {colour: (_mixed(colour, 0, 0.45), _mixed(colour, 1, 0.35), _mixed(colour, 1, 0.5)) for colour in colours}


def _mixed(colour: str, grey: int, share: float) -> str:
    red, green, blue = ((1 - share) * channel + share * grey for channel in to_rgb(f"#{colour}"))
    return to_hex((red, green, blue))


def _without_namespaces(root: ElementTree.Element) -> ElementTree.Element:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    return root


def _adapt(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Adapt an element to the page: ids only where they are referred to, the page's colours and font, short numbers."""
    kept = {}
    for key, value in element.items():
        if key == "id":
            if value == _HALO:
                kept["class"] = _HALO
            elif value in used:
                kept["id"] = f"{name}-{value}"
        elif not value.startswith("rotate(-0 "):
            if key in _REFERENCES:
                value = value.replace("#", f"#{name}-")
            elif key == "style":
                named = r"var(--\1-text)" if element.tag == "text" else r"var(--\1)"
                value = re.sub(r"font-family: [^;]*;? ?", "", value)
                value = _COLOUR.sub(named, _NAMED.sub(lambda match: _NAMES[match[0]], value))
            value = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
            kept[key] = " ".join(value.split())
    element.attrib = kept
