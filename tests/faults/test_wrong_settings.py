"""Hundreds of wrong settings, drawn: each is one line that names its key, exit status 2, nothing left behind."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 200
FIT = ["--model.compile", "never", "--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
WHOLE = {
    "subset": [
        *("data.size", "data.batch_size", "data.test_size", "data.task.dim", "data.task.degree", "model.network.width"),
        *(
            "model.network.depth",
            "replicas.seeds",
            "trainer.max_steps",
            "trainer.log_every_n_steps",
            "model.block_size",
        ),
        *("checkpoint.every_n_steps", "model.threads", "trainer.devices"),
    ],
    "phases": ["data.batch_size", "data.test_size", "replicas.seeds", "trainer.max_steps"],
}
REAL = ["model.optimizer.lr", "model.optimizer.momentum", "model.optimizer.weight_decay", "checkpoint.every_n_seconds"]
NO_WHOLE = ["many", "[1, 2]", "{a: 1}", "true", "-1", "0", "-7.5", "1.5", ".nan", "-.inf", "1e400", "''"]
NO_REAL = ["many", "[1, 2]", "{a: 1}", "-1", "-7.5", "-.inf", ".nan", "''"]
CHOICES = ["data.reuse", "data.task.support", "model.loss", "model.init", "wandb.mode", "model.network.activation"]
CLASSES = ["data", "data.task", "model.optimizer", "model.network"]
METRICS = ["val/acuracy", "loss", "norm_ratio", "", "train"]
BASES = {
    "subset": ["--config", "configs/quickstart.yaml"],
    "phases": ["--config", "configs/parity/phases.yaml"],
    "automatic": ["--config", "configs/parity/automatic_phases.yaml"],
}


def letters(draw):
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz_", k=draw.randint(3, 9)))


def misspelt(draw, name):
    """One letter more, less or other."""
    place = draw.randrange(len(name))
    wrong = draw.choice(
        [name[:place] + name[place + 1 :], name[:place] + "q" + name[place:], f"{name[:place]}zq{name[place + 1 :]}"]
    )
    return wrong if wrong not in ("", name) else name + "q"


def wrong_type(draw):
    base = draw.choice(list(WHOLE))
    if draw.random() < 0.6:
        key = draw.choice(WHOLE[base])
        return base, [f"--{key}={draw.choice(NO_WHOLE)}"], key
    key = draw.choice(REAL if base == "subset" else REAL[3:])
    return base, [f"--{key}={draw.choice(NO_REAL)}"], key


def unknown_key(draw):
    prefix, _, last = draw.choice([*WHOLE["subset"], *REAL, *CHOICES, "target.metric", "experiment"]).rpartition(".")
    key = f"{prefix}.{misspelt(draw, last)}".lstrip(".")
    return "subset", [f"--{key}={draw.choice(['1', 'x', '[1]'])}"], key


def no_choice(draw):
    key = draw.choice(CHOICES)
    return "subset", [f"--{key}={draw.choice([letters(draw), '[a]', '-1'])}"], key


def no_class(draw):
    key = draw.choice(CLASSES)
    name = draw.choice(
        [letters(draw).title(), f"svl.{letters(draw)}.Thing", "collections.OrderedDict", "torch.nn.Linear"]
    )
    return "subset", [f"--{key}={name}"], key


def contradictory_phases(draw):
    sizes = sorted(draw.sample(range(16, 5000), draw.randint(2, 5)))
    durations = [draw.randint(1, 50) for _ in sizes[1:]]
    kind = draw.randrange(5)
    key = "data.sizes"
    if kind == 0:
        sizes.reverse()
    elif kind == 1:
        sizes[draw.randrange(len(sizes))] = draw.choice([0, -3, 2**21])
    elif kind == 2:
        sizes[-1] = sizes[0]
    elif kind == 3:
        key, durations = "data.durations", durations + [5] * draw.randint(2, 4)
    else:
        key, durations = "data.durations", [draw.choice([0, -1]), *durations[1:]]
    return "phases", [f"--data.sizes={sizes}", f"--data.durations={durations}", "--data.unit=steps"], key


def contradictory_ends(draw):
    first = draw.randint(200, 5000)
    last = draw.randint(1, first - 1)
    key = draw.choice(["data.first", "data.accuracy", "data.max_epochs", "data.phases"])
    wrong = {
        "data.first": [f"--data.first={first}", f"--data.last={last}"],
        "data.accuracy": [f"--data.accuracy={draw.choice([0, 1.5, -1, 'high'])}"],
        "data.max_epochs": [f"--data.max_epochs={draw.choice([0, -2, 1.5, 'x'])}"],
        "data.phases": [f"--data.phases={draw.choice([0, 1, -2, 1.5, 'x'])}"],
    }
    return "automatic", wrong[key], key


def shapes(draw):
    dim = draw.randint(1, 20)
    key, words = draw.choice([
        ("data.task.degree", [f"--data.task.dim={dim}", f"--data.task.degree={dim + draw.randint(1, 9)}"]),
        ("data.task.dim", [f"--data.task.dim={draw.randint(129, 999)}"]),
        ("data.size", ["--data.task.dim=10", f"--replicas.vary.data.size=[{draw.randint(1025, 9999)}]"]),
        ("model.groups.a.params", [f"--model.groups={{a: {{params: {letters(draw)}q.*}}}}"]),
        ("replicas.vary.model.network.width", ["--replicas.vary.model.network.width=[8, 16]"]),
        (f"replicas.vary.{letters(draw)}q", None),
        ("replicas.vary.data.size", [f"--replicas.vary.data.size={draw.choice(['4096', '[]', '[8, 8]', '{a: 1}'])}"]),
        ("target.metric", [f"--target.metric={draw.choice(METRICS)}"]),
        ("target.value", [f"--target.value={draw.choice([0, 1.5, '.nan', 'x'])}"]),
        ("experiment", [f"--experiment={draw.choice(['..', '/tmp', ' '])}"]),
        ("run_id", [f"--run_id={draw.choice(['a/b', '..', '.x', 'a b'])}"]),
        ("model.loss", ["--data.task=SingleIndex", "--model.loss=logistic"]),
    ])  # fmt: skip
    return "subset", words or [f"--{key}=[1, 2]"], key


@pytest.fixture(scope="module")
def cases():
    draw = random.Random(0)
    kinds = [wrong_type, unknown_key, no_choice, no_class, contradictory_phases, contradictory_ends, shapes]
    return [draw.choice(kinds)(draw) for _ in range(COUNT)]


RUN = """
import contextlib, io, json, sys
from svl.cli import main
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


@pytest.mark.slow
def test_every_wrong_setting_is_one_line_that_names_it(cases, tmp_path):
    """In one process, without the shape checks, which would come first."""
    given = json.dumps([["fit", *BASES[base], *FIT, *words] for base, words, _ in cases])
    done = subprocess.run([sys.executable, "-c", RUN], input=given, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == COUNT and done.stderr == ""
    wrong = []
    for (_, words, key), (status, out, err) in zip(cases, outcomes, strict=True):
        named = err.startswith((f"svl: error: {key}: got ", f"svl: error: {key}."))
        if (status, out, err.count("\n")) != (2, "", 1) or not named or "; allowed: " not in err:
            wrong.append((words, key, status, out, err))
    assert wrong == [], "\n".join(map(repr, wrong))
    assert not any(Path(tmp_path).iterdir())
