"""Byte-level language modelling of text files."""

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
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.tasks.table import Table
from svl.tasks.task import Task

_PATHS = "data.task.paths"
_SEPARATOR = b"\0"
_HIDDEN = (".*",)
# Of the standard library: what others installed, tests, example programs, and what is made when Python is built.
_NO_LIBRARY = (
    *("site-packages", "dist-packages", "test", "tests", "idle_test", "idlelib", "turtledemo", "__pycache__"),
    *("config-*", "_sysconfigdata*", *_HIDDEN),
)


class Text(Task):
    """Each byte of a window of text given those before it; perplexity on files that are never trained on.

    Files are joined in the order of their paths with a zero byte between. Window number w is bytes w (length + 1) to
    (w + 1) (length + 1) - 1 of the training files, so ``train_size`` = floor(bytes / (length + 1)); what is left at the
    end is not used. Example number i is window pi(i mod ``train_size``), pi a permutation drawn once a replica: the
    first N examples are N random windows, others for each seed.

    Source: the language-model experiments of Yan et al. 2025, on text that every machine has.

    Args:
        paths: files, folders (with all folders below) and patterns such as ``"books/**/*.txt"``; ``None`` for the
            sources of Python's standard library without tests. Left out are empty files and, in folders, names that
            begin with a dot; a file that is named twice counts once.
        pattern: of the names of files taken from folders, such as ``"*.py"``.
        length: tokens (bytes) of an input.
        held_out: share of the files, above 0 and below 1, that is tested on: those with the smallest CRC-32 of their
            path relative to the folder; at least one.
        max_bytes: most bytes of the corpus: whole files, taken in the order of that CRC-32 where they still fit;
            ``None`` for all.
        test_windows: windows of the test set, spread evenly over the held-out files; fewer where these are shorter.

    Raises:
        SettingError: for a path without files, files that cannot be read, a corpus without one window for training and
            one for the test, and numbers out of range.
    """

    train_size: int
    test_size: int
    output_dim = 256
    vocabulary = 256
    per_position = True
    losses = ("cross_entropy",)
    has_perplexity = True

    def __init__(
        self,
        paths: list[str] | None = None,
        pattern: str = "*",
        length: int = 128,
        held_out: float = 0.1,
        max_bytes: int | None = None,
        test_windows: int = 256,
    ) -> None:
        if paths is not None and not (isinstance(paths, list) and paths and all(isinstance(p, str) for p in paths)):
            raise SettingError(_PATHS, paths, "a list of files, folders or patterns, or null for Python's own sources")
        if not isinstance(pattern, str) or not pattern:
            raise SettingError("data.task.pattern", pattern, "a pattern of file names, such as '*.py'")
        check_whole("data.task.length", length, 1)
        if isinstance(held_out, bool) or not isinstance(held_out, int | float) or not 0 < held_out < 1:
            raise SettingError("data.task.held_out", held_out, "a share of the files, above 0 and below 1")
        if max_bytes is not None:
            check_whole("data.task.max_bytes", max_bytes, 1, allowed="a whole number, at least 1, or null for all")
        check_whole("data.task.test_windows", test_windows, 1)
        self.paths, self.pattern, self.length = paths, pattern, length
        self.held_out, self.max_bytes, self.test_windows = held_out, max_bytes, test_windows

        # Absolute, because what is read is kept, and the working directory may change.
        places = None if paths is None else tuple(str(Path(path).expanduser().absolute()) for path in paths)
        corpus = _read(places, pattern, held_out, max_bytes)
        shorter = min(len(corpus.train), len(corpus.test))
        if shorter <= length:
            parts = f"{len(corpus.train)} bytes to train on and {len(corpus.test)} held out"
            raise SettingError("data.task.length", length, f"below {shorter}: the corpus has {parts}")
        self._train, self._test = Table(_cut(corpus.train, length)), Table(_cut(corpus.test, length))
        self.digest = corpus.digest
        self.input_shape = (length,)
        self.train_size = self.population_size = len(self._train)
        self.test_size = min(test_windows, len(self._test))

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """The windows in each replica's own order."""
        return _split(self._train, self._train.shuffled(random.fold(key, "window"), index))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """The windows as they lie."""
        return _split(self._train, index)

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """Held-out windows as they lie, the same for every replica."""
        # The last rows of an evaluation may lie beyond the test set: they count for nothing, but must exist.
        return _split(self._test, index % self.test_size * len(self._test) // self.test_size)

    def correct(
        self, outputs: Float[Tensor, "... position output"], targets: Int[Tensor, "... position"]
    ) -> Float[Tensor, "..."]:
        """The share of positions whose largest logit is the next byte's."""
        return (outputs.argmax(-1) == targets).to(torch.float32).mean(-1)


@dataclass(frozen=True)
class Corpus:
    """The bytes of files.

    Attributes:
        train: files that are trained on.
        test: files that are held out.
        digest: SHA-256 of both, shortened, and the number of files and their bytes; the same wherever the files are.
    """

    train: UInt8[Tensor, "train"]
    test: UInt8[Tensor, "test"]
    digest: str


@functools.lru_cache(maxsize=4)
def _read(places: tuple[str, ...] | None, pattern: str, held_out: float, max_bytes: int | None) -> Corpus:
    named = sorted((zlib.crc32(os.fsencode(name)), name, path) for path, name in _files(places, pattern).items())
    files: list[tuple[str, Path]] = []
    total = 0
    for _, name, path in named:
        size = path.stat().st_size
        if size and total + size <= (max_bytes or float("inf")):
            files.append((name, path))
            total += size
    if len(files) < 2:
        key, given = (_PATHS, places and list(places)) if max_bytes is None else ("data.task.max_bytes", max_bytes)
        raise SettingError(
            key, given, f"two files or more of the pattern {pattern!r} that are not empty: some are held out"
        )
    count = min(max(1, round(held_out * len(files))), len(files) - 1)
    train, test = (
        _SEPARATOR.join(_content(path) for _, path in sorted(part)) for part in (files[count:], files[:count])
    )
    digest = hashlib.sha256(hashlib.sha256(train).digest() + hashlib.sha256(test).digest()).hexdigest()[:16]
    return Corpus(_tensor(train), _tensor(test), f"{digest} ({len(files)} files, {total} bytes)")


def _files(places: tuple[str, ...] | None, pattern: str) -> dict[Path, str]:
    """Every file once, with its path relative to the folder that it was found in."""
    if places is None:
        library = Path(sysconfig.get_paths()["stdlib"])
        below = _below(library, library, pattern, _NO_LIBRARY)
        return {path: name for path, name in below if path.suffix == ".py"}
    files: dict[Path, str] = {}
    for place in places:
        found = dict(_at(place, pattern))
        if not found:
            raise SettingError(
                _PATHS, place, f"a file, or a folder or a pattern with files (of the pattern {pattern!r})"
            )
        for path, name in found.items():
            files.setdefault(path.resolve(), name)
    return files


def _at(place: str, pattern: str) -> Iterator[tuple[Path, str]]:
    """The files that one entry of ``paths`` stands for."""
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
        raise SettingError(_PATHS, str(path), f"files that can be read ({error.strerror})") from None


def _tensor(text: bytes) -> UInt8[Tensor, "byte"]:
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def _cut(text: UInt8[Tensor, "byte"], length: int) -> UInt8[Tensor, "window {length}+1"]:
    """Windows that do not overlap, as rows."""
    count = len(text) // (length + 1)
    return text[: count * (length + 1)].view(count, length + 1)


def _split(windows: Table, number: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of some windows."""
    token = windows[number][0].to(torch.int64)
    return token[..., :-1], token[..., 1:]
