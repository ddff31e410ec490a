"""A model as a harness asks it: log-likelihood of continuations, of whole texts, and generation.

These are the three questions of lm-evaluation-harness, answered by the same engine as everything else:
contexts are read once whatever is asked after them, and equal questions are answered once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xmtf.errors import ConfigError
from xmtf.evaluation.encoding import TextTokenizer
from xmtf.evaluation.joint import JointEncoder, Pair, prefix_token, rolling_windows

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["ModelRequests"]

_DEFAULT_LENGTH = 2048


@dataclass(frozen=True)
class ModelRequests:
    """Answers requests with a model.

    Attributes:
        model: A module with one of the two protocols.
        tokenizer: Its tokenizer.
        max_length: Most positions; default the model's own, else 2,048.
        batch_tokens: Positions computed together.
        defaults: Generation options where a request names none, such as ``max_gen_toks``.
    """

    model: CausalModel | EncoderDecoderModel
    tokenizer: TextTokenizer
    max_length: int | None = None
    batch_tokens: int = 8192
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _encoder(self) -> JointEncoder:
        longest = self.max_length or self.model.max_positions or _DEFAULT_LENGTH
        return JointEncoder(self.tokenizer, causal=self.model.family == "causal", max_length=longest)

    def loglikelihood(self, requests: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        """Return, for each (context, continuation), its log-probability and whether greedy decoding writes it.

        Tokenised as lm-evaluation-harness does (:mod:`xmtf.evaluation.joint`). An empty continuation has
        log-probability 0; NaN means that the model's numbers are not finite.
        """
        return self.score(self._encoder.pairs(requests))

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[float]:
        """Return the log-probability of each whole text, in windows where it is longer than the model."""
        prefix, longest = prefix_token(self.tokenizer), self._encoder.max_length
        windows = [list(rolling_windows(ids, prefix, longest)) for ids in self._encoder.plain(texts)]
        found = iter(self.score([window for row in windows for window in row]))
        return [sum(next(found)[0] for _ in row) for row in windows]

    def score(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of continuations that are ids already.

        Raises:
            ConfigError: A continuation is longer than the model.
        """
        from xmtf.evaluation.scoring import score_batches

        longest = self._encoder.max_length
        for pair in pairs:
            if len(pair.continuation) > longest:
                raise ConfigError(
                    f"a continuation of {len(pair.continuation)} tokens is longer than the model's {longest} positions"
                )
        answers = [(0.0, True)] * len(pairs)
        asked = [index for index, pair in enumerate(pairs) if pair.continuation]
        found = score_batches(
            self.model,
            [pair.context for pair in pairs],
            [(pair.continuation,) for pair in pairs],
            asked,
            pad=self.tokenizer.pad,
            batch_tokens=self.batch_tokens,
        )
        for batch in found:
            for index, (choice,) in batch:
                answers[index] = (choice.score, choice.greedy)
        return answers
