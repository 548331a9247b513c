"""Byte-level language modelling of text files."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.tasks.corpus import PATHS, read
from svl.tasks.sources.files import absolute
from svl.tasks.table import Table
from svl.tasks.task import Task


class Text(Task):
    """Prediction of each byte of a window of text from the bytes before it; the test set is files never trained on.

    The end of a single file is its test set.

    Files are concatenated in the order of their paths, separated by zero bytes. Window number w is bytes w (length + 1)
    to (w + 1) (length + 1) - 1 of the training files, so ``train_size`` = floor(bytes / (length + 1)); the remaining
    bytes are not used. Example number i is window pi(i mod ``train_size``), where the permutation pi is drawn once for
    each replica: the first N examples are N random windows, and each seed has different ones.

    Source: the language-model experiments of Yan et al. 2025, on text that every machine has.

    Args:
        paths: files, folders (including their subfolders) and patterns such as ``"books/**/*.txt"``; ``None`` for the
            sources of Python's standard library without its tests. Empty files are left out and, in folders, names that
            begin with a dot; a file that is named twice is used once.
        pattern: pattern of the names of files in folders, such as ``"*.py"``.
        length: number of tokens (bytes) of an input.
        held_out: fraction of the files that are held out for the test set, above 0 and below 1: at least one, and those
            with the smallest CRC-32 of their path relative to the folder. Of a single file, this fraction of its bytes
            at its end.
        max_bytes: largest number of bytes of the corpus: whole files are added in the order of that CRC-32, and those
            that would exceed it are skipped; ``None`` for no limit.
        test_windows: number of windows in the test set, spread evenly over the held-out files; fewer if these are too
            short.

    Raises:
        SettingError: for a path without files, files that cannot be read, a corpus with less than one window in the
            training or the test files, and numbers out of range.
    """

    train_size: int
    test_size: int
    output_dim = 256
    vocabulary = 256
    per_position = True
    target = "class"
    has_perplexity = True
    source_setting = PATHS

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
            raise SettingError(PATHS, paths, "a list of files, folders or patterns, or null for Python's own sources")
        if not isinstance(pattern, str) or not pattern:
            raise SettingError("pattern", pattern, "a pattern of file names, such as '*.py'")
        check_whole("length", length, 1)
        if isinstance(held_out, bool) or not isinstance(held_out, int | float) or not 0 < held_out < 1:
            raise SettingError("held_out", held_out, "a share of the files, above 0 and below 1")
        if max_bytes is not None:
            check_whole("max_bytes", max_bytes, 1, allowed="a whole number, at least 1, or null for all")
        check_whole("test_windows", test_windows, 1)
        self.paths, self.pattern, self.length = paths, pattern, length
        self.held_out, self.max_bytes, self.test_windows = held_out, max_bytes, test_windows

        # Absolute, because the corpus is cached by its paths, and the working directory may change.
        places = None if paths is None else tuple(str(absolute(path)) for path in paths)
        corpus = read(places, pattern, held_out, max_bytes)
        shorter = min(len(corpus.train), len(corpus.test))
        if shorter <= length:
            parts = f"{len(corpus.train)} bytes to train on and {len(corpus.test)} held out"
            raise SettingError("length", length, f"below {shorter}, because the corpus has {parts}")
        self._train, self._test = Table(_cut(corpus.train, length)), Table(_cut(corpus.test, length))
        self.digest, self.parts = corpus.digest, corpus.parts
        self.input_shape = (length,)
        self.train_size = self.population_size = len(self._train)
        self.test_size = min(test_windows, len(self._test))

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """The training windows in each replica's own order."""
        return _split(self._train, self._train.shuffled(random.fold(key, "window"), index))

    def population(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """The training windows in the order of the text."""
        return _split(self._train, index)

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """Windows of the held-out files in the order of the text, the same for every replica."""
        # The last rows of an evaluation may lie beyond the test set: they are ignored, but must exist.
        return _split(self._test, index % self.test_size * len(self._test) // self.test_size)

    def correct(
        self, outputs: Float[Tensor, "... position output"], targets: Int[Tensor, "... position"]
    ) -> Float[Tensor, "..."]:
        """The fraction of positions at which the largest logit is the next byte's."""
        return (outputs.argmax(-1) == targets).to(torch.float32).mean(-1)


def _cut(text: UInt8[Tensor, "byte"], length: int) -> UInt8[Tensor, "window {length}+1"]:
    """The text as rows of windows that do not overlap."""
    count = len(text) // (length + 1)
    return text[: count * (length + 1)].view(count, length + 1)


def _split(windows: Table, number: Int[Tensor, "replica batch"]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of some windows."""
    token = windows[number][0].to(torch.int64)
    return token[..., :-1], token[..., 1:]
