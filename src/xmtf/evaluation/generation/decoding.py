"""How answers are made: the settings of generation, and what it gives for one prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from xmtf.errors import ConfigError
from xmtf.files import content_hash

__all__ = ["Continuation", "Decoding", "Ending", "WritingRules", "check_samples", "of_sample"]

Ending = Literal["end of text", "stop text", "budget"]
"""Why an answer ended: by the model's own token, at a stop text, or because it had no tokens left."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model wrote after one prompt.

    Attributes:
        ids: New tokens, without the end-of-text token.
        ending: Why it ended; ``budget`` also where an error ended it.
        error: Why it could not continue, or None.
    """

    ids: tuple[int, ...]
    ending: Ending
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WritingRules:
    """What holds for every answer that is written token by token, however its tokens are chosen.

    Attributes:
        ends: Each of these ids ends an answer; not part of it.
        pad: Id of padding.
        num_ids: Ids of the tokenizer; the rows of a larger embedding stand for no text.
        max_new_tokens: Most tokens of an answer.
        min_new_tokens: Fewest: none of ``ends`` is taken before.
        prefix_lm: Bidirectional attention over the prompts.
    """

    ends: tuple[int, ...]
    pad: int
    num_ids: int
    max_new_tokens: int
    min_new_tokens: int = 0
    prefix_lm: bool = False


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are made.

    Attributes:
        max_new_tokens: Most tokens of an answer.
        min_new_tokens: Fewest: the end of text is not taken before.
        temperature: 0 takes the most likely token; above, tokens are drawn from logits divided by it.
        top_k: Draw from so many most likely tokens only; 0 from all.
        top_p: Draw from the most likely tokens that together have this probability.
        beams: Continuations kept at every step; 1 is no beam search.
        length_penalty: Beam search divides log-probabilities by the length to this power.
        stops: Texts that end an answer; not part of it.
        seed: Of what is drawn.

    Raises:
        ConfigError: A value makes no sense, or beams are combined with drawing.
    """

    max_new_tokens: int = 64
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    beams: int = 1
    length_penalty: float = 1.0
    stops: tuple[str, ...] = ()
    seed: int = 42

    def __post_init__(self) -> None:
        wrong = {
            "max_new_tokens must be at least 1": self.max_new_tokens < 1,
            "min_new_tokens must not be above max_new_tokens": not 0 <= self.min_new_tokens <= self.max_new_tokens,
            "temperature must not be negative": not self.temperature >= 0,
            "top_k must not be negative": self.top_k < 0,
            "top_p must be above 0 and at most 1": not 0 < self.top_p <= 1,
            "beams must be at least 1": self.beams < 1,
            "beam search does not sample: set temperature to 0 or beams to 1": self.beams > 1 and self.temperature > 0,
            "stop sequences must not be empty": not all(self.stops),
        }
        for rule, broken in wrong.items():
            if broken:
                raise ConfigError(f"generation: {rule}")

    @property
    def label(self) -> str:
        """Describe in a few words how answers are made, such as ``greedy`` or ``4 beams``."""
        if self.beams > 1:
            return f"{self.beams} beams"
        if not self.temperature:
            return "greedy"
        parts = [f"temperature {self.temperature:g}"]
        parts += [f"top-k {self.top_k}"] * (self.top_k > 0) + [f"top-p {self.top_p:g}"] * (self.top_p < 1)
        return ", ".join(parts)


def of_sample(decoding: Decoding, sample: int) -> Decoding:
    """Return how one of several answers to a prompt is drawn; the first as the only one would be."""
    return decoding if sample == 0 else replace(decoding, seed=int(content_hash([decoding.seed, sample])[:12], 16))


def check_samples(decoding: Decoding, samples: int) -> None:
    """Refuse several answers to each prompt that would all be the same.

    Raises:
        ConfigError: They would.
    """
    if samples > 1 and decoding.temperature == 0:
        raise ConfigError("several samples need a temperature above 0; otherwise they are all the same")
