"""Where the C++ libraries are built, and which one is loaded."""

import os
import tempfile
from pathlib import Path

import pytest

from svl import native


def build_of(*arguments) -> Path:
    return Path(native.load("epochs", *arguments)._name)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The caches, in the order in which they are tried, and a folder for temporary files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caches = (tmp_path / "cache" / "svl" / "native", tmp_path / "home" / ".cache" / "svl" / "native")
    return *caches, tmp_path / f"svl-native-{os.getuid()}"


def test_a_library_is_built_once_for_each_instruction_set(folders):
    first = build_of()
    assert first.parent == folders[0]
    built = first.stat().st_mtime_ns
    assert build_of() == first and first.stat().st_mtime_ns == built
    assert build_of(()) != first


def test_only_the_user_can_write_to_the_folder(folders):
    assert build_of().parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_can_write_to_is_not_used(folders):
    cache, home, temporary = folders
    planted = cache / build_of().name
    planted.write_bytes(b"not a library")
    cache.chmod(0o777)
    assert build_of().parent == home
    home.chmod(0o770)
    assert build_of().parent == temporary


def test_without_a_private_folder_there_is_no_library(folders):
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(0o775)
    with pytest.raises(native.BuildError, match="no folder to build in that only this user can write to"):
        build_of()


def test_a_library_that_cannot_be_built_is_tried_once_in_a_process(tmp_path, folders):
    calls = tmp_path / "calls"
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\necho called >> {calls}\n[ "$1" = --version ] || {{ echo no such option >&2; exit 1; }}\n'
    )
    compiler.chmod(0o755)
    for _ in range(2):
        with pytest.raises(native.BuildError, match="no such option"):
            native.library("epochs", (), str(compiler))
    # Its version, and whether it knows the options with and without threads.
    assert len(calls.read_text().splitlines()) <= 3
