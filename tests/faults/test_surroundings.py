"""What clusters, homes and terminals do to a fit: it trains and its results stand, or one line says why not."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import yaml

from svl import caches, limits
from svl.cli import ending
from svl.results import atomic, figure, summary
from svl.results.lock import Lock
from svl.results.run_directory import RunDirectory

SLURM = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "job", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"}


def environment(**more):
    # On a busy machine two threads that wait for each other take many times as long as one.
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def fails(error):
    def failing(*arguments, **options):
        raise error

    return failing


def one_line(outcome, key):
    return outcome.status == 2 and outcome.err.startswith(f"svl: error: {key}: got ") and outcome.err.count("\n") == 1


# Results stand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "what", "status"),
    [
        (figure, "curves", "the figure", 0),
        (ending.tables, "table", "the table of arms", 0),
        (summary, "write", "the summary", 1),
        (ending.history, "finish", "the history's table", 1),
    ],
)
def test_a_part_that_fails_after_the_training_is_a_line_and_finish_makes_it(
    svl, tiny, tmp_path, monkeypatch, owner, name, what, status
):
    expected = svl(tmp_path, *tiny)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails(RuntimeError("no\nroom")))
        told = svl(tmp_path, *tiny, "--run_id", "it")
    run = tmp_path / "runs" / "tiny" / "it"
    assert told.status == status
    assert told.err == (
        f"svl: {what} could not be written (RuntimeError: no room); the training is done:"
        " svl finish runs/tiny/it tries again\n"
    )
    again = svl(tmp_path, "finish", "runs/tiny/it")
    assert (again.status, again.err, again.path) == (0, "", run)
    for file in ("history.parquet", "figures/curves.png"):
        assert (run / file).read_bytes() == (expected.path / file).read_bytes()
    assert json.loads((run / "summary.json").read_text())["finished"]


def test_only_a_run_that_has_ended_can_be_finished(svl, tiny, tmp_path):
    assert one_line(svl(tmp_path, "finish", "nothing"), "RUN")
    stopped = svl(tmp_path, *tiny, "--trainer.max_steps", "100000", "--trainer.max_time", "00:00:00:01")
    told = svl(tmp_path, "finish", str(stopped.path))
    assert one_line(told, "RUN") and f"--ckpt_path {stopped.path}/checkpoints/last.ckpt" in told.err


@pytest.mark.slow
def test_a_reader_that_has_gone_does_not_fail_a_fit(tiny, tmp_path):
    command = f"{sys.executable} -m svl {' '.join(map(repr, tiny))}; echo $? > status"
    subprocess.run(["bash", "-c", f"({command}) | true"], cwd=tmp_path, env=environment(), check=True, timeout=300)
    assert (tmp_path / "status").read_text() == "0\n"
    assert list(tmp_path.glob("runs/tiny/*/summary.json"))


@pytest.mark.slow
def test_figures_have_their_own_settings_and_backend(tiny, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    told = []
    for folder, more in (("with", {"MPLBACKEND": "module://nothing", "MPLCONFIGDIR": str(tmp_path)}), ("without", {})):
        (tmp_path / folder).mkdir()
        command = [sys.executable, "-m", "svl", *tiny]
        done = subprocess.run(
            command, cwd=tmp_path / folder, env=environment(**more), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        told.append((tmp_path / folder / done.stdout.splitlines()[-1] / "figures" / "curves.svg").read_bytes())
    assert told[0] == told[1]


def test_a_function_that_draws_leaves_the_users_settings_alone(tmp_path):
    rows = pd.DataFrame({"step": [0, 1], "samples": [0, 8], "seed": 0, "val/accuracy": [0.5, 1.0]})
    with mpl.rc_context({"font.size": 33.0, "text.usetex": True}):
        figure.save(figure.curves(rows, []), tmp_path / "curves")
        assert mpl.rcParams["font.size"] == 33.0 and mpl.rcParams["text.usetex"]


# Caches -----------------------------------------------------------------------------------------------------


def test_the_chain_of_caches(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    every = [
        tmp_path / "cache" / "svl" / "native",
        tmp_path / "home" / ".cache" / "svl" / "native",
        tmp_path / f"svl-native-{os.getuid()}",
    ]
    assert list(caches.folders("native")) == every
    assert [folder.stat().st_mode & 0o777 for folder in every] == [0o700] * 3
    every[0].chmod(0o720)
    assert list(caches.folders("native")) == every[1:]
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert list(caches.folders("native")) == every[1:]
    monkeypatch.setattr(Path, "home", fails(RuntimeError("Could not determine home directory.")))
    assert list(caches.folders("native")) == every[2:]
    assert not Path("relative").exists()


def test_a_folder_of_another_user_is_no_cache(tmp_path, monkeypatch):
    assert caches.is_private(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert not caches.is_private(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("compiles", ["never", "always"])
def test_a_cache_of_torch_that_cannot_be_written_is_a_line(tiny, tmp_path, compiles):
    words = [*tiny, "--model.compile", compiles, "--model.fused", "false"]
    more = {"TORCHINDUCTOR_CACHE_DIR": "/proc/nowhere", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "svl", *words],
        cwd=tmp_path,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
    )
    folder = tmp_path / "cache" / "svl" / "torch"
    expected = f"svl: torch keeps what it compiles in {folder} (/proc/nowhere: No such file or directory)\n"
    assert (done.returncode, done.stderr) == (0, expected)


COMPILER = """#!/bin/sh
case "$*" in
  *--version*) echo "a slow compiler"; exit 0 ;;
  *empty.cpp*) exit 0 ;;
