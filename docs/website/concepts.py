"""Draws docs/concepts.svg: a fit, a training step, and the examples that strategies use, asked of the strategies.

python docs/website/concepts.py
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import torch

from svl.data import FullBatch, Online, Phases, ReuseDataModule, Subset, TwoSets, Zipf
from svl.data.draw import Draw
from svl.replicas import Replicas
from svl.tasks import Parity

SMALL, LARGE, INK, MUTED, RULE = "#E0A800", "#1B4FA8", "#1f2430", "#5b6270", "#d5d9e0"
STEPS, BATCH, SET, LARGEST = 24, 6, 24, 192
WIDTH, HEIGHT = 1120, 880


def used_indices(strategy: ReuseDataModule) -> list[tuple[int, int]]:
    """The pairs (step, index of an example) of a short fit of one replica."""
    replicas = Replicas(seeds=1)
    strategy.schedule(STEPS, 1)
    settings = strategy.settings_of(replicas)
    state, size = strategy.initial_state(settings), strategy.examples_at_once(settings, 0)
    steps = [Draw(settings, state, replicas.key(), torch.tensor(t), torch.tensor(0), size) for t in range(STEPS)]
    return [(int(draw.step), index) for draw in steps for index in strategy.indices(draw)[0].tolist()]


def text(x: float, y: float, content: str, size: int = 15, colour: str = INK, more: str = "") -> str:
    """A line of text; ``more`` are further attributes."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" {more}>{escape(content)}</text>'


def box(x: float, y: float, width: float, height: float, more: str) -> str:
    """A rectangle; ``more`` are further attributes."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {more}/>'


def fit() -> list[str]:
    """Arms times seeds, as a grid of networks."""
    drawn = [text(40, 56, "A fit trains replicas: arms × seeds", 20, more='font-weight="600"')]
    arms = [("size=8192, lr=1", SMALL, 0.55), ("size=8192, lr=3", SMALL, 1)]
    arms += [("size=online, lr=1", LARGE, 0.55), ("size=online, lr=3", LARGE, 1)]
    for column in range(10):
        drawn.append(text(214 + 30 * column, 92, str(column), 13, MUTED, 'text-anchor="middle"'))
    drawn.append(text(40, 92, "seed", 13, MUTED))
    for row, (name, colour, opacity) in enumerate(arms):
        y = 104 + 30 * row
        drawn.append(text(40, y + 17, name, 14))
        drawn += [
            box(202 + 30 * column, y, 24, 24, f'rx="5" fill="{colour}" fill-opacity="{opacity}"')
            for column in range(10)
        ]
    notes = [
        "Each square is a replica: one network.",
        "All replicas train together in one process.",
        "An arm is a row: one combination of the",
        "settings that vary (here size and rate).",
        "A seed is a column: the same initial",
        "weights and the same data in every arm.",
        "Statistics compare arms, seed by seed.",
    ]
    for row, note in enumerate(notes):
        drawn.append(text(560, 92 + 21 * row, note, 15, INK))
    return drawn


def step() -> list[str]:
    """What a training step does, in order, with the settings that decide it."""
    drawn = [text(40, 300, "A step, for every replica", 20, more='font-weight="600"')]
    parts = [
        ("index", "which examples?", "strategy", "data"),
        ("example", "input and target", "task", "data.task"),
        ("gradient", "of the mean loss", "network, loss", "model.network, .loss"),
        ("update", "new weights", "optimizer", "model.optimizer"),
        ("measurement", "on the test set", "callbacks", "trainer.callbacks"),
    ]
    interventions = {1: "data", 2: "gradients", 3: "weights"}
    for number, (name, meaning, decided_by, key) in enumerate(parts):
        x = 40 + 212 * number
        drawn += [
            box(x, 322, 180, 118, f'rx="10" fill="#f4f6fa" stroke="{RULE}" stroke-width="1.5"'),
            text(x + 90, 352, name, 18, INK, 'text-anchor="middle" font-weight="600"'),
            text(x + 90, 376, meaning, 14, MUTED, 'text-anchor="middle"'),
            text(x + 90, 404, decided_by, 15, LARGE, 'text-anchor="middle"'),
            text(
                x + 90, 426, key, 13, INK, 'text-anchor="middle" font-family="ui-monospace, Menlo, Consolas, monospace"'
            ),
        ]
        if number < len(parts) - 1:
            drawn.append(
                f'<path d="M{x + 184} 381 h20 m-7 -6 l7 6 l-7 6" fill="none" stroke="{INK}" stroke-width="2"/>'
            )
        if number in interventions:
            drawn += [
                f'<path d="M{x + 90} 466 v-20 m-5 7 l5 -7 l5 7" fill="none" stroke="{MUTED}" stroke-width="1.5"/>',
                text(x + 90, 484, f"interventions on {interventions[number]}", 13, MUTED, 'text-anchor="middle"'),
            ]
    return drawn


def strategies() -> list[str]:
    """The examples that each strategy uses: steps to the right, indices upwards."""
    task = Parity(20, 3)
    shown = [
        ("Online", "fresh examples only", Online(task, batch_size=BATCH)),
        ("Subset", "the first N, in epochs", Subset(task, SET, batch_size=BATCH)),
        ("FullBatch", "all of the first N", FullBatch(task, SET)),
        ("Phases", "small first, then larger", Phases(task, [12, 48, "online"], [8, 8], batch_size=BATCH)),
        ("TwoSets", "small set, fresh data", TwoSets(task, SET, 0.5, batch_size=BATCH)),
        ("Zipf", "some far more often", Zipf(task, 96, 1.2, batch_size=BATCH)),
    ]
    drawn = [
        text(40, 546, "A strategy is the rule for the index", 20, more='font-weight="600"'),
        text(
            40,
            570,
            "To the right the step, upwards the example's number. Blue: used for the first time. Yellow: used again.",
            14,
        ),
    ]
    wide, high, top = 152, 190, 640
    for number, (name, meaning, strategy) in enumerate(shown):
        left = 40 + 178 * number
        drawn += [
            text(left, 606, name, 17, INK, 'font-weight="600"'),
            text(left, 626, meaning, 13, MUTED),
            f'<path d="M{left} {top} v{high} h{wide}" fill="none" stroke="{INK}" stroke-width="1.2"/>',
            text(left + wide, top + high + 18, "step", 13, MUTED, 'text-anchor="end"'),
        ]
        seen: set[int] = set()
        for step_number, index in used_indices(strategy):
            x = left + 3 + (wide - 6) * step_number / (STEPS - 1)
            y = top + high - 4 - (high - 8) * index / LARGEST
            colour = LARGE if index not in seen else SMALL
            seen.add(index)
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.1" fill="{colour}"/>')
    return drawn


def page() -> str:
    """The whole picture as SVG."""
    parts = "\n".join([*fit(), *step(), *strategies()])
    background = box(0, 0, WIDTH, HEIGHT, 'rx="14" fill="white"')
    label = "A fit as a grid of arms and seeds; the five parts of a step; the examples that six strategies use"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"\n'
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">\n'
        f"{background}\n{parts}\n</svg>\n"
    )


if __name__ == "__main__":
    (Path(__file__).parents[1] / "concepts.svg").write_text(page(), encoding="utf-8")
