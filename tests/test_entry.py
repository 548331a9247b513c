"""The ways to start svl, and what they import."""

import subprocess
import sys

import pytest

from svl.bench.startup import LIGHT, LIMIT, cpu_seconds


@pytest.mark.parametrize("start", [["-m", "svl"], ["-c", "import sys; from svl.cli import main; sys.exit(main())"]])
def test_svl_starts_as_a_module_and_as_a_function(start):
    done = subprocess.run([sys.executable, *start, "fitt"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("svl: error: subcommand: got 'fitt'; allowed: fit, validate, test, ")


HEAVY = {
    *("torch", "lightning", "torchmetrics", "optuna", "wandb", "matplotlib", "pandas", "pyarrow", "numpy", "scipy"),
    *("jsonargparse", "sklearn"),
}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["fitt"], 2),
        (["theory"], 0),
        (["theory", "--list"], 0),
        (["sweep", "--help"], 0),
        (["sweep", "run", "--processes", "none"], 2),
        (["sweep", "run", "configs/sweeps/width.yaml", "--dry-run"], 0),
        (["sweep", "run", "no_such_file.yaml", "--dry-run"], 2),
        (["report", "--help"], 0),
        (["dashboard", "--help"], 0),
        (["finish", "--help"], 0),
        (["advise", "--help"], 0),
        (["power", "--help"], 0),
        (["schema", "--help"], 0),
        (["reproduce", "--help"], 0),
        (["reproduce", "--list"], 0),
        (["configs", "--help"], 0),
        (["configs", "list"], 0),
        (["configs", "show", "quickstart"], 0),
        (["configs", "copy", "sweeps"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_only_reads_yaml_or_prints_help_imports_nothing_heavy(words, status, tmp_path):
    program = (
        "import sys; from svl.cli import main; status = main(sys.argv[1:]); print(status, *sys.modules, sep='\\n')"
    )
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    lines = done.stdout.splitlines()
    first = max(place for place, line in enumerate(lines) if line == str(status))
    assert set(lines[first:]) & HEAVY == set()


@pytest.mark.parametrize("words", LIGHT)
def test_what_trains_nothing_takes_little_cpu_time(words, tmp_path):
    assert cpu_seconds(words.split(), tmp_path) < LIMIT
