"""The command line: every wrong setting is one line, and the right ones do what they say."""

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

QUICKSTART = ["fit", "--config", "configs/quickstart.yaml", "--model.compile", "never", "--wandb.mode", "disabled"]
QUICKSTART += ["--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1"]


@pytest.fixture(autouse=True)
def sketched(monkeypatch):
    """A figure takes longer than a tiny fit; what is in it is tested elsewhere."""
    from svl.results import figure

    monkeypatch.setattr(figure, "curves", lambda *settings: None)
    monkeypatch.setattr(figure, "save", lambda drawn, path: path.parent.mkdir(exist_ok=True))


def refused(outcome, key, fragment=""):
    """Exit status 2, one line that names the key, nothing on standard output and nothing left behind."""
    assert outcome.status == 2, outcome
    assert outcome.err.startswith(f"svl: error: {key}: got "), outcome.err
    assert outcome.err.count("\n") == 1 and outcome.err.endswith("\n")
    assert "; allowed: " in outcome.err
    assert fragment in outcome.err
    assert outcome.out == ""
    assert not (outcome.folder / "runs").exists()


# What is wrong ------------------------------------------------------------------------------------------------------

UNKNOWN = [
    ("--trainer.max_step 5", "trainer.max_step", "'trainer.max_steps'"),
    ("--trainer.precision 16", "trainer.precision", "model.precision"),
    ("--exprimnt x", "exprimnt", "'experiment'"),
    ("--max_steps 5", "max_steps", "'trainer.max_steps'"),
    ("--lr 5", "lr", "'model.optimizer.lr'"),
    ("--data.degree 5", "data.degree", "'data.task.degree'"),
    ("--data.batchsize 5", "data.batchsize", "'data.batch_size'"),
    ("--data.init_args.batchsize 5", "data.batchsize", "'data.batch_size'"),
    (
        "--data.task.degre 5",
        "data.task.degre",
        "got '5'; allowed: dim, degree, support (did you mean 'data.task.degree'?)",
    ),
    ("--model.network.widht 5", "model.network.widht", "'model.network.width'"),
    ("--model.optimizer.momentun 5", "model.optimizer.momentun", "'model.optimizer.momentum'"),
    ("--replicas.seed 5", "replicas.seed", "'replicas.seeds'"),
    ("--replicas.vary.data.sise [1]", "replicas.vary.data.sise", "'data.size'"),
    ("--model.groups {a:{param:x}}", "model.groups.a.param", "'model.groups.a.params'"),
    ("--trainer.callbacks [{class_path:Rates,init_args:{x:1}}]", "trainer.callbacks.0.x", "no settings"),
    ("--model.init.foo 3", "model.init.foo", "a setting that"),
    ("nonsense", "nonsense", "svl fit --help"),
]
TYPES = [
    ("--data.batch_size abc", "data.batch_size", "got 'abc'; allowed: a whole number"),
    ("--data.batch_size 1.5", "data.batch_size", "got '1.5'; allowed: a whole number"),
    ("--data.task.degree abc", "data.task.degree", "a whole number"),
    ("--data.size [1]", "data.size", "a whole number or text"),
    ("--data.size 2.5", "data.size", "'online', 'population'"),
    ("--model.network.width abc", "model.network.width", "a whole number"),
    ("--model.network.activation tanh", "model.network.activation", "'relu', 'gelu', 'sigmoid', 'quadratic'"),
    ("--model.optimizer.lr abc", "model.optimizer.lr", "a number"),
    ("--model.loss foo", "model.loss", "logistic, hinge, squared, correlation, cross_entropy, or the import path"),
    ("--model.block_size x", "model.block_size", "a whole number or null"),
    ("--model.groups [1]", "model.groups", "a mapping or null"),
    (
        "--model.groups {a:{params:layers.0.*},b:{params:layers.1.*,lr:x}}",
        "model.groups.b.lr",
        "got 'x'; allowed: a number or null",
    ),
    ("--replicas.seeds x", "replicas.seeds", "a whole number"),
    ("--replicas.vary [3]", "replicas.vary", "a mapping"),
    ("--replicas.vary.data.size 4096", "replicas.vary.data.size", "a list of one or more values"),
    ("--trainer.max_steps 1e-3", "trainer.max_steps", "got '1e-3'; allowed: a whole number"),
    ("--trainer.enable_progress_bar maybe", "trainer.enable_progress_bar", "true or false"),
    ("--trainer.max_time soon", "trainer.max_time", "DD:HH:MM:SS"),
    ("--target.value abc", "target.value", "a number"),
    ("--wandb.mode foo", "wandb.mode", "'auto', 'online', 'offline', 'disabled'"),
    ("--experiment", "experiment", "got nothing; allowed: one value"),
    ("--data.size", "data.size", "got nothing; allowed: one value"),
    ("--replicas 3", "replicas", "a mapping with settings of replicas"),
]
CLASSES = [
    ("--data Subse", "data", "got 'Subse'; allowed: AutomaticPhases, FullBatch, Online, Phases, Population, Subset"),
    ("--data Subse", "data", "(did you mean 'Subset'?)"),
    ("--data.class_path svl.data.Subse", "data", "(did you mean 'Subset'?)"),
    ("--data.task Parit", "data.task", "(did you mean 'Parity'?)"),
    ("--data.task svl.models.MLP", "data.task", "got 'svl.models.MLP'; allowed: Dataset, Facts,"),
    ("--model.network svl.models.MPL", "model.network", "(did you mean 'MLP'?)"),
    (
        "--model.network torch.nn.Linear",
        "model.network",
        "got 'Linear'; allowed: a network that can be built from",
    ),
    ("--model.optimizer AdamX", "model.optimizer", "(did you mean 'Adam'?)"),
    ("--trainer.callbacks [NormRatio,NormRatoi]", "trainer.callbacks", "(did you mean 'NormRatio'?)"),
]
VALUES = [
    ("--data.task.degree 21", "data.task.degree", "got 21; allowed: 1 to dim = 20"),
    ("--replicas.vary.data.size [2097152]", "data.size", "got 2097152; allowed: 1 to 1048576"),
    ("--data.size 2097152", "data.size", "got 2097152; allowed: 1 to 1048576"),
    ("--data.size big", "data.size", "'online', 'population'"),
    ("--data.batch_size 0", "data.batch_size", "at least 1"),
    ("--model.groups {a:{params:conv*}}", "model.groups.a.params", "layers.0.weight"),
    ("--model.optimizer.lr -1", "model.optimizer.lr", "at least 0"),
    ("--replicas.seeds 0", "replicas.seeds", "at least 1"),
    ("--replicas.vary.data.size []", "replicas.vary.data.size", "a list of one or more values"),
    ("--replicas.vary.data.size [4096,4096]", "replicas.vary.data.size", "differ"),
    ("--replicas.vary.model.optimizer.lr [-0.5]", "model.optimizer.lr", "a number"),
    ("--replicas.vary.data.batch_size [1,2]", "replicas.vary.data.batch_size", "sweep"),
    ("--replicas.vary.model.network.width [1,2]", "replicas.vary.model.network.width", "sweep"),
    ("--replicas.vary.model.optimizer [SGD]", "replicas.vary.model.optimizer", "sweep"),
    ("--target.metric val/acuracy", "target.metric", "(did you mean 'val/accuracy'?)"),
    (
        "--trainer.callbacks null --target.metric norm_ratio",
        "target.metric",
        "val/accuracy, train/accuracy, val/loss, train/loss",
    ),
    ("--target.value 90", "target.value", "at most 1"),
    ("--trainer.max_steps 0", "trainer.max_steps", "at least 1"),
    ("--trainer.max_steps -1", "trainer.max_steps", "at least 1"),
    ("--trainer.log_every_n_steps 0", "trainer.log_every_n_steps", "at least 1"),
    ("--trainer.accelerator abacus", "trainer.accelerator", "cpu"),
    ("--checkpoint.every_n_steps 0", "checkpoint.every_n_steps", "at least 1"),
    ("--checkpoint.every_n_seconds 0", "checkpoint.every_n_seconds", "above 0"),
    ("--experiment ../x", "experiment", "a name"),
    ("--runs /proc/nowhere", "runs", "a folder that can be written"),
    ("--config nope.yaml", "--config", "got 'nope.yaml'; allowed: an existing file"),
    ("--ckpt_path last", "ckpt_path", "there is none in runs/quickstart"),
    ("--model.route triton", "model.route", "null, or a route that serves this fit (the Triton kernel: "),
    ("--ckpt_path nope.ckpt", "ckpt_path", "'last', a file in the folder checkpoints"),
]


