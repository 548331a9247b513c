"""Random small experiments, and random ways to spoil them, for the soak."""

import copy
import random

INPUTS = {
    "Parity": (lambda d: {"dim": d.randint(6, 12), "degree": d.randint(1, 4)}, "signs"),
    "Staircase": (
        lambda d: {"dim": d.randint(6, 12), "degree": d.randint(1, 4), "epsilon": d.choice([0.0, 0.5])},
        "stairs",
    ),
    "SingleIndex": (lambda d: {"dim": d.randint(4, 12), "noise": d.choice([0.0, 0.1])}, "real"),
    "LinearRegression": (lambda d: {"dim": d.randint(2, 12), "exponent": d.choice([0.0, 1.0])}, "real"),
    "ModularAddition": (lambda d: {"modulus": d.choice([3, 5, 7])}, "tokens"),
    "Facts": (lambda d: {"subjects": d.randint(4, 12), "relations": 2, "answers": 3, "noise_length": 2}, "tokens"),
    "InContextRegression": (lambda d: {"dim": d.randint(1, 3), "points": d.randint(2, 4)}, "context"),
}
LOSSES = {
    "signs": ["logistic", "hinge", "squared", "correlation"],
    "stairs": ["squared", "correlation"],
    "real": ["squared"],
    "tokens": ["cross_entropy"],
    "context": ["squared"],
}
OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.5},
    "SAM": {"lr": 0.1, "rho": 0.05},
    "Adam": {"lr": 0.01},
    "AdamW": {"lr": 0.01},
    "Lion": {"lr": 0.001},
    "Muon": {"lr": 0.01},
}
ON_WEIGHTS = {
    "EMA": {"decay": 0.9},
    "ClipNorm": {"max_norm": 0.5},
    "GradientBias": {"gamma": 0.5, "every": 3},
}
ON_LABELS = {"LabelNoise": {"rate": 0.2}, "Labels": {"kind": "random"}}
ON_INPUTS = {"BiasRemoval": {"kind": "mean"}, "AddedBias": {"samples": 8}}
CALLBACKS = {
    "NormRatio": {},
    "Norms": {},
    "Rates": {},
    "Throughput": {},
    "PhaseLog": {},
    "GradientSimilarity": {"batches": 2},
    "lightning.pytorch.callbacks.LearningRateMonitor": {},
    "lightning.pytorch.callbacks.ModelCheckpoint": {"every_n_train_steps": 7},
}


def of(name, settings):
    return {"class_path": name, "init_args": dict(settings)}


def strategy(draw, law, task):
    size = draw.choice([8, 24, 64, "online"])
    common = {"task": task, "test_size": draw.choice([16, 33, 64])}
    batch = {"batch_size": draw.choice([1, 4, 8])}
    kind = draw.randrange(8)
    if kind == 0:
        return of("FullBatch", common | {"size": draw.choice([8, 24]), "micro_batch_size": 8})
    if kind == 1:
        return of("Phases", common | batch | {"sizes": [8, 16, "online"], "durations": [9, 11]})
    if kind == 2 and law in ("signs", "tokens"):
        phases = {"phases": 2, "first": 8, "last": 24, "max_epochs": 5, "accuracy": 0.6}
        return of("AutomaticPhases", common | batch | phases)
    if kind == 3:
        return of("TwoSets", common | batch | {"size": 8, "probability": 0.5})
    if kind == 4:
        return of("Zipf", common | batch | {"size": 16, "exponent": draw.choice([0.5, 1.0])})
    if kind == 5 and task["class_path"] in ("Parity", "Staircase"):
        return of("Population", common | {"micro_batch_size": 64})
    return of("Subset", common | batch | {"size": size, "reuse": draw.choice(["epochs", "replacement"])})


def network(draw, law, name):
    if law in ("tokens", "context") or draw.random() < 0.15:
        readout = "all" if name == "Facts" else "last"
        return of("Transformer", {"width": 8, "depth": 1, "heads": draw.choice([1, 2]), "readout": readout})
    if law == "signs" and draw.random() < 0.1:
        return of("QuadraticNeuron", {"width": 8})
    activation = draw.choice(["relu", "sigmoid", "gelu"])
    return of("MLP", {"width": draw.choice([4, 8]), "depth": draw.choice([1, 2, 3]), "activation": activation})


