"""Several hundred wrong settings: each is one line and exit status 2, and leaves no file."""

import random
import shutil
import time

import pytest
import yaml

SECONDS = 60
VALUES = [
    *("abc", "-1", "0", "1.5", "true", "null", "[]", "{}", "[1, 2]", "{a: 1}", "[null]", "-.inf", ".nan", "1e400"),
    *("'", '"', "[", "{", "*b", "&a", "!!python/object:os.system x", "%", "a: b: c", " ", "\u00e9", "9" * 40, "0x10"),
    *(
        "[abc, {a: 1}]",
        "{class_path: 3}",
        "{init_args: 3}",
        "{class_path: MLP, init_args: [1]}",
        "!!null",
        "- 1",
        "x=y",
    ),
]
NAMES = [
    *(
        "MPL",
        "Subse",
        "os.system",
        "torch.nn",
        "torch.nn.",
        ".MLP",
        "svl",
        "svl.models.MLP.x",
        "mine..x",
        "1.2",
        "MLP()",
    ),
    *(
        "builtins.int",
        "collections.OrderedDict",
        "subprocess.Popen",
        "svl.nothing.Net",
        "torch.optim.Adam",
        "callbacks",
    ),
    *("torch.nn.functional.relu", "svl.data.ReuseDataModule", "svl.tasks.Task", "lightning.pytorch.Trainer", "math.pi"),
]
CLASSES = [
    *(
        "data",
        "data.task",
        "model.network",
        "model.optimizer",
        "model.loss",
        "model.parameterisation",
        "trainer.logger",
    ),
    *("model.schedules.a", "model.interventions.a", "data.interventions.a", "trainer.callbacks", "trainer.callbacks+"),
]
KEYS = [
    *(
        "data.size",
        "data.batch_size",
        "data.test_size",
        "data.reuse",
        "data.axes",
        "data.interventions",
        "data.task.dim",
    ),
    *(
        "data.task.degree",
        "data.task.support",
        "model.network.width",
        "model.network.depth",
        "model.network.activation",
    ),
    *(
        "model.optimizer.lr",
        "model.optimizer.momentum",
        "model.groups",
        "model.init",
        "model.schedules",
        "model.compile",
    ),
    *("model.fused", "model.block_size", "model.threads", "model.precision", "replicas.seeds", "replicas.first_seed"),
    *("replicas.vary", "replicas.arms", "replicas.vary.data.size", "replicas.vary.model.optimizer.lr", "target.metric"),
    *(
        "target.value",
        "checkpoint.every_n_steps",
        "checkpoint.every_n_seconds",
        "wandb.mode",
        "wandb.project",
        "figure",
    ),
    *("trainer.max_steps", "trainer.log_every_n_steps", "trainer.max_time", "trainer.accelerator", "trainer.devices"),
    *("experiment", "run_id", "ckpt_path", "model", "data", "trainer", "replicas", "data.init_args", "model.network"),
]
CONFIG = """\
experiment: fuzz
data:
  class_path: Subset
  init_args: {task: {class_path: Parity, init_args: {dim: 8, degree: 2}}, size: 64}
model: {network: {class_path: MLP, init_args: {width: 8}}, optimizer: {class_path: SGD, init_args: {lr: 0.1}}}
replicas: {seeds: 2, vary: {data.size: [32, online]}}
"""


def misspelt(draw, name):
    place = draw.randrange(len(name))
    letter = draw.choice("abx_.-=")
    return draw.choice([name[:place] + name[place + 1 :], name[:place] + letter + name[place:], name + letter])


def wrong_words(draw):
    kind = draw.randrange(6)
    if kind == 0:
        return [f"--{misspelt(draw, draw.choice(KEYS))}", "1"]
    if kind == 1:
        return [f"--{draw.choice(KEYS)}", draw.choice(VALUES)]
    if kind == 2:
        return [f"--{draw.choice(CLASSES)}={draw.choice(NAMES)}"]
    if kind == 3:
        vary = {draw.choice(KEYS): draw.choice(VALUES), misspelt(draw, draw.choice(KEYS)): [1, 2]}
        return ["--replicas.vary", yaml.safe_dump(vary, default_flow_style=True)]
    if kind == 4:
        return [f"--{draw.choice(KEYS)}.{draw.choice(['x', 'a.b', 'class_path'])}={draw.choice(VALUES)}"]
    return [f"--{draw.choice(KEYS)}"]


def wrong_config(draw):
    kind, place = draw.randrange(3), draw.randrange(len(CONFIG))
    if kind == 0:
        return CONFIG[:place]
    if kind == 1:
        return CONFIG[:place] + draw.choice(["{", "]", ":", "\t", "- ", "'", "#", "x", "\x00"]) + CONFIG[place:]
    tree, keys = yaml.safe_load(CONFIG), []
    node = tree
    while isinstance(node, dict) and node and draw.random() < 0.8:
        keys.append((node, draw.choice(list(node))))
        node = node[keys[-1][1]]
    if keys:
        owner, key = keys[-1]
        owner[key] = draw.choice([None, 3, "abc", [1], {"a": 1}, {"class_path": "Nothing"}, True, {3: 4}, []])
    return yaml.safe_dump(tree)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """What is not wrong is trained for one step, without a figure."""
    from svl.results import figure

    monkeypatch.setattr(figure, "curves", lambda *settings: None)
    monkeypatch.setattr(figure, "save", lambda drawn, path: path.parent.mkdir(exist_ok=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(1))
def test_whatever_is_given_is_right_or_one_line(svl, tiny, tmp_path, seed):
    draw, failures, tried, end = random.Random(seed), [], 0, time.monotonic() + SECONDS
    words = [*tiny, "--trainer.max_steps", "1", "--trainer.callbacks", "null", "--trainer.accelerator", "cpu"]
    while time.monotonic() < end and tried < 600:
        tried += 1
        folder = tmp_path / str(tried)
        folder.mkdir()
        if draw.random() < 0.3:
            (folder / "wrong.yaml").write_text(wrong_config(draw))
            given = [*words, "--config", "wrong.yaml"]
        else:
            given = [*words, *wrong_words(draw)]
        try:
            done = svl(folder, *given)
            one_line = done.err.startswith("svl: error: ") and done.err.count("\n") == 1 and "; allowed: " in done.err
            left = {path.name for path in folder.iterdir()} - {"wrong.yaml"}
            right = done.status == 0 or (done.status == 2 and one_line and not done.out and not left)
            reason = f"{done.status}: {done.err}{done.out} {left}"
        except Exception as error:
            # The shape checks of the tests refuse some values before the class does that is given them.
            right, reason = "Type-check error" in str(error), repr(error)
        if not right:
            config = folder / "wrong.yaml"
            failures.append((given[len(words) :], config.read_text() if config.exists() else "", reason[:600]))
        shutil.rmtree(folder)
    assert not failures, "\n".join(map(str, failures))
    assert tried > 20
