"""What comes from outside, a config or a checkpoint, runs no code of its own."""

import os
import pickle
import shutil

import pytest
import torch
import yaml


class Payload:
    """What unpickling it would do is make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def run(svl, tiny, tmp_path):
    return svl(tmp_path, *tiny).path


@pytest.mark.parametrize("wrap", [lambda payload: payload, lambda payload: {"state_dict": {}, "more": payload}])
def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(svl, tiny, run, tmp_path, wrap):
    path, mark = run / "checkpoints" / "last.ckpt", tmp_path / "executed"
    with pytest.raises(pickle.UnpicklingError):
        torch.save(wrap(Payload(mark)), path)
        torch.load(path, weights_only=True)
    before = path.read_bytes()
    for command in (["fit", *tiny[1:]], ["validate", *tiny[1:]]):
        told = svl(tmp_path, *command, "--ckpt_path", "last")
        assert told.status == 2 and told.err.startswith("svl: error: ckpt_path: got ")
        assert told.err.count("\n") == 1 and "a complete checkpoint" in told.err
    assert not mark.exists()
    assert path.read_bytes() == before
    # The payload is live: an unsafe load would run it.
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "experiment: !!python/object/apply:builtins.open [{mark}, w]",
        "model: {{network: !!python/name:os.system}}",
        "replicas: {{vary: !!python/object/new:os.system [touch {mark}]}}",
    ],
)
def test_a_config_with_code_in_it_is_refused_and_not_run(svl, tiny, tmp_path, text):
    mark = tmp_path / "executed"
    (tmp_path / "evil.yaml").write_text(text.format(mark=mark) + "\n")
    told = svl(tmp_path, *tiny, "--config", "evil.yaml")
    assert told.status == 2 and told.err.startswith("svl: error: --config: got 'evil.yaml'")
    assert not mark.exists() and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("key", "name", "arguments"),
    [
        ("model.network", "os.system", {}),
        ("model.network", "subprocess.check_call", {"args": ["touch", "executed"]}),
        ("data", "builtins.open", {"file": "executed", "mode": "w"}),
        ("data.task", "pathlib.Path", {}),
        ("trainer.callbacks", "subprocess.Popen", {"args": ["touch", "executed"]}),
    ],
)
def test_a_config_can_name_no_class_that_does_not_belong_there(svl, tiny, tmp_path, key, name, arguments):
    one = {"class_path": name, "init_args": arguments}
    value = [one] if key.endswith("callbacks") else one
    told = svl(tmp_path, *tiny, f"--{key}", yaml.safe_dump(value, default_flow_style=True).strip())
    assert told.status == 2 and told.err.startswith(f"svl: error: {key}"), told
    assert told.err.count("\n") == 1
    assert not (tmp_path / "executed").exists() and not (tmp_path / "runs").exists()


def test_two_fits_cannot_write_to_one_run_directory(svl, tiny, tmp_path):
    from svl.results.run_directory import RunDirectory

    named = [*tiny, "--run_id", "mine", "--ckpt_path", "auto"]
    done = svl(tmp_path, *named)
    assert done.status == 0 and done.path.name == "mine"
    before = {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()}
    held = RunDirectory(done.path)
    held.lock()
    told = svl(tmp_path, *named)
    assert told.status == 2 and "a run directory that no other fit is writing to" in told.err
    held.close()
    told = svl(tmp_path, *tiny, "--run_id", "mine")
    assert told.status == 2
    assert told.err.startswith("svl: error: run_id: got 'mine'; allowed: a name that no run in runs/tiny has yet")
    assert {path: path.read_bytes() for path in done.path.rglob("*") if path.is_file()} == before


def test_a_named_run_begins_goes_on_and_ends(svl, tiny, tmp_path):
    named = [*tiny, "--run_id", "mine", "--ckpt_path", "auto"]
    first = svl(tmp_path, *named)
    history = (first.path / "history.parquet").read_bytes()
    # Killed before its first checkpoint: begun again. Finished: left as it is.
    shutil.rmtree(first.path / "checkpoints")
    assert (svl(tmp_path, *named).path / "history.parquet").read_bytes() == history
    checkpoint = first.path / "checkpoints" / "last.ckpt"
    before = checkpoint.stat().st_mtime_ns
    assert svl(tmp_path, *named).path.name == "mine"
    assert checkpoint.stat().st_mtime_ns == before
    told = svl(tmp_path, *tiny, "--ckpt_path", "auto")
    assert told.status == 2 and "together with --run_id" in told.err
    for name in ("a/b", "..", "", ".hidden"):
        assert svl(tmp_path, *tiny, f"--run_id={name}").err.startswith("svl: error: run_id: got "), name
