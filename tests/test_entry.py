"""The ways to start svl, and what they import."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("start", [["-m", "svl"], ["-c", "import sys; from svl.cli import main; sys.exit(main())"]])
def test_svl_starts_as_a_module_and_as_a_function(start):
    done = subprocess.run([sys.executable, *start, "fitt"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("svl: error: subcommand: got 'fitt'; allowed: fit, validate, test, report")


HEAVY = {"torch", "lightning", "optuna", "wandb", "matplotlib", "pandas", "jsonargparse"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["theory", "--list"], set()),
        (["sweep", "--help"], set()),
        (["sweep", "run", "--processes", "none"], set()),
        (["report", "--help"], {"matplotlib", "pandas"}),
        (["dashboard", "--help"], {"matplotlib", "pandas", "torch", "lightning"}),
        (["reproduce", "--help"], set()),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_subcommand_imports_nothing_heavy_that_it_does_not_need(words, needed):
    program = "import sys; from svl.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert set(done.stderr.splitlines()[-1].split()) & HEAVY <= needed