esac
echo $$ > "$COMPILING"
sleep 300
"""


@pytest.mark.slow
def test_a_long_build_is_announced_and_a_signal_ends_it(tiny, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    more = {"CXX": str(compiler), "COMPILING": str(tmp_path / "pid"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "svl", *tiny, "--model.compile", "always"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    fit = subprocess.Popen(command, cwd=tmp_path, env=environment(**more), **streams)
    until = time.monotonic() + 300
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)
    began = time.monotonic()
    fit.send_signal(signal.SIGTERM)
    _, said = fit.communicate(timeout=60)
    assert fit.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM), said
    assert time.monotonic() - began < 30
    assert said.startswith("svl: building ") and "Traceback" not in said
    assert not is_alive((tmp_path / "pid").read_text().strip())
    assert not list((tmp_path / "cache").rglob("*.so")) and not list(tmp_path.glob("runs/tiny/*"))


# File systems -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_a_fit_trains_and_says_so(svl, tiny, tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", fails(OSError(number, os.strerror(number))))
    told = svl(tmp_path, *tiny, "--run_id", "it")
    assert told.status == 0
    assert told.err == (
        f"svl: runs/tiny/it has no locks ({os.strerror(number)}): nothing keeps another fit from writing there\n"
    )


def test_another_error_of_a_lock_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fails(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        Lock(tmp_path).acquire()


@pytest.mark.parametrize(
    ("number", "is_refused"), [(errno.EINVAL, False), (errno.EBADF, False), (errno.EIO, True), (errno.ENOSPC, True)]
)
def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, number, is_refused):
    real = os.fsync

    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    file = tmp_path / "file"
    if is_refused:
        with pytest.raises(OSError, match=os.strerror(number)), atomic.replacing(file) as temporary:
            temporary.write_text("whole")
    else:
        with atomic.replacing(file) as temporary:
            temporary.write_text("whole")
    assert file.read_text() == "whole"


def test_a_temporary_file_in_the_way_is_replaced(tmp_path):
    (tmp_path / "elsewhere").write_text("another's")
    (tmp_path / ".file.tmp").symlink_to(tmp_path / "elsewhere")
    with atomic.replacing(tmp_path / "file") as temporary:
        temporary.write_text("mine")
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "file").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "another's"


# Processes --------------------------------------------------------------------------------------------------


def test_a_fit_on_one_device_asks_no_cluster(svl, tiny, tmp_path, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    words = [*tiny, "--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "logs"]
    told = svl(tmp_path, *words)
    assert (told.status, told.err) == (0, "")
    assert list((tmp_path / "logs").rglob("metrics.csv")), "the only process logs, whatever its number in the job"
    assert svl(tmp_path, *tiny, "--explain").status == 0


def children_of(process):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_the_fits_of_a_sweep_end_with_it_also_when_it_is_killed(tiny, tmp_path):
    long = ["--trainer.max_steps", "1000000", "--checkpoint.every_n_steps", "100000"]
    words = [word for word in tiny if word not in ("--experiment", "tiny")]
    sweep = {
        "command": ["svl", *words, *long, "${args}"],
        "method": "grid",
        "parameters": {"model.optimizer.lr": {"values": [0.1, 0.2]}},
    }
    (tmp_path / "rates.yaml").write_text(yaml.safe_dump(sweep))
    command = [sys.executable, "-m", "svl", "sweep", "run", "rates.yaml", "--processes", "2"]
    runner = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while len(list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt"))) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    fits = children_of(runner.pid)
    assert len(fits) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/checkpoints/last.ckpt")}
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    while any(map(is_alive, fits)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_alive, fits))
    assert all(path.stat().st_mtime_ns > written for path, written in before.items()), "they have saved"


@pytest.mark.slow
def test_the_processes_of_a_fit_on_two_devices_end_when_the_first_is_killed(tiny, tmp_path):
    several = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.max_steps", "1000000"]
    command = [sys.executable, "-m", "svl", *tiny, *several]
    with (tmp_path / "log").open("wb") as log:
        fit = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 300
    while not list(tmp_path.glob("runs/tiny/*/checkpoints/last.ckpt")) and time.monotonic() < until:
        time.sleep(0.1)
    others = children_of(fit.pid)
    assert others, (tmp_path / "log").read_text()
    os.kill(fit.pid, signal.SIGKILL)
    fit.wait()
    until = time.monotonic() + 60
    while any(map(is_alive, others)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_alive, others))


def test_a_callback_that_needs_a_logger_is_refused_without_one(svl, tiny, tmp_path):
    told = svl(tmp_path, *tiny, "--trainer.callbacks", "[lightning.pytorch.callbacks.LearningRateMonitor]")
    assert one_line(told, "trainer.callbacks") and "no logger" in told.err
    assert not (tmp_path / "runs").exists()


# What a machine has -----------------------------------------------------------------------------------------


def root_of(folder, groups, **files):
    """A root with control groups, for ``svl.limits``."""
    texts = {"proc/self/cgroup": groups, "proc/meminfo": "MemTotal:  8000 kB\nSwapTotal:  0 kB\n", **files}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_limits_of_control_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    group = "sys/fs/cgroup/job/step"
    second = root_of(
        tmp_path / "2",
        "0::/job/step\n",
        **{
            f"{group}/memory.max": "max\n",
            "sys/fs/cgroup/job/memory.max": "4096\n",
            f"{group}/cpu.max": "250000 100000\n",
        },
    )
    assert (limits.memory(second), limits.cores(second)) == (4096, 3)
    first = root_of(
        tmp_path / "1",
        "4:memory:/job\n3:cpu,cpuacct:/job\n",
        **{
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2048\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert (limits.memory(first), limits.cores(first)) == (2048, 2)
    none = root_of(tmp_path / "0", "0::/\n")
    assert (limits.memory(none), limits.cores(none)) == (8000 * 1024, 64)
    assert (limits.memory(tmp_path / "no"), limits.cores(tmp_path / "no")) == (None, 64)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--data.batch_size", "1000000000000"], "data.batch_size"),
        (["--replicas.seeds", "100000000000"], "replicas.seeds"),
        (["--replicas.seeds", "3000000", "--model.network.width", "100000"], "replicas.seeds"),
    ],
)
def test_what_cannot_fit_in_memory_is_refused_before_any_work(svl, tiny, tmp_path, words, key):
    told = svl(tmp_path, *tiny, *words)
    assert one_line(told, key), told
    assert "memory" in told.err or "what fits in the" in told.err
    assert not (tmp_path / "runs").exists()


# Networks ---------------------------------------------------------------------------------------------------

OWN = """
from torch import nn
class InPlace(nn.Module):
    def __init__(self, input_shape, output_dim):
        super().__init__()
        self.linear = nn.Linear(input_shape[0], output_dim)
    def forward(self, x):
        return self.linear(x.mul_(0.5))