@pytest.mark.parametrize(("words", "key", "fragment"), [*UNKNOWN, *TYPES, *CLASSES, *VALUES])
def test_a_wrong_setting_is_one_line(svl, tmp_path, words, key, fragment):
    # Flow mappings are written without blanks so that the words can be split at blanks.
    words = [word.replace(":", ": ") if "{" in word else word for word in words.split()]
    refused(svl(tmp_path, *QUICKSTART, *words), key, fragment)


@pytest.mark.parametrize(
    ("words", "key", "fragment"),
    [
        (
            "fit",
            "data",
            "Online, Phases, Population, Subset, TwoSets, Zipf; this setting has no default",
        ),
        ("fit --data Subset", "data.task", "Text; this setting has no default"),
        ("fit --data.task Parity", "data", "got nothing"),
        (
            "fit --data FullBatch --data.task Parity",
            "data.size",
            "got nothing; allowed: a value; this setting has no default",
        ),
        ("fitt", "subcommand", "(did you mean 'fit'?)"),
        ("validate --data Online --data.task Parity", "ckpt_path", "'last'"),
        ("test --data Online --data.task Parity --ckpt_path last", "ckpt_path", "there is none"),
    ],
)
def test_a_missing_setting_is_one_line(svl, tmp_path, words, key, fragment):
    refused(svl(tmp_path, *words.split()), key, fragment)


