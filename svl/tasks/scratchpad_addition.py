"""Addition of two numbers with intermediate steps, for decoders that write the steps before the answer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svl import random
from svl.checks import check_whole
from svl.tasks.task import Task

_NO_TARGET = -100
_LARGEST = 2**31


class ScratchpadAddition(Task):
    """x + z in base b, with a scratchpad: "47+38=51 80:085." for x = 47 and z = 38 (without the spaces).

    An example has two operands of D digits, D uniform in {``fewest_digits``, ..., ``most_digits``}, and each operand
    uniform in {0, ..., b^D - 1}. The prompt is x, ``+``, z, ``=``, with the most significant digit first. The
    completion is the scratchpad, ``:``, the answer, and ``.``. The scratchpad has two tokens for each place, from the
    least significant on: the digit of the sum, and the carry to the next place. The answer has D + 1 digits, the most
    significant first.

    Only the completion's tokens are targets. Prompts of fewer digits than ``room`` begin with padding, so that every
    completion begins at the same position; short completions end with it. So problems of different lengths suit one
    network, which can learn on short problems and go on with long ones.

    Tokens: the digits 0, ..., b - 1, then ``+``, ``=``, ``:``, ``.`` and the padding.

    The accuracy is the fraction of an example's targets that are predicted right, given the right tokens before them;
    ``val/exact`` is the fraction of the examples with all of them right. Whether the network finds the answer by itself
    is measured by the callback :class:`~svl.callbacks.Generation`.

    There are b^2D problems of D digits. Test problems are drawn like the training's and by other counters, so with few
    digits some of them are also in a training set.

    Source: the scratchpad follows Nye et al. 2021 (*Show your work*), section 4.1, and Lee et al. 2023 (*Teaching
    arithmetic to small Transformers*), section 4; short before long problems are to a small decoder what pre-training
    and post-training are to a language model (Kopiczko et al. 2026).

    Args:
        fewest_digits: of an operand, 1 to ``most_digits``.
        most_digits: of an operand, 1 to ``room``.
        room: the number of digits for which the input has room; ``None`` for ``most_digits``.
        base: b, 2 to 36; b^``room`` is at most 2^31.

    Raises:
        SettingError: for an argument out of range.
    """

    per_position = True
    target = "class"

    def __init__(self, fewest_digits: int = 1, most_digits: int = 3, room: int | None = None, base: int = 10) -> None:
        check_whole("base", base, 2, 36, "2 to 36")
        largest = max(digits for digits in range(1, 32) if base**digits <= _LARGEST)
        places = most_digits if room is None else room
        check_whole("most_digits" if room is None else "room", places, 1, largest, f"1 to {largest} in base {base}")
        check_whole("most_digits", most_digits, 1, places, f"1 to the room, {places}")
        check_whole("fewest_digits", fewest_digits, 1, most_digits, f"1 to most_digits = {most_digits}")
        self.fewest_digits, self.most_digits, self.room, self.base = fewest_digits, most_digits, room, base
        self.plus, self.equals, self.colon, self.end, self.padding = range(base, base + 5)
        self._room, self._prompt = places, 2 * places + 2
        self.input_shape = (self._prompt + 3 * places + 2,)
        self.vocabulary = self.output_dim = base + 5
        self._lengths = range(fewest_digits, most_digits + 1)

    def examples(
        self, key: Int[Tensor, "replica 2"], index: Int[Tensor, "replica batch"]
    ) -> tuple[Int[Tensor, "replica batch position"], Int[Tensor, "replica batch position"]]:
        """Problems whose number of digits and operands are drawn from the counters: one random block for each."""
        stream = random.fold(key, "example")[:, None]
        places = self.fewest_digits + random.integers(random.bits(stream, index, 2), len(self._lengths))
        count = torch.ones_like(places)
        for length in range(1, self.most_digits + 1):
            count = torch.where(places == length, self.base**length, count)
        x, z = (random.integers(random.bits(stream, index, block), count) for block in (0, 1))
        tokens = self.document(x, z, places)
        inputs, following = tokens[..., :-1], tokens[..., 1:]
        position = torch.arange(len(inputs[0, 0]), device=key.device)
        is_target = (position >= self._prompt - 1) & (following != self.padding)
        return inputs, torch.where(is_target, following, _NO_TARGET)

    def document(
        self, x: Int[Tensor, "*shape"], z: Int[Tensor, "*shape"], places: Int[Tensor, "*shape"]
    ) -> Int[Tensor, "*shape token"]:
        """All tokens of problems, with their solutions, for operands of so many digits."""
        documents = None
        for length in self._lengths:
            powers = [self.base**place for place in range(length + 1)]
            digits = [[number // power % self.base for power in powers] for number in (x, z, x + z)]
            carries = [(x % power + z % power) // power for power in powers[1:]]

            def marks(token: int, count: int = 1) -> list[Tensor]:
                return [torch.full_like(x, token)] * count

            steps = [token for step in zip(digits[2][:length], carries, strict=True) for token in step]
            prompt = [*digits[0][length - 1 :: -1], *marks(self.plus), *digits[1][length - 1 :: -1]]
            solution = [*steps, *marks(self.colon), *digits[2][::-1], *marks(self.end)]
            spare = self._room - length
            parts = [*marks(self.padding, 2 * spare), *prompt, *marks(self.equals), *solution]
            document = torch.stack([*parts, *marks(self.padding, 3 * spare)], dim=-1)
            is_chosen = (places == length)[..., None]
            documents = document if documents is None else torch.where(is_chosen, document, documents)
        assert documents is not None
        return documents

    def correct(
        self, outputs: Float[Tensor, "... position output"], targets: Int[Tensor, "... position"]
    ) -> Float[Tensor, "..."]:
        """The fraction of the targets for which the largest logit is the target's."""
        return (outputs.argmax(-1) == targets).sum(-1) / (targets != _NO_TARGET).sum(-1)

    def measures(
        self, outputs: Float[Tensor, "... position output"], targets: Int[Tensor, "... position"]
    ) -> dict[str, Float[Tensor, "..."]]:
        """``exact``: whether the largest logit is the target's wherever there is one."""
        is_right = (outputs.argmax(-1) == targets) | (targets == _NO_TARGET)
        return {"exact": is_right.all(-1).to(outputs.dtype)}

    def solves(self, written: Int[Tensor, "... position"], targets: Int[Tensor, "... position"]) -> Bool[Tensor, "..."]:
        """Whether the first ``:`` of what a network has written is followed by the answer and ``.``.

        The scratchpad before it can be wrong or of another length.
        """
        own, wanted = (self._answer(tokens) for tokens in (written, targets))
        is_part = wanted >= 0
        return ((own == wanted) | ~is_part).all(-1) & is_part.any(-1)

    def _answer(self, tokens: Int[Tensor, "... position"]) -> Int[Tensor, "... place"]:
        """As many tokens behind the first colon as an answer can have; negative where there are none."""
        is_colon = (tokens == self.colon).to(torch.int64)
        start = torch.where(is_colon.any(-1), is_colon.argmax(-1) + 1, tokens.shape[-1])
        place, last = start[..., None] + torch.arange(self._room + 2, device=tokens.device), tokens.shape[-1] - 1
        return torch.where(place <= last, tokens.gather(-1, place.clamp(max=last)), _NO_TARGET)