class OutOfPlace(InPlace):
    def forward(self, x):
        return self.linear(x * 0.5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("compiles", ["never", "always"])
def test_a_network_that_changes_its_inputs_is_measured_on_the_same_ones_each_time(
    svl, tiny, tmp_path, monkeypatch, compiles
):
    (tmp_path / "in_place_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    histories = []
    for name in ("InPlace", "OutOfPlace"):
        network = tiny.index("--model.network")
        words = [*tiny[:network], *tiny[network + 4 :], "--model.network", f"in_place_networks.{name}"]
        told = svl(tmp_path, *words, "--model.compile", compiles)
        assert told.status == 0, told.err
        histories.append(pd.read_parquet(told.path / "history.parquet"))
    pd.testing.assert_frame_equal(*histories)
    assert np.ptp(histories[0]["val/loss"]) > 0


def test_a_path_with_the_home_of_nobody_is_a_file_that_is_not_there(svl, tiny, tmp_path):
    data = [tiny[0], "--data", "Subset", "--data.task", "Text", "--data.task.paths", "[~nobody-of-that-name/texts]"]
    assert one_line(svl(tmp_path, *data, "--wandb.mode", "disabled"), "data.task.paths")
    data = [tiny[0], "--data", "Subset", "--data.task", "Dataset", "--data.task.dataset", "~nobody-of-that-name/a.npz"]
    assert one_line(svl(tmp_path, *data, "--wandb.mode", "disabled"), "data.task.dataset")


# W&B --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "variables", "key"),
    [
        ([], {"WANDB_MODE": "off"}, "WANDB_MODE"),
        ([], {"WANDB_INIT_TIMEOUT": "soon"}, "WANDB_INIT_TIMEOUT"),
        (["--wandb.project", "lab/parity"], {"WANDB_MODE": "offline"}, "wandb.project"),
    ],
)
def test_a_wrong_setting_of_wandb_is_a_line_before_training(svl, tiny, tmp_path, monkeypatch, words, variables, key):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = svl(tmp_path, *tiny, "--wandb.mode", "auto", *words)
    assert one_line(told, key), told
    assert not (tmp_path / "runs").exists()


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    from svl import tracking

    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "")
    tracking.check(tracking.Tracking())
    assert "WANDB_MODE" not in os.environ


@pytest.mark.slow
def test_wandb_disabled_is_heeded(tiny, tmp_path):
    own = environment(HOME=str(tmp_path))
    run = {"cwd": tmp_path, "env": own, "capture_output": True, "text": True, "timeout": 300}
    subprocess.run([sys.executable, "-m", "wandb", "disabled"], check=True, **run)
    done = subprocess.run([sys.executable, "-m", "svl", *tiny, "--wandb.mode", "auto"], **run)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("runs/tiny/*/wandb/*offline*"))


def test_a_lock_that_is_held_names_the_setting_that_was_given(tmp_path):
    held = RunDirectory(tmp_path / "it")
    (tmp_path / "it").mkdir()
    held.lock()
    with pytest.raises(ValueError, match="runs: got"):
        RunDirectory(tmp_path / "it").lock("runs")
    held.close()
