import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml

from svl.results import history, summary
from svl.results.arm_label import arm_label
from svl.results.provenance import provenance

LR = "model.optimizer.lr"


def learning_curves(vary, onset, seeds=8, steps=2000, every=50, batch=128, spread=0.2, norm_ratio=True):
    """Logistic learning curves from 0.5 to 1; ``onset`` gives the median step of the jump from the settings."""
    generator = np.random.default_rng(0)
    luck = generator.normal(0, spread, seeds)
    step = np.arange(0, steps + 1, every)
    replicas = []
    for values in itertools.product(*vary.values()):
        settings = dict(zip(vary, values, strict=True))
        for seed in range(seeds):
            jump = onset(settings) * np.exp(luck[seed] + generator.normal(0, spread / 2))
            accuracy = np.float32(0.5 + 0.5 / (1 + np.exp(-(step - jump) / (0.05 * jump))))
            metrics = {"val/accuracy": accuracy, "val/loss": np.float32(1.4) * (1 - accuracy), "diverged": False}
            if norm_ratio:
                metrics["norm_ratio"] = accuracy * 3
            counters = {"step": step, "samples": step * batch, "arm": arm_label(settings), "seed": seed}
            replicas.append(pd.DataFrame({**counters, **{k: [v] * len(step) for k, v in settings.items()}, **metrics}))
    return pd.concat(replicas).sort_values("step", kind="stable").reset_index(drop=True)


@pytest.fixture(scope="session")
def curves_of():
    return learning_curves


@pytest.fixture(scope="session")
def two_arms():
    return learning_curves({"data.size": [4096, "online"]}, lambda s: 500 if s["data.size"] == 4096 else 1100)


@pytest.fixture(scope="session")
def nine_arms():
    onset = {4096: 300, 16384: 500, "online": 900}
    vary = {"data.size": [4096, 16384, "online"], "model.optimizer.lr": [0.1, 0.3, 1.0]}
    return learning_curves(vary, lambda s: onset[s["data.size"]] / s["model.optimizer.lr"] ** 0.5)


VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, the text by element, and the tables by caption."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words, self.tables, self.headings = [], [], [], {}, []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables.setdefault(self.caption, []).append(self.rows)

    def handle_data(self, text):
        self.words.append(text)
        if "caption" in self.open:
            self.caption += text
        elif {"th", "td"} & set(self.open):
            self.rows[-1][-1] += text
        elif self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings[-1] += text

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    def table(self, beginning):
        (rows,) = next(tables for caption, tables in self.tables.items() if caption.startswith(beginning))
        return rows[0], rows[1:]


def run_directory(path, rows, vary, finished=True, **changes):
    config = {
        "experiment": path.parent.name,
        "trainer": {"max_steps": 2000},
        "data": {
            "class_path": "svl.data.Subset",
            "init_args": {
                "reuse": "epochs",
                "size": "online",
                "batch_size": 128,
                "task": {"class_path": "svl.tasks.Parity", "init_args": {"dim": 20, "degree": 6}},
            },
        },
        "model": {
            "network": {"class_path": "svl.models.MLP", "init_args": {"width": 64}},
            "loss": "logistic",
            "optimizer": {"class_path": "svl.optim.SGD", "init_args": {"lr": 0.1}},
        },
        "replicas": {"seeds": 8, "vary": {key: rows[key].unique().tolist() for key in vary}},
        "target": {"metric": "val/accuracy", "value": 0.9},
    }
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config | changes, sort_keys=False))
    history.append(path, rows)
    if finished:
        history.finish(path)
        extra = {"wall_seconds": 75.25, "diverged": 0, **provenance(["fit", "--config", "a b.yaml", "--runs", "here"])}
        target = (config | changes)["target"]
        found = summary.summarise(history.read(path), vary, target["metric"], target["value"], extra=extra)
        summary.write(path, found)
    return path


@pytest.fixture(scope="session")
def make_run():
    """Writes a run directory from a history."""
    return run_directory


@pytest.fixture(scope="session")
def page_of():
    """Parses a page."""
    return Page


@pytest.fixture(scope="session")
def nine(nine_arms, tmp_path_factory):
    """A run whose slow arms never get to the target in some or most seeds, and where a seed diverged."""
    rows = nine_arms[(nine_arms["step"] <= 1000)].copy()
    gone = (rows["seed"] == 3) & (rows[LR] == 1.0) & (rows["step"] > 200)
    rows.loc[gone, ["val/accuracy", "val/loss", "norm_ratio"]] = np.nan
    rows.loc[gone, "diverged"] = True
    return run_directory(tmp_path_factory.mktemp("runs") / "nine" / "20260101-000000-aaaa", rows, ["data.size", LR])


@pytest.fixture(scope="session")
def page(nine, svl, tmp_path_factory):
    outcome = svl(tmp_path_factory.mktemp("elsewhere"), "report", str(nine))
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{nine / 'report.html'}\n"
    return Page((nine / "report.html").read_text(encoding="utf-8"))
