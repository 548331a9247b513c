"""``svl power``: the table of a real run, and what it refuses."""

import pytest

CONFIG = ("--config", "configs/quickstart.yaml", "--trainer.max_steps", "40", "--target.value", "0.52")


@pytest.fixture(scope="module")
def run(svl, tmp_path_factory):
    words = ["fit", *CONFIG, "--replicas.seeds", "6", "--run_id", "a", "--trainer.log_every_n_steps", "5"]
    done = svl(tmp_path_factory.mktemp("power"), *words)
    assert done.status == 0, done.err
    return done.folder / "runs" / "quickstart" / "a"


def test_the_table_has_a_row_for_each_compared_arm(svl, run, tmp_path):
    done = svl(tmp_path, "power", str(run), "--gain", "2", "4")
    assert done.status == 0, done.err
    assert all(heading in done.out for heading in ("seeds for this", "for 2 times", "for 4 times", "80%"))
    assert sum(line.lstrip().startswith("8192") for line in done.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gain", "1"), "1 is not a speed-up"),
        (("--chance", "80"), "80 is not a probability"),
        (("--gain", "x"), "--gain"),
    ],
)
def test_wrong_words_are_one_line(svl, run, tmp_path, words, said):
    done = svl(tmp_path, "power", str(run), *words)
    assert done.status == 2 and said in done.err and done.err.count("\n") == 1


def test_a_folder_that_is_no_run_is_refused(svl, tmp_path):
    done = svl(tmp_path, "power", str(tmp_path))
    assert done.status == 2 and "run directory" in done.err


def test_a_run_of_three_seeds_is_refused(svl, run, tmp_path):
    words = ["fit", *CONFIG, "--replicas.seeds", "3", "--run_id", "few", "--trainer.log_every_n_steps", "5"]
    assert svl(tmp_path, *words).status == 0
    done = svl(tmp_path, "power", "runs/quickstart/few")
    assert done.status == 2 and "at least 4 seeds" in done.err
