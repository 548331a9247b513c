"""The seeds of confirming runs: every figure has a range of its own, which no exploratory run may use.

A figure's range has ``WIDTH`` seeds. The first ``REPORTED`` of them are for the reported replicas, the others for
tuning. The range of a figure never changes: new figures are added at the end of their paper's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from svl.errors import SettingError

FIRST, WIDTH, REPORTED = 2000, 1000, 800
_PLACES: Mapping[str, int] = {"liu2026": 0, "kotha2025": 100, "yan2025": 200, "svl": 300, "kopiczko2026": 400}
"""The place of each paper's first figure; there are a hundred places a paper."""
_ORDER: Mapping[str, str] = {
    "liu2026": """
        corollary_2 fig01a fig01b fig01c fig01d fig02a fig02b fig02c fig02d fig03a fig03b fig04_parity fig04_sim fig05
        fig06 fig07_parity fig07_sim fig08a fig08b fig08c fig09a fig09b fig09c fig09d fig10_parity fig10_sim fig11_depth
        fig11_width fig12_parity fig12_sim fig13 fig14_mlp fig14_transformer fig15 fig16_parity fig16_sim fig17
        fig18_parity fig18_sim fig19 fig20 fig21 fig22 fig23 fig24 fig25 fig27_modular_addition fig27_parity fig28
        fig29_parity fig29_sim fig30 section_6 theorem_1 footnote_2 footnote_8 gaussian losses remark_7 replacement
        smoother two_sets
    """,
    "kotha2025": """
        fig01_icl fig02_facts fig02_icl fig02_parity fig03 fig04_facts fig04_icl fig04_parity fig05_facts fig05_icl
        fig05_parity fig06 fig07_facts fig07_icl fig07_parity fig08 fig09 fig10 fig11 fig12
    """,
    "yan2025": "language_model linear_regression",
    "kopiczko2026": "fig01",
}


class Range(NamedTuple):
    """The seeds of a figure's confirming run.

    Attributes:
        reported: the first reported seed.
        tuning: the first tuning seed.
        end: the seed after the last.
    """

    reported: int
    tuning: int
    end: int


def places() -> dict[str, int]:
    """The place of every figure that has one."""
    return {
        f"{paper}/{name}": _PLACES[paper] + place
        for paper, names in _ORDER.items()
        for place, name in enumerate(names.split())
    }


def assigned(figure: str) -> Range:
    """The range of a figure.

    Raises:
        SettingError: for a figure without a range.
    """
    place = places().get(figure)
    if place is None:
        raise SettingError("figure", figure, "a figure with a range of seeds in svl/reproduction/confirming_seeds.py")
    first = FIRST + WIDTH * place
    return Range(first, first + REPORTED, first + WIDTH)
