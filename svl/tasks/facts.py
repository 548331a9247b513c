"""Memorising facts about subjects from documents with noise."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.errors import SettingError
from svl.tasks.task import TEST_START, Task, axis_index

_NO_TARGET = -100
_LARGEST = 2**20


class Facts(Task):
    """Facts to memorise, in documents of a subject s, a relation r, noise n_i and an answer: s, r, n_1, ..., phi(s, r).

    s, r and each n_i are uniform. Every relation has its own set of answers, and phi(s, r), drawn once for each
    replica, is uniform in it. The network predicts each token from the tokens before it, so an input is a document
    without its last token. Tokens are numbered in the order subjects, relations, answers of relation 0, answers of
    relation 1, ..., noise.

    The test set contains every pair (s, r) once, with noise that is never trained on. A strategy that restricts the
    axis ``subject`` to k trains on the first k subjects.

    Source: Kotha et al. 2025, section 2.3 and appendix B.3, which do not state the numbers except ``subjects``.

    Args:
        subjects: number of subjects, 1 to 2^20.
        relations: number of relations, 1 to 2^20.
        answers: number of answers that each relation has, 1 to 2^20.
        noise_tokens: number of distinct noise tokens, 1 to 2^20.
        noise_length: k, number of noise tokens in a document, 0 to 2^20.
        objective: ``all``: every next token is a target, as in the paper; ``answer``: only the answer is a target.

    Raises:
        SettingError: for a number out of range or an unknown ``objective``.
    """

    test_size: int
    per_position = True
    target = "class"

    def __init__(
        self,
        subjects: int = 100,
        relations: int = 10,
        answers: int = 10,
        noise_tokens: int = 50,
        noise_length: int = 5,
        objective: Literal["all", "answer"] = "all",
    ) -> None:
        counts = {"subjects": subjects, "relations": relations, "answers": answers, "noise_tokens": noise_tokens}
        for name, count in counts.items():
            check_whole(name, count, 1, _LARGEST, "1 to 2^20")
        check_whole("noise_length", noise_length, 0, _LARGEST, "0 to 2^20")
        if objective not in ("all", "answer"):
            raise SettingError("objective", objective, "'all' or 'answer'")
        self.subjects, self.relations, self.answers = subjects, relations, answers
        self.noise_tokens, self.noise_length, self.objective = noise_tokens, noise_length, objective
        self._first_answer = subjects + relations
        self._first_noise = self._first_answer + relations * answers
        self.input_shape = (2 + noise_length,)
        self.vocabulary = self.output_dim = self._first_noise + noise_tokens
        self.axes = {"subject": subjects}
        self.test_size = subjects * relations

    def answer(
        self,
        key: Int[Tensor, "replica 2"],
        subject: Int[Tensor, "replica batch"],
        relation: Int[Tensor, "replica batch"],
    ) -> Int[Tensor, "replica batch"]:
        """The token phi(s, r)."""
        words = random.bits(random.fold(key, "answer")[:, None], subject * self.relations + relation)
        return self._first_answer + relation * self.answers + random.integers(words, self.answers)

    def examples(
        self,
        key: Int[Tensor, "replica 2"],
        index: Int[Tensor, "replica batch"],
        subject: Int[Tensor, "replica batch"] | None = None,
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """Documents with relation, noise and, unless it is given, subject drawn from the counters."""
        if subject is None:
            subject = axis_index(key, "subject", index, self.subjects)
        relation = random.integers(random.bits(random.fold(key, "relation")[:, None], index), self.relations)
        return self._documents(key, subject, relation, index)

    def test_examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """Test example number s * relations + r is the pair (s, r)."""
        # The last rows of an evaluation may lie beyond the test set: they are ignored, but must be valid tokens.
        pair = index % self.test_size
        return self._documents(key, pair // self.relations, pair % self.relations, TEST_START + index)

    def _documents(self, key: Tensor, subject: Tensor, relation: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of given facts, with the noise of counter ``index``: one random block for each token."""
        low, high = (index & random.MASK32)[..., None], (index >> 32)[..., None]
        block = torch.arange(self.noise_length, device=key.device)
        words = random.philox((low, high, block, 0), random.fold(key, "noise")[:, None, None])
        noise = self._first_noise + random.integers(words, self.noise_tokens)
        fact = torch.stack((subject, self.subjects + relation), dim=-1)
        answer = self.answer(key, subject, relation)[..., None]
        inputs = torch.cat((fact, noise), dim=-1)
        following = inputs[..., 1:]
        if self.objective == "answer":
            following = torch.full_like(following, _NO_TARGET)
        return inputs, torch.cat((following, answer), dim=-1)

    def correct(
        self, outputs: Float[Tensor, "... position output"], targets: Int[Tensor, "... position"]
    ) -> Bool[Tensor, "..."]:
        """Whether the largest logit at the last position is the answer's."""
        return outputs[..., -1, :].argmax(-1) == targets[..., -1]
