"""What a confirming run is: frozen claims in a commit, seeds that nobody has seen, and words that depend on both."""

import dataclasses
import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from svl.errors import SettingError
from svl.reproduction import confirming_seeds, lock, looks, paper_figure, record
from svl.reproduction import gallery as gallery_module
from svl.reproduction import standing as standing_module
from svl.reproduction.standing import CONFIRMING, EXPLORATORY, frozen_figure, seeds, seen, standing

NAME = "liu2026/fig06"


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True)


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    """An empty gallery in a repository, without the one that came with svl."""
    for module in (lock, looks, standing_module):
        monkeypatch.setattr(module, "ROOTS", ())
    git(tmp_path, "init")
    folder = tmp_path / "gallery"
    folder.mkdir()
    return folder


@pytest.fixture
def figure():
    return paper_figure.read(NAME)


def freeze(figure, gallery, message="frozen"):
    path = lock.write(lock.confirming(figure), gallery)
    if message:
        git(gallery.parent, "add", "-A")
        git(gallery.parent, "commit", "-m", message)
    return path


def test_every_figure_has_seeds_of_its_own_that_no_config_uses():
    figures = paper_figure.known()
    assert set(figures) <= set(confirming_seeds.places())
    ranges = [confirming_seeds.assigned(name) for name in confirming_seeds.places()]
    spans = sorted((one.reported, one.end) for one in ranges)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert spans[0][0] >= 2000
    used = [part for name in figures for part in seeds(paper_figure.read(name))]
    # Tuning seeds of exploratory runs, from 100,000 on, lie in a range that is nobody's.
    assert all(not looks.overlap([part], [range(*span) for span in spans]) for part in used)


def test_a_frozen_figure_fits_into_its_range():
    for name in paper_figure.known():
        figure = paper_figure.read(name)
        own, planned = confirming_seeds.assigned(name), lock.confirming(figure)
        assert all(own.reported <= part.start and part.stop <= own.end for part in seeds(planned))


def test_only_what_is_frozen_committed_and_unseen_confirms(figure, gallery, tmp_path):
    with pytest.raises(SettingError, match="--freeze"):
        frozen_figure(figure, gallery)
    path = freeze(figure, gallery, message="")
    run = frozen_figure(figure, gallery)
    found = standing(run, gallery, tmp_path)
    assert (found.kind, found.reasons) == (EXPLORATORY, (f"{path} is not committed",))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "frozen")
    found = standing(run, gallery, tmp_path)
    assert found.kind == CONFIRMING
    assert path.read_text().split("hash: ")[1].startswith(found.frozen)

    changed = dataclasses.replace(run, claims=run.claims[:-1])
    assert "are not those of" in standing(changed, gallery, tmp_path).reasons[0]
    for other in (
        dataclasses.replace(run, seeds=run.seeds + 1),
        run.on_seeds(0, 50),
        dataclasses.replace(run, target=("val/accuracy", 0.8)),
        dataclasses.replace(run, settings={"trainer.max_steps": 10}),
    ):
        assert standing(other, gallery, tmp_path).kind == EXPLORATORY
    words = dataclasses.replace(run, title="another", says="the same", deviations=["none"], panels=[], minutes=1.0)
    assert standing(words, gallery, tmp_path).kind == CONFIRMING

    looks.add(gallery, NAME, {"scale": "laptop", "seeds": [[run.first_seed + 3, 1]], "found": "agrees"})
    seen = standing(run, gallery, tmp_path)
    assert (seen.kind, seen.reasons) == (
        EXPLORATORY,
        (f"seeds {run.first_seed + 3} to {run.first_seed + 3} were seen before",),
    )


def test_a_lock_that_was_edited_is_refused(figure, gallery):
    path = freeze(figure, gallery)
    path.write_text(path.read_text().replace("arm: small", "arm: large", 1))
    with pytest.raises(SettingError, match="not changed"):
        frozen_figure(figure, gallery)


def test_a_second_freeze_has_other_seeds_than_the_first(figure, gallery, tmp_path):
    freeze(figure, gallery)
    first = frozen_figure(figure, gallery)
    result = gallery / NAME / "laptop" / CONFIRMING / "result.json"
    result.parent.mkdir()
    used = [[part.start, len(part)] for part in seeds(first)]
    result.write_text(json.dumps({"frozen": standing(first, gallery, tmp_path).frozen, "seeds": used}))
    assert standing(first, gallery, tmp_path).kind == CONFIRMING  # its own run, repeated
    explored = tmp_path / "reproduce" / NAME / "laptop" / "result.json"
    explored.parent.mkdir(parents=True)
    explored.write_text(json.dumps({"seeds": [[first.first_seed, 1]]}))
    assert standing(first, gallery, tmp_path).kind == EXPLORATORY
    again = lock.confirming(figure, seen=[range(start, start + count) for start, count in used])
    assert again.first_seed == first.first_seed + first.seeds
    assert not looks.overlap(seeds(again), seeds(first))


