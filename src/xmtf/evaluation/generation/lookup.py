"""Guesses of how a text continues: as it did where its last tokens stood before.

Answers repeat names, numbers and sentences of their prompt, and themselves. What followed the same two tokens earlier
is read together with the next token, in one pass, and kept as far as the model chooses the same: each token is chosen
from the logits that single steps give, only the passes are fewer. Known as prompt lookup decoding, a kind of
speculative decoding (Leviathan et al. 2023, https://arxiv.org/abs/2211.17192).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Guess", "Lookup", "worth_reading"]

Guess = tuple[int, ...]

_ALIKE = 2
"""Tokens that have to be the same."""

_MOST = 8
"""Tokens of a guess."""

_POSITIONS = 128
"""Positions of a pass up to which one more costs little: products with fewer rows wait for the weights."""


class Lookup:
    """Where the tokens of one text have stood, and how far guesses were right.

    Args:
        text: Token ids of the prompt.
    """

    def __init__(self, text: Sequence[int]) -> None:
        self._text: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._length = _MOST // 2
        self.extend(text)

    def extend(self, tokens: Sequence[int]) -> None:
        """Add tokens that follow."""
        for token in tokens:
            if len(self._text) >= _ALIKE:  # the last ones are entered when it is known what follows
                self._ends[tuple(self._text[-_ALIKE:])] = len(self._text)
            self._text.append(token)

    def guess(self, most: int, num_rows: int) -> Guess:
        """Return up to ``most`` tokens that may follow, none where the last ones have not stood before.

        Where what followed reaches the end of the text, it is repeated: after ``a b c a b c`` come ``a b c a``.
        The more rows are read together, the fewer tokens are guessed for each.
        """
        end = self._ends.get(tuple(self._text[-_ALIKE:]))
        if end is None:
            return ()
        followed = self._text[end:]
        length = max(0, min(most, self._length, _POSITIONS // num_rows - 1))
        return tuple(followed[place % len(followed)] for place in range(length))

    def learn(self, guessed: int, right: int) -> None:
        """Guess twice as many after a guess that was right to its end, otherwise one more than were right."""
        self._length = min(_MOST, 2 * self._length if right == guessed else right + 1)


def worth_reading(guesses: Sequence[Guess]) -> bool:
    """Return whether enough rows have a guess: all wait for the one that writes the most steps."""
    return 4 * sum(map(bool, guesses)) >= 3 * len(guesses)