@pytest.mark.parametrize(
    ("content", "key", "fragment"),
    [
        (
            "experimnt: x",
            "experimnt",
            "got 'x'; allowed: a setting that 'svl fit --help' lists (did you mean 'experiment'?)",
        ),
        ("trainer: {max_stepz: 3}", "trainer.max_stepz", "got 3; "),
        ("trainer: 3", "trainer", "a mapping with settings of trainer"),
        ("data: 3", "data", "got 3; "),
        (
            "data: {class_path: Subset, init_args: {batchsize: 3, task: {class_path: Parity}}}",
            "data.batchsize",
            "got 3; ",
        ),
        (
            "data: {class_path: Subset, init_args: {task: {class_path: Parity, init_args: {dim: two}}}}",
            "data.task.dim",
            "got 'two'; ",
        ),
        (
            "data: {class_path: Subset, init_args: {task: {class_path: Parity, init_args: {dmi: 2}}}}",
            "data.task.dmi",
            "'data.task.dim'",
        ),
        ("data: {class_path: Subsets}", "data", "got 'Subsets'; "),
        ("trainer: {callbacks: [{class_path: NormRatoi}]}", "trainer.callbacks.0", "'NormRatio'"),
        ("replicas: {vary: {data.sizzle: [1, 2]}}", "replicas.vary.data.sizzle", "'data.size'"),
        ("replicas: {vary: {data.size: 4}}", "replicas.vary.data.size", "a list of one or more values"),
        ("a: [", "--config", "line 2"),
        ("- 1", "--config", "a YAML file of settings"),
    ],
)
def test_a_wrong_config_is_one_line(svl, tmp_path, content, key, fragment):
    (tmp_path / "wrong.yaml").write_text(content + "\n")
    refused(svl(tmp_path, *QUICKSTART, "--config", "wrong.yaml"), key, fragment)


def number_settings():
    whole = [
        "data.batch_size",
        "data.test_size",
        "data.task.dim",
        "data.task.degree",
        "model.network.width",
        "model.network.depth",
    ]
    whole += [
        "replicas.seeds",
        "trainer.max_steps",
        "trainer.log_every_n_steps",
        "checkpoint.every_n_steps",
        "model.block_size",
    ]
    real = [
        "model.optimizer.lr",
        "model.optimizer.momentum",
        "model.optimizer.weight_decay",
        "checkpoint.every_n_seconds",
    ]
    words = st.sampled_from(["many", "[1, 2]", "{a: 1}", "true", "-1", "-7.5", "-.inf", ".nan"])
    return st.one_of(
        st.tuples(st.sampled_from(whole), st.one_of(words, st.just("1.5"), st.just("0"))),
        st.tuples(st.sampled_from(real), words),
    )


