"""A new kind of claim is one new file: a config can name it, and it is judged like any other."""

import sys
from pathlib import Path

import pytest
import yaml

from svl.errors import SettingError
from svl.reproduction import claims, paper_figure
from svl.reproduction.verdict import Verdict

ROOT = Path(__file__).parents[2]
SOURCE = '''
"""An arm ends above a level."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from svl.errors import SettingError
from svl.reproduction.claim import Claim
from svl.reproduction.outcome import Outcome
from svl.reproduction.verdict import Tested, judge
from svl.results import statistics


@dataclass(frozen=True)
class EndsAbove(Claim):
    keyword: ClassVar[str] = "ends above"

    arm: str
    level: float
    tuned: str = "model.optimizer.lr"

    def names(self) -> list[str]:
        return [self.arm]

    def check(self, tuned: Collection[str], settings: Collection[str]) -> None:
        if self.tuned not in tuned:
            raise SettingError("tuned", self.tuned, ", ".join(sorted(tuned)))

    def test(self, outcome: Outcome) -> Tested:
        end = outcome.mean(statistics.value_at(outcome.arms[self.arm], outcome.metric).to_numpy())
        return Tested(f"{self.arm} ends above {self.level}", "last value", end, judge(end, self.level))
'''


@pytest.fixture
def ends_above(monkeypatch, tmp_path):
    """The folder of claims with one more module in it."""
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "ends_above.py").write_text(SOURCE)
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(folder)])
    yield
    del sys.modules["svl.reproduction.claims.ends_above"]
    del claims.ends_above


def own_figure(folder, **claim):
    """A shipped figure's config with this one claim."""
    content = yaml.safe_load((ROOT / "configs" / "liu2026" / "fig02a.yaml").read_text(encoding="utf-8"))
    content["figure"]["claims"] = [{"claim": "ends above", "arm": "small", **claim}]
    path = folder / "configs" / "liu2026" / "own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(content))


def test_shipped_claims_are_those_of_the_modules():
    assert set(claims.known()) == {
        *(
            "ahead",
            "faster",
            "interior optimum",
            "measured",
            "no gap",
            "optimum at the end",
            "ratio of best rates",
            "trend",
        )
    }


def test_a_claim_in_a_new_file_is_known_and_judged(ends_above, outcome, onsets):
    claim = claims.read("c.0", {"claim": "ends above", "arm": "small", "level": 0.75}, {"small": None})
    data = outcome(small=onsets(200), large=[2000.0] * 8)
    assert claim.test(data).verdict is Verdict.REPRODUCED
    slow = claims.read("c.0", {"claim": "ends above", "arm": "large", "level": 0.75}, {"large": None})
    assert slow.test(data).verdict is Verdict.NOT_REPRODUCED
    for wrong, key in (({"arm": "smal", "level": 0.5}, "c.0"), ({"arm": "small"}, "c.0.level")):
        with pytest.raises(SettingError) as refused:
            claims.read("c.0", {"claim": "ends above", **wrong}, {"small": None})
        assert refused.value.key == key
    with pytest.raises(SettingError, match="did you mean 'ends above'"):
        claims.read("c.0", {"claim": "ends abov"}, {})


@pytest.mark.slow
def test_a_figure_can_make_the_new_claim(ends_above, svl, tmp_path):
    own_figure(tmp_path, level=0.75)
    done = svl(tmp_path, "reproduce", "liu2026/own", "--scale", "smoke")
    assert done.status == 0, done.err
    assert "small ends above 0.75" in done.out


def test_what_a_new_claim_cannot_use_is_refused_before_the_training(ends_above, tmp_path, monkeypatch):
    own_figure(tmp_path, level=0.75, tuned="model.optimizer.momentum")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError) as refused:
        paper_figure.read("liu2026/own", "smoke")
    assert refused.value.key == "figure.claims.0.tuned"