def test_scales_share_no_seeds(figure, gallery, tmp_path):
    freeze(figure, gallery)
    laptop = frozen_figure(figure, gallery)
    paper = paper_figure.read(NAME, "paper")
    # Frozen, and not yet run.
    planned = lock.confirming(paper, seen=seen(paper, gallery, tmp_path))
    assert not looks.overlap(seeds(planned), seeds(laptop))
    # Run: a lock at another scale that has the same seeds confirms nothing.
    result = gallery / NAME / "laptop" / CONFIRMING / "result.json"
    result.parent.mkdir()
    used = [[part.start, len(part)] for part in seeds(laptop)]
    result.write_text(json.dumps({"frozen": standing(laptop, gallery, tmp_path).frozen, "seeds": used}))
    freeze(paper, gallery, "the same seeds")
    assert "were seen before" in standing(frozen_figure(paper, gallery), gallery, tmp_path).reasons[0]
    lock.write(planned, gallery)
    git(tmp_path, "commit", "-am", "other seeds")
    assert standing(frozen_figure(paper, gallery), gallery, tmp_path).kind == CONFIRMING


def test_a_confirming_result_that_another_replaces_is_a_look(tmp_path):
    shipped = Path(__file__).parents[2] / "docs" / "gallery" / "liu2026" / "fig02a" / "laptop" / CONFIRMING
    first = record.read(shipped)
    again = dataclasses.replace(first, frozen="another", verdict="undecided", seeds=[[7, 1]])
    for each in (first, first, again, again):
        gallery_module.keep(each, shipped, tmp_path)
        (tmp_path / each.folder / "result.json").write_text(json.dumps(dataclasses.asdict(each)))
    (look,) = looks.read(tmp_path)[first.name]
    assert (look["found"], look["seeds"]) == (f"{first.verdict}, confirming", first.seeds)


def test_looks_are_counted_once(gallery):
    look = {"scale": "laptop", "seeds": [[0, 8]], "found": "agrees", "settings": "a"}
    for each in (look, look, look | {"settings": "b"}):
        looks.add(gallery, NAME, each)
    listed = looks.read(gallery)[NAME]
    assert len(listed) == 2
    assert listed[1]["changed"] == "the claims or the settings"


def test_the_page_has_the_words_of_the_config_that_was_frozen(gallery):
    kept = Path(__file__).parents[2] / "docs" / "gallery"
    place = Path("liu2026", "fig02a", "laptop")
    (gallery / place / CONFIRMING).mkdir(parents=True)
    shutil.copy(kept / place / "claims.lock", gallery / place)
    made = json.loads((kept / place / CONFIRMING / "result.json").read_text())
    words = paper_figure.read("liu2026/fig02a").deviations
    for frozen, is_todays in ((made["frozen"], True), ("another", False)):
        changed = made | {"frozen": frozen, "deviations": ["words of that time"]}
        (gallery / place / CONFIRMING / "result.json").write_text(json.dumps(changed))
        page = gallery_module.write(gallery).read_text()
        assert (words[0] in page) == is_todays
        assert ("words of that time" in page) != is_todays


@pytest.mark.slow
def test_a_confirming_run_says_reproduced_and_an_exploratory_one_does_not(svl, gallery, tmp_path):
    name = "liu2026/section_6"
    options = ("--gallery_folder", "shown")
    explored = svl(tmp_path, "reproduce", name, "--gallery", *options)
    assert "agrees (exploratory)" in explored.out and "reproduced" not in explored.out
    assert svl(tmp_path, "reproduce", name, "--confirm", *options).status == 2
    assert svl(tmp_path, "reproduce", name, "--freeze", *options).status == 0
    # In runs of its own: whoever sees these could not confirm on their seeds any more.
    early = svl(tmp_path, "reproduce", name, "--confirm", *options, "--runs", "early")
    assert "claims.lock is not committed" in early.out and "reproduced" not in early.out
    git(tmp_path, "add", "shown")
    git(tmp_path, "commit", "-m", "frozen")
    done = svl(tmp_path, "reproduce", name, "--confirm", "--gallery", *options)
    made = json.loads((tmp_path / "shown" / name / "laptop" / CONFIRMING / "result.json").read_text())
    assert made["verdict"] == "reproduced", done.out
    assert made["seeds"][0][0] == confirming_seeds.assigned(name).reported
    assert all(made[key] for key in ("commit", "machine", "command", "frozen", "freeze", "date"))
    page = (tmp_path / "shown" / "README.md").read_text()
    assert "✅ reproduced | agrees | 1 | laptop" in page
    assert "of 1 confirming results 1 say *reproduced*" in page


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("--freeze", "--confirm"), "--confirm"),
        (("--confirm", "--until-decided"), "--until-decided"),
        (("--freeze", "--scale", "smoke"), "--scale"),
    ],
)
def test_options_that_do_not_go_together_are_refused(svl, tmp_path, words, key):
    refused = svl(tmp_path, "reproduce", NAME, *words)
    assert refused.status == 2
    assert refused.err.startswith(f"svl: error: {key}: got ")


def test_the_locks_of_the_gallery_are_as_they_were_written():
    gallery = Path(__file__).parents[2] / "docs" / "gallery"
    locks = list(gallery.glob("*/*/*/claims.lock"))
    assert locks
    for path in locks:
        paper, name, scale, _ = path.parts[-4:]
        assert lock.read(f"{paper}/{name}", scale, gallery).path == path


def test_a_confirming_result_is_that_of_its_lock():
    gallery = Path(__file__).parents[2] / "docs" / "gallery"
    for path in gallery.glob("*/*/*/confirming/result.json"):
        paper, name, scale = path.parts[-5:-2]
        assert json.loads(path.read_text())["frozen"] == lock.read(f"{paper}/{name}", scale, gallery).hash, path