def misspelt():
    known = [
        "data.size",
        "data.task.support",
        "model.network.activation",
        "model.optimizer.lr",
        "trainer.max_steps",
        "target.metric",
    ]
    return st.tuples(st.sampled_from(known), st.integers(0, 30), st.sampled_from("xyz_")).map(
        lambda drawn: (drawn[0].rpartition(".")[0] + "." + insert(drawn[0].rpartition(".")[2], *drawn[1:]), "1")
    )


def insert(name, place, letter):
    return name[: place % (len(name) + 1)] + letter + name[place % (len(name) + 1) :]


@given(setting=st.one_of(number_settings(), misspelt()), from_file=st.booleans())
@settings(max_examples=16)
def test_drawn_wrong_settings_are_one_line(svl, tmp_path_factory, setting, from_file):
    (key, value), folder = setting, tmp_path_factory.mktemp("drawn")
    words = [f"--{key}={value}"]
    if from_file:
        tree = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            tree = {part: tree}
        for group in ("data", "model"):
            # Settings of a class are its init_args, in a file.
            for owner in ("task", "network", "optimizer"):
                if owner in tree.get(group, {}):
                    tree[group][owner] = {"init_args": tree[group][owner]}
        if "data" in tree:
            tree["data"] = {"init_args": tree["data"]}
        (folder / "wrong.yaml").write_text(yaml.safe_dump(tree))
        words = ["--config", "wrong.yaml"]
    refused(svl(folder, *QUICKSTART, *words), key)


def test_a_callback_that_cannot_measure_the_network_leaves_nothing(svl, tiny, tmp_path, monkeypatch):
    from svl.callbacks import NormRatio
    from svl.errors import SettingError

    def measure(self, module):
        raise SettingError("trainer.callbacks", "NormRatio", "networks that have weight matrices")

    monkeypatch.setattr(NormRatio, "measure", measure)
    refused(svl(tmp_path, *tiny), "trainer.callbacks")


# What is right ------------------------------------------------------------------------------------------------------


