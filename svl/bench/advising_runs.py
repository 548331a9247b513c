"""How often ``svl advise`` recommends repetition over many real questions, which differ by their seeds alone.

    python -m svl.bench.advising_runs RUNS CONFIG --steps STEPS [--KEY VALUE ...]

Each run is a whole ``svl advise`` on seeds of its own. What was answered before is not trained again.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from svl.cli import main as svl

_APART = 10_000
"""Between the first seeds of two runs, which is more than a run has."""


def main(words: Sequence[str]) -> None:
    """Answer the question on many seeds, and print the share of recommendations after each."""
    runs, question = int(words[0]), list(words[1:])
    recommended = 0
    for number in range(runs):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            status = svl(["advise", *question, "--replicas.first_seed", str(_APART * number)])
        if status:
            raise SystemExit(status)
        advice = json.loads((Path(out.getvalue().splitlines()[-1]) / "advice.json").read_text(encoding="utf-8"))
        recommended += advice["recommendation"] == "repeat"
        low, high = stats.binomtest(recommended, number + 1).proportion_ci(0.95, "exact")
        gain = advice["gain"]["value"]
        print(
            f"{number + 1} runs, {recommended} recommend repetition, [{low:.1%}, {high:.1%}]; gain {gain:.3g}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
