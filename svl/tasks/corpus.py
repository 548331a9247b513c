"""The bytes of text files, split into training and test files."""

from __future__ import annotations

import functools
import hashlib
import os
import sysconfig
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from svl.errors import SettingError

PATHS = "paths"
_SEPARATOR = b"\0"
_HIDDEN = (".*",)
# Left out of the standard library: installed packages, tests, example programs, and files made when Python is built.
_EXCLUDED_FROM_LIBRARY = (
    *("site-packages", "dist-packages", "test", "tests", "idle_test", "idlelib", "turtledemo", "__pycache__"),
    *("config-*", "_sysconfigdata*", *_HIDDEN),
)


@dataclass(frozen=True)
class Corpus:
    """The bytes of the training files and of the test files.

    Attributes:
        train: bytes of the training files.
        test: bytes of the held-out files.
        digest: SHA-256 of both, shortened, with the numbers of files and bytes; it does not depend on where files lie.
        parts: SHA-256 of each, shortened, by name.
    """

    train: UInt8[Tensor, "train"]
    test: UInt8[Tensor, "test"]
    digest: str
    parts: dict[str, str]


@functools.lru_cache(maxsize=4)
def read(places: tuple[str, ...] | None, pattern: str, held_out: float, max_bytes: int | None) -> Corpus:
    """The corpus of some files; the last few that were read are kept.

    Of a single file, the end is the test set, in place of the files that are held out of several.

    Args:
        places: absolute paths of files and folders, and patterns; ``None`` for Python's standard library.
        pattern, held_out, max_bytes: as :class:`svl.tasks.Text` takes them.

    Raises:
        SettingError: for a place without files, files that cannot be read, or no file that is not empty.
    """
    named = sorted((zlib.crc32(os.fsencode(name)), name, path) for path, name in _files(places, pattern).items())
    files: list[tuple[str, Path]] = []
    total = 0
    for _, name, path in named:
        size = path.stat().st_size
        if size and total + size <= (max_bytes or float("inf")):
            files.append((name, path))
            total += size
    if len(files) == 1 == len([path for _, _, path in named if path.stat().st_size]):
        text = _content(files[0][1])
        cut = len(text) - max(1, round(held_out * len(text)))
        return _corpus(text[:cut], text[cut:], f"1 file, {total} bytes")
    if len(files) < 2:
        key, value = (PATHS, places and list(places)) if max_bytes is None else ("max_bytes", max_bytes)
        allowed = (
            f"two files or more of the pattern {pattern!r} that are not empty, since some are held out; or one alone"
        )
        raise SettingError(key, value, allowed)
    count = min(max(1, round(held_out * len(files))), len(files) - 1)
    train, test = (
        _SEPARATOR.join(_content(path) for _, path in sorted(part)) for part in (files[count:], files[:count])
    )
    return _corpus(train, test, f"{len(files)} files, {total} bytes")


def _corpus(train: bytes, test: bytes, size: str) -> Corpus:
    both = hashlib.sha256(train), hashlib.sha256(test)
    digest = hashlib.sha256(b"".join(part.digest() for part in both)).hexdigest()[:16]
    parts = {name: part.hexdigest()[:16] for name, part in zip(("training text", "test text"), both, strict=True)}
    return Corpus(_tensor(train), _tensor(test), f"{digest} ({size})", parts)


def _files(places: tuple[str, ...] | None, pattern: str) -> dict[Path, str]:
    """Every file once, with its path relative to the folder in which it was found."""
    if places is None:
        library = Path(sysconfig.get_paths()["stdlib"])
        below = _below(library, library, pattern, _EXCLUDED_FROM_LIBRARY)
        return {path: name for path, name in below if path.suffix == ".py"}
    files: dict[Path, str] = {}
    for place in places:
        matches = dict(_at(place, pattern))
        if not matches:
            raise SettingError(
                PATHS, place, f"a file, or a folder or a pattern with files (of the pattern {pattern!r})"
            )
        for path, name in matches.items():
            files.setdefault(path.resolve(), name)
    return files


def _at(place: str, pattern: str) -> Iterator[tuple[Path, str]]:
    """The files that match one entry of ``paths``, with their relative paths."""
    root, matches = Path(place), [Path(place)]
    if not root.exists():
        parts = root.parts
        first = next((number for number, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
        root = Path(*parts[:first])
        matches = list(root.glob(str(Path(*parts[first:])))) if first < len(parts) else []
    for match in matches:
        if match.is_dir():
            yield from _below(match, root, pattern, _HIDDEN)
        elif match.is_file():
            yield match, match.name if match == root else match.relative_to(root).as_posix()


def _below(folder: Path, root: Path, pattern: str, excluded: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """The files in ``folder`` and its subfolders, with their paths relative to ``root``."""

    def is_kept(name: str) -> bool:
        return not any(fnmatchcase(name, other) for other in excluded)

    for parent, folders, names in os.walk(folder):
        folders[:] = filter(is_kept, folders)
        for path in (Path(parent, name) for name in names if fnmatchcase(name, pattern) and is_kept(name)):
            if path.is_file():
                yield path, path.relative_to(root).as_posix()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(PATHS, str(path), f"files that can be read ({error.strerror})") from None


def _tensor(text: bytes) -> UInt8[Tensor, "byte"]:
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)