def test_help_needs_no_torch():
    program = (
        "import sys; from svl.cli import main; main(['--help']); main(['--version']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "svl fit --config configs/quickstart.yaml" in done.stdout
    assert done.stdout.endswith("False\n")


def test_help_of_a_subcommand_is_a_page_that_names_every_group(svl, tmp_path):
    outcome = svl(tmp_path, "fit", "--help")
    assert outcome.status == 0
    assert len(outcome.out.splitlines()) < 300
    assert "lightning.pytorch" not in outcome.out
    for name in (
        "--trainer.max_steps",
        "--model.optimizer",
        "--data",
        "--replicas.vary",
        "--target.value",
        "--ckpt_path",
        "--wandb.mode",
    ):
        assert name in outcome.out


def test_a_fit_writes_its_run_directory_and_prints_its_path_last(svl, tiny, tmp_path, monkeypatch):
    monkeypatch.undo()
    outcome = svl(tmp_path, *tiny, "--replicas.vary.data.size", "[32, online]")
    assert outcome.status == 0
    assert outcome.err == ""
    assert outcome.path.parent == tmp_path / "runs" / "tiny"
    names = {path.name for path in outcome.path.iterdir()}
    assert names == {"config.yaml", "history.parquet", "history.csv", "summary.json", "checkpoints", "figures", ".lock"}
    history = pd.read_parquet(outcome.path / "history.parquet")
    assert list(history["step"].unique()) == [0, 5, 10, 15, 20]
    assert list(history["data.size"].unique()) == ["32", "online"]
    summary = json.loads((outcome.path / "summary.json").read_text())
    assert summary["command"].startswith("svl fit --experiment tiny")
    assert "[32, online]" in summary["command"]
    assert summary["wall_seconds"] > 0
    assert f"figure: {outcome.path.relative_to(tmp_path)}/figures/curves.png" in outcome.out
    assert (outcome.path / "figures" / "curves.png").stat().st_size > 5000
    assert max(map(len, outcome.out.splitlines()[:-2])) <= 80


def test_the_resolved_config_runs_to_the_same_history(svl, tiny, tmp_path):
    vary = [
        "--replicas.vary.model.optimizer.lr",
        "[1e-3, 0.5]",
        "--data.reuse",
        "replacement",
        "--model.init",
        "gaussian",
    ]
    first = svl(tmp_path, *tiny, *vary)
    (tmp_path / "elsewhere").mkdir()
    again = svl(tmp_path / "elsewhere", "fit", "--config", str(first.path / "config.yaml"))
    printed = svl(tmp_path, *tiny, *vary, "--print_config")
    (tmp_path / "printed.yaml").write_text(printed.out)
    third = svl(tmp_path, "fit", "--config", "printed.yaml")
    expected = (first.path / "history.parquet").read_bytes()
    for other in (again, third):
        assert other.status == 0, other.err
        assert (other.path / "history.parquet").read_bytes() == expected
        assert (other.path / "config.yaml").read_text() == (first.path / "config.yaml").read_text()


def test_the_quickstart_runs_from_any_working_directory_with_other_arms(svl, tmp_path):
    words = ["--replicas.seeds", "2", "--trainer.max_steps", "3", "--data.test_size", "32"]
    outcome = svl(tmp_path, *QUICKSTART, *words, "--replicas.vary.data.size", "[4096, population, online]")
    assert outcome.status == 0
    assert list(pd.read_parquet(outcome.path / "history.parquet")["data.size"].unique()) == [
        "4096",
        "population",
        "online",
    ]


@pytest.mark.slow
def test_a_diverged_arm_is_reported_and_harms_no_other(svl, tiny, tmp_path):
    words = [*tiny, "--model.loss", "squared", "--trainer.max_steps", "40"]
    alone = svl(tmp_path, *words, "--replicas.vary.model.optimizer.lr", "[0.1]")
    both = svl(tmp_path, *words, "--replicas.vary.model.optimizer.lr", "[0.1, 1e20]")
    assert "2 of 4 replicas diverged" in both.out
    history = pd.read_parquet(both.path / "history.parquet")
    calm = history[history["model.optimizer.lr"] == 0.1].reset_index(drop=True)
    pd.testing.assert_frame_equal(calm, pd.read_parquet(alone.path / "history.parquet"))
    wild = history[(history["model.optimizer.lr"] == 1e20) & (history["step"] == 40)]
    assert wild["diverged"].all() and wild["val/loss"].isna().all()
    assert json.loads((both.path / "summary.json").read_text())["diverged"] == 2


@pytest.mark.slow
def test_commands_leave_the_process_as_it_was(svl, tiny, tmp_path):
    def state():
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric", "lightning", "")]
        return (
            sys.argv[:],
            list(warnings.filters),
            handlers,
            levels,
            dict(os.environ),
            torch.get_num_threads(),
            Path.cwd(),
        )

    svl(tmp_path, *tiny)
    before = state()
    for words in (
        tiny,
        ["fit", "--nonsense"],
        ["fit", "--help"],
        [*tiny, "--ckpt_path", "last"],
        ["test", *tiny[1:], "--ckpt_path", "last"],
    ):
        svl(tmp_path, *words)
        assert state() == before


@pytest.mark.slow
def test_a_time_limit_ends_a_fit_with_its_results_and_it_can_go_on(svl, tiny, tmp_path):
    words = [*tiny, "--trainer.max_steps", "4000"]
    stopped = svl(tmp_path, *words, "--trainer.max_time", "00:00:00:01")
    assert stopped.status == 0
    assert "stopped at step" in stopped.out and "max_time" in stopped.out
    last = pd.read_parquet(stopped.path / "history.parquet")["step"].max()
    assert 0 < last < 4000
    # The limit is on the whole run.
    more = svl(tmp_path, *words, "--trainer.max_time", "00:00:00:03", "--ckpt_path", "last")
    assert more.path == stopped.path
    assert pd.read_parquet(more.path / "history.parquet")["step"].max() > last


# Checkpoints ----------------------------------------------------------------------------------------------------------


def contract_files(path):
    return {
        file: (path / file).read_bytes()
        for file in ("config.yaml", "history.parquet", "history.csv", "checkpoints/last.ckpt")
    }


def test_resuming_a_finished_run_changes_nothing(svl, tiny, tmp_path):
    first = svl(tmp_path, *tiny)
    before = contract_files(first.path), json.loads((first.path / "summary.json").read_text())
    again = svl(tmp_path, *tiny, "--ckpt_path", "last")
    assert (again.status, again.out, again.err) == (0, first.out, "")
    after = contract_files(first.path), json.loads((first.path / "summary.json").read_text())
    for summary in (before[1], after[1]):
        del summary["command"]
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_measuring_a_checkpoint_prints_its_table_and_writes_nothing(svl, tiny, tmp_path, subcommand):
    fit = svl(tmp_path, *tiny, "--replicas.vary.data.size", "[32, online]")
    before = contract_files(fit.path) | {"summary": (fit.path / "summary.json").read_bytes()}
    listing = sorted(tmp_path.rglob("*"))
    words = [*tiny[1:], "--replicas.vary.data.size", "[32, online]", "--ckpt_path", "last"]
    outcome = svl(tmp_path, subcommand, *words)
    assert (outcome.status, outcome.err) == (0, "")
    assert sorted(tmp_path.rglob("*")) == listing
    assert contract_files(fit.path) | {"summary": (fit.path / "summary.json").read_bytes()} == before
    final = pd.read_parquet(fit.path / "history.parquet").query("step == 20")
    for size, rows in final.groupby("data.size"):
        (line,) = [line for line in outcome.out.splitlines() if line.split()[:1] == [size]]
        assert f"{100 * rows['val/accuracy'].mean():.1f}" in line
    # Another test set may be asked for, another network not.
    assert svl(tmp_path, subcommand, *words, "--data.test_size", "32").status == 0
    wrong = svl(tmp_path, subcommand, *words, "--model.network.width", "9")
    assert wrong.status == 2
    assert wrong.err.startswith("svl: error: model.network.width: got 9; allowed: 8, as in ")


@pytest.mark.slow
def test_a_checkpoint_keeps_its_settings(svl, tiny, tmp_path):
    svl(tmp_path, *tiny)
    for key, value in {
        "data.batch_size": "17",
        "model.optimizer.lr": "0.7",
        "trainer.log_every_n_steps": "4",
        "replicas.seeds": "3",
    }.items():
        outcome = svl(tmp_path, *tiny, f"--{key}", value, "--ckpt_path", "last")
        assert outcome.status == 2
        assert outcome.err.startswith(f"svl: error: {key}: got ")
        assert "a checkpoint keeps its settings" in outcome.err
    free = ["--checkpoint.every_n_seconds", "5", "--trainer.max_time", "00:01:00:00", "--wandb.project", "other"]
    assert svl(tmp_path, *tiny, *free, "--ckpt_path", "last").status == 0


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "shapes", "pickle"])
def test_a_file_that_is_no_checkpoint_of_the_run_is_refused(svl, tiny, tmp_path, damage):
    path = svl(tmp_path, *tiny).path / "checkpoints" / "last.ckpt"
    content = path.read_bytes()
    if damage == "foreign":
        torch.save({"state_dict": {"weight": torch.zeros(3)}, "loops": {}, "global_step": 3}, path)
    elif damage == "shapes":
        checkpoint = torch.load(path, weights_only=True)
        name = next(name for name, value in checkpoint["state_dict"].items() if isinstance(value, torch.Tensor))
        checkpoint["state_dict"][name] = torch.zeros(3)
        torch.save(checkpoint, path)
    elif damage == "pickle":
        # Loading it whole would run code.
        torch.save({"state_dict": {}, "loops": Path("x")}, path)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"not a checkpoint"}[damage])
    outcome = svl(tmp_path, *tiny, "--ckpt_path", str(path))
    assert outcome.status == 2
    assert outcome.err.startswith(f"svl: error: ckpt_path: got {str(path)!r}; allowed: a ")
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_last_is_the_latest_run_of_the_experiment(svl, tiny, tmp_path):
    runs = [svl(tmp_path, *tiny).path for _ in range(3)]
    assert svl(tmp_path, *tiny, "--ckpt_path", "last").path == runs[-1]
    assert svl(tmp_path, *tiny, "--ckpt_path", str(runs[0] / "checkpoints" / "last.ckpt")).path == runs[0]
    assert svl(tmp_path, *tiny, "--experiment", "other", "--ckpt_path", "last").status == 2
