"""The completion of a shell, by the shell itself."""

import shutil
import subprocess
import sys

import pytest

COMPLETE = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_svl "" "${{COMP_WORDS[COMP_CWORD]}}"
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(svl, tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    (folder / "svl.bash").write_text(svl(folder, "--print_completion", "bash").out)
    return folder / "svl.bash"


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("svl re", {"report", "reproduce"}),
        ("svl fit --data.task.d", {"--data.task.dim", "--data.task.degree"}),
        ("svl fit --model.optimizer.weight", {"--model.optimizer.weight_decay"}),
        ("svl fit --trainer.max_s", {"--trainer.max_steps"}),
        ("svl fit --model.compile ''", {"auto", "always", "never"}),
        ("svl fit --model.compile a", {"auto", "always"}),
        ("svl theory the", {"theorem_1"}),
        ("svl reproduce liu2026/fig02", {f"liu2026/fig02{letter}" for letter in "abcd"}),
        ("svl configs sh", {"show"}),
        ("svl configs show quick", {"quickstart"}),
        ("svl sweep run --pro", {"--processes"}),
    ],
)
def test_bash_completes_subcommands_settings_and_names(script, words, expected):
    program = COMPLETE.format(script=script, words=words)
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) >= expected
    begun = words.split()[-1].strip("'")
    assert all(word.startswith(begun) for word in done.stdout.split())


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(svl, tmp_path, shell):
    told = svl(tmp_path, "--print_completion", shell)
    assert told.status == 0 and "data.task.degree" in told.out


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_another_shell_is_refused(svl, tmp_path, words):
    told = svl(tmp_path, "--print_completion", *words)
    assert told.status == 2 and told.err.startswith("svl: error: --print_completion: got ")
    assert "one of bash, zsh, tcsh" in told.err and told.err.count("\n") == 1


def test_without_shtab_one_line_says_how_to_install_it(svl, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.setattr("svl.extras.find_spec", lambda package: None)
    told = svl(tmp_path, "--print_completion", "bash")
    assert told.status == 2
    assert told.err == (
        "svl: error: --print_completion: got 'no package shtab'; allowed: after pip install \"svl[completion]\"\n"
    )
