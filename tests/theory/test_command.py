"""``svl theory``: what it prints and writes, and what it refuses."""

import json

import pytest
from PIL import Image

from svl.theory.catalogue import NAMES

SHOWN = {
    "reuse_rate": ("plateau", "isotropic"),
    "no_gap": ("full batch", "steps"),
    "language_model": ("perplexity", "epochs"),
    "theorem_1": ("T_1, small a*", "population alone"),
    "corollary_2": ("random labels over true ones", "T_1 + T_2"),
    "lemmas": ("contraction of r", "good event", "lemma 12"),
    "regimes": ("binds", "phase 1 is empty"),
    "relu_neurons": ("population alone", "two phases are faster"),
    "sampling_bias": ("random labels", "rms q"),
    "neuron_fit": ("train loss", "last w"),
}


def test_the_names_are_listed(svl, tmp_path):
    for words in ((), ("--list",)):
        done = svl(tmp_path, "theory", *words)
        assert done.status == 0
        assert [line.split()[0] for line in done.out.splitlines()] == list(NAMES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name_writes_a_figure_and_numbers(svl, tmp_path, name):
    done = svl(tmp_path, "theory", name, "--size", "smoke", "--runs", "elsewhere")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == f"elsewhere/theory/{name}"
    assert all(part.lower() in " ".join(done.out.lower().split()) for part in SHOWN[name]), done.out
    folder = tmp_path / "elsewhere" / "theory" / name
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for kind in ("json", "png", "svg")}
    assert json.loads((folder / f"{name}.json").read_text())
    with Image.open(folder / f"{name}.png") as image:
        assert image.width > 800
    assert "<svg" in (folder / f"{name}.svg").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("theorem1",), "theory: got 'theorem1'; allowed: theorem_1, "),
        (("lemmas", "--size", "huge"), "--size: got 'huge'; allowed: smoke or default"),
        (("lemmas", "--sizes", "smoke"), "theory: got 'unrecognized arguments: --sizes smoke'; allowed: svl theory"),
        (("lemmas", "--seed", "3"), "--seed: got 3; allowed: 0, or a number above 0 with theorem_1, "),
        (("theorem_1", "--seed", "-1"), "--seed: got -1; allowed: 0, or a number above 0"),
        (("lemmas", "--runs", "file"), "--runs: got 'file'; allowed: a folder that can be written"),
    ],
)
def test_what_cannot_be_used_is_one_line(svl, tmp_path, words, line):
    (tmp_path / "file").touch()
    done = svl(tmp_path, "theory", *words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"svl: error: {line}")
    assert done.err.count("\n") == 1