def experiment(draw: random.Random) -> dict:
    """The config of a fit of a fraction of a second; a few of them do not fit together, which svl says in a line."""
    name = draw.choice(list(INPUTS))
    settings, law = INPUTS[name]
    optimizer = draw.choice(list(OPTIMIZERS))
    data = strategy(draw, law, of(name, settings(draw)))
    if law in ("signs", "stairs") and draw.random() < 0.4:
        parts = ON_INPUTS | (ON_LABELS if law == "signs" else {})
        chosen = draw.choice(list(parts))
        data["init_args"]["interventions"] = {"noise": of(chosen, parts[chosen])}
    vary = {}
    if draw.random() < 0.5:
        vary["model.optimizer.lr"] = [OPTIMIZERS[optimizer]["lr"], draw.choice([0.003, 1e30])]
    if data["class_path"] == "Subset" and draw.random() < 0.5:
        vary["data.size"] = [8, 24]
    model = {
        "network": network(draw, law, name),
        "loss": draw.choice(LOSSES[law]),
        "optimizer": of(optimizer, OPTIMIZERS[optimizer]),
        "compile": "never",
        "threads": 1,
        "init": draw.choice(["pytorch", "gaussian"]),
    }
    if draw.random() < 0.4:
        chosen = draw.sample(list(ON_WEIGHTS), draw.randint(1, 2))
        model["interventions"] = {part.lower(): of(part, ON_WEIGHTS[part]) for part in chosen}
    callbacks = draw.sample(list(CALLBACKS), draw.randint(0, 3))
    more = ["AveragedWeights"] if "ema" in model.get("interventions", {}) and draw.random() < 0.5 else []
    more += ["Feature"] if name in ("Parity", "Staircase") and draw.random() < 0.2 else []
    return {
        "experiment": "soak",
        "replicas": {"seeds": draw.randint(1, 3), "first_seed": draw.randint(0, 5), "vary": vary},
        "data": data,
        "model": model,
        "trainer": {
            "max_steps": draw.randint(8, 30),
            "log_every_n_steps": draw.choice([2, 3, 5]),
            "callbacks": [of(part, CALLBACKS.get(part, {})) for part in [*callbacks, *more]],
            "enable_progress_bar": False,
        },
        "checkpoint": {"every_n_steps": draw.choice([2, 7, 100])},
        "target": {"metric": "val/loss", "value": 0.5},
        "wandb": {"mode": "disabled"},
    }


NUMBERS = [-1, 0, 1, 2, 3, 2.5, -0.5, 1e-9, 1e30, 10**12, 2**63, 2**64, -(2**70), float("nan"), float("inf")]
JUNK = [
    *NUMBERS,
    None,
    True,
    False,
    "",
    " ",
    "x",
    "online",
    "null",
    "1e3",
    "3",
    "../..",
    "/",
    "a b",
    "a/b",
    "é→🙂",
    "[x]",
    "[/x]",
    "%s",
    "{}",
    "$HOME",
    "~",
    "x" * 300,
    "\n",
    "\x00",
    [],
    [[]],
    [1],
    [1, 2, 3],
    [None],
    ["a"],
    {},
    {"a": 1},
    {"": 1},
    {"class_path": "MLP"},
    {"class_path": "Subset", "init_args": {}},
    {"class_path": 3},
    {"init_args": {}},
    "os.system",
]
NAMES = [
    *INPUTS,
    *OPTIMIZERS,
    *ON_WEIGHTS,
    *CALLBACKS,
    "Subset",
    "Online",
    "MLP",
    "LabelNoise",
    "Labels",
    "PCGrad",
    "MuP",
    "Alpha",
    "Augmentation",
    "QueryKey",
    "SamplingBias",
    "ConvNet",
    "Dataset",
    "Text",
    "CrossEntropy",
    "Squared",
    "torch.nn.Linear",
    "torch.optim.SGD",
    "builtins.print",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.Timer",
    "svl.data.ReuseDataModule",
    "svl.optim.UpdateRule",
    "nothing.Here",
    "Mpl",
    "",
]
WORDS = [
    "--data.batch_size",
    "--replicas.seeds",
    "--model.network.width",
    "--trainer.max_steps",
    "--ckpt_path",
    "--run_id",
    "--experiment",
    "--runs",
    "--config",
    "--data",
    "--data.task",
    "--model.loss",
    "--model.optimizer",
    "--target.metric",
    "--replicas.vary.data.size",
    "--replicas.vary",
    "--replicas.arms",
    "--trainer.callbacks",
    "--trainer.devices",
    "--trainer.accelerator",
    "--model.measure_at",
    "--model.block_size",
    "--model.precision",
    "--model.groups",
    "--wandb.mode",
    "--model.schedules.lr",
    "--trainer.max_time",
    "--trainer.profiler",
    "--checkpoint.every_n_seconds",
    "--data.axes",
    "--data.streams",
    "--data.batch_ratio",
    "--model.metrics",
    "--figure",
    "--print_config",
    "--explain",
    "--model.route",
]


def places(tree, path=()):
    """Every value in a config: its container and its key there."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from places(tree[key], (*path, key))


def spoilt(draw: random.Random, config: dict) -> tuple[dict, list[str]]:
    """A config with one or two random changes, and further words for the command line."""
    config, words = copy.deepcopy(config), []
    for _ in range(draw.choice([1, 1, 1, 2])):
        tree, key = draw.choice(list(places(config)))
        kind = draw.randrange(8)
        if kind <= 2:
            tree[key] = copy.deepcopy(draw.choice(JUNK))
        elif kind == 3:
            tree[key] = draw.choice(NUMBERS)
        elif kind == 4 and isinstance(tree, dict):
            text = str(key)
            place = draw.randrange(len(text) + 1)
            tree[text[:place] + draw.choice("qx_. ") + text[place + draw.randrange(2) :]] = tree.pop(key)
        elif kind == 5:
            del tree[key]
        elif kind == 6:
            named = [(part, name) for part, name in places(config) if name == "class_path"]
            tree, key = draw.choice(named) if named else (tree, key)
            tree[key] = draw.choice(NAMES)
        else:
            value = draw.choice([*map(str, draw.sample(JUNK, 3)), "[1, 2]", "[8, online]", "{a: {lr: 1}}"])
            words += [draw.choice(WORDS)] + [value] * draw.choice([0, 1, 1, 1, 2])
    return config, [word.replace("\x00", "0") for word in words]
