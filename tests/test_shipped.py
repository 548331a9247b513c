"""The configs, sweeps and SLURM scripts that come with svl: listed, printed, copied, and found by name."""

from pathlib import Path

import pytest

from svl import shipped
from svl.config_file import locate

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("configs/**/*.yaml"), *(path for path in ROOT.glob("slurm/*") if path.is_file())])


def test_every_file_of_the_checkout_is_listed_with_a_line_about_it(svl, tmp_path):
    told = svl(tmp_path, "configs", "list")
    assert told.status == 0
    names = [line.split()[0] for line in told.out.splitlines() if line.startswith("  ")]
    assert len(names) == len(set(names)) == len(FILES)
    assert sorted(shipped.shipped()[name].path for name in names) == FILES
    assert all(len(line.split()) > 2 for line in told.out.splitlines() if line.startswith("  "))
    folders = [line for line in told.out.splitlines() if not line.startswith("  ")]
    assert folders[0] == "configs/" and folders[-1].startswith("slurm/") and len(folders) == len(set(folders))


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("# One thing. Another thing.\na: 1\n", "One thing"),
        ("# Liu et al. 2026, figure 2: what\n# it shows. More.\na: 1\n", "Liu et al. 2026, figure 2: what it shows"),
        ("#!/bin/bash\n# A script\necho\n", "A script"),
        ("# Does it? Three fits.\n", "Does it?"),
        ("a: 1\n", ""),
        ("", ""),
    ],
)
def test_the_line_about_a_file_is_its_first_sentence(tmp_path, text, about):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    assert shipped.Shipped("some", Path("configs/some.yaml"), path).about == about


@pytest.mark.parametrize("name", ["parity/online", "parity/online.yaml", "configs/parity/online.yaml"])
def test_a_file_is_printed_and_found_by_each_of_its_names(svl, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content = (ROOT / "configs" / "parity" / "online.yaml").read_text()
    assert svl(tmp_path, "configs", "show", name).out == content
    assert Path(locate(name)).read_text(encoding="utf-8") == content


def test_a_file_of_the_working_directory_comes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("experiment: mine\n")
    assert locate("quickstart") == "quickstart"


def test_copies_are_equal_and_nothing_is_written_over(svl, tmp_path):
    told = svl(tmp_path, "configs", "copy", "quickstart")
    assert (told.status, told.out) == (0, "quickstart.yaml\n")
    assert told.path.read_text() == (ROOT / "configs" / "quickstart.yaml").read_text()
    told.path.write_text("mine\n")
    again = svl(tmp_path, "configs", "copy", "quickstart")
    assert again.status == 2 and again.err.startswith(
        "svl: error: TO: got 'quickstart.yaml'; allowed: a file that does"
    )
    assert told.path.read_text() == "mine\n"
    assert svl(tmp_path, "configs", "copy", "quickstart", "--force").status == 0
    assert told.path.read_text().startswith("# Small against large")
    assert svl(tmp_path, "configs", "copy", "slurm/fit.sbatch", "jobs/mine.sbatch").out == "jobs/mine.sbatch\n"
    assert svl(tmp_path, "configs", "copy", "slurm/fit.sbatch", "jobs").out == "jobs/fit.sbatch\n"


def test_a_folder_is_copied_as_a_whole_or_not_at_all(svl, tmp_path):
    (tmp_path / "configs" / "sweeps").mkdir(parents=True)
    (tmp_path / "configs" / "sweeps" / "width.yaml").write_text("mine\n")
    refused = svl(tmp_path, "configs", "copy", "sweeps")
    assert refused.status == 2 and "configs/sweeps/width.yaml" in refused.err
    assert [path.name for path in (tmp_path / "configs" / "sweeps").iterdir()] == ["width.yaml"]
    told = svl(tmp_path, "configs", "copy", "sweeps", "here")
    assert told.out.splitlines() == ["here/search.yaml", "here/width.yaml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst"], "configs: got 'lst'; allowed: list, show, copy (did you mean 'list'?)"),
        (["show"], "configs show: got 'the following arguments are required: NAME'"),
        (["show", "parity/onlin"], "NAME: got 'parity/onlin'; allowed: a name that svl configs list shows (did you"),
        (["show", "parity"], "NAME: got 'parity'"),
        (["copy", "../pyproject.toml"], "NAME: got '../pyproject.toml'"),
        (
            ["list", "partiy"],
            "FOLDER: got 'partiy'; allowed: a name that svl configs list shows (did you mean 'parity'",
        ),
        (
            ["copy", "quickstart", "/proc/nothing/here.yaml"],
            "TO: got '/proc/nothing/here.yaml'; allowed: a file that can",
        ),
    ],
)
def test_what_does_not_exist_is_one_line(svl, tmp_path, words, said):
    refused = svl(tmp_path, "configs", *words)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith(f"svl: error: {said}") and refused.err.count("\n") == 1
    assert not any(tmp_path.iterdir())
