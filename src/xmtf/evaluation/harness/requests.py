"""A model as a harness asks it: log-likelihood of continuations, of whole texts, and generation.

These are the three questions of lm-evaluation-harness, answered by the same engine as everything else:
contexts are read once whatever is asked after them, and equal questions are answered once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from xmtf.errors import ConfigError, DataError, UnknownNameError
from xmtf.evaluation.engine.answer import Known, nothing_known
from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.encoding import TextTokenizer
from xmtf.evaluation.engine.harness_encoding import JointEncoder, TokenPair, prefix_token, rolling_windows
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import continue_prompts
from xmtf.evaluation.ranking.rank import score_batches

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["ModelRequests", "decoding_of"]

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

        Tokenised as lm-evaluation-harness does (:mod:`xmtf.evaluation.engine.harness_encoding`). An empty
        continuation has log-probability 0; NaN means that the model's numbers are not finite.
        """
        return self.score(self._encoder.pairs(requests))

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[float]:
        """Return the log-probability of each whole text, in windows where it is longer than the model."""
        # the harness puts its prefix before a text that has got its begin of text already, and scores that as well
        windows = self._windows(self._encoder.plain(texts), (prefix_token(self.tokenizer),))
        return [score for score, _ in self._rolling(windows)]

    def rolling(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """Return log-probability and number of tokens of each whole text, as the model knows texts.

        What its tokenizer puts before a text is there once and is not scored.
        """
        return self._rolling(self.windows(texts))

    def windows(self, texts: Sequence[str]) -> list[list[TokenPair]]:
        """Return the windows of each text that :meth:`rolling` scores: each of its tokens is in one continuation."""
        prefix = self.tokenizer.begin or (prefix_token(self.tokenizer),)
        begun = ((row, len(self.tokenizer.begin)) for row in self._encoder.plain(texts))
        return self._windows((row[size:] if row[:size] == prefix[:size] else row for row, size in begun), prefix)

    def _windows(self, ids: Iterable[Ids], prefix: Ids) -> list[list[TokenPair]]:
        return [list(rolling_windows(row, prefix, self._encoder.max_length)) for row in ids]

    def _rolling(self, windows: Sequence[Sequence[TokenPair]]) -> list[tuple[float, int]]:
        found = iter(self.score([window for row in windows for window in row]))
        tokens = [sum(len(window.continuation) for window in row) for row in windows]
        return [(sum(next(found)[0] for _ in row), count) for row, count in zip(windows, tokens, strict=True)]

    def score(self, pairs: Sequence[TokenPair]) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of continuations that are ids already.

        Raises:
            ConfigError: A continuation is longer than the model.
        """
        answers = [(0.0, True)] * len(pairs)
        for batch in self.score_batches(pairs):
            for index, score, greedy in batch:
                answers[index] = (score, greedy)
        return answers

    def score_batches(
        self, pairs: Sequence[TokenPair], known: Known = nothing_known
    ) -> Iterator[list[tuple[int, float, bool]]]:
        """Yield, after each batch, (index of a pair, log-probability, greediness); those of nothing are left out.

        Errors as of :meth:`score`; a batch of which all answers are ``known`` is left out.
        """
        longest = self._encoder.max_length
        for pair in pairs:
            if len(pair.continuation) > longest:
                raise ConfigError(
                    f"a continuation of {len(pair.continuation)} tokens is longer than the model's {longest} positions"
                )
        asked = [index for index, pair in enumerate(pairs) if pair.continuation]
        found = score_batches(
            self.model,
            [pair.context for pair in pairs],
            [(pair.continuation,) for pair in pairs],
            asked,
            pad=self.tokenizer.pad,
            batch_tokens=self.batch_tokens,
            known=known,
        )
        for batch in found:
            yield [(index, choice.score, choice.greedy) for index, (choice,) in batch]

    def generate_until(self, requests: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Return what the model writes after each context, cut before the first stop.

        Args:
            requests: (context, options): ``until`` (text or texts), ``max_gen_toks`` (or ``max_new_tokens``),
                ``do_sample``, ``temperature``, ``top_k``, ``top_p``, ``num_beams``, ``min_new_tokens``,
                ``length_penalty``, ``seed``.

        Raises:
            ConfigError: An option is unknown or wrong, or leaves no room for the context.
            DataError: The model's numbers are not finite.
        """
        decodings = [decoding_of({**self.defaults, **options}) for _, options in requests]
        texts: list[str] = [""] * len(requests)
        for decoding in dict.fromkeys(decodings):
            asked = [index for index, other in enumerate(decodings) if other == decoding]
            room = decoding.max_new_tokens
            if self.model.family == "causal" and room >= self._encoder.max_length:
                raise ConfigError(
                    f"max_gen_toks {room} leaves no room for a context in {self._encoder.max_length} positions"
                )
            positions = self.model.max_positions
            if self.model.family != "causal" and positions is not None and room > positions:
                raise ConfigError(f"max_gen_toks {room} is more than the {positions} positions of the decoder")
            contexts = self._encoder.contexts([requests[index][0] for index in asked], room=room)
            found = continue_prompts(
                self.model,
                self.tokenizer,
                [context.context for context in contexts],
                decoding,
                batch_tokens=self.batch_tokens,
            )
            for written in chain.from_iterable(found):
                if written.text is None:
                    raise DataError(f"generation after {requests[asked[written.place]][0]!r}: {written.error}")
                texts[asked[written.place]] = written.text
        return texts


_NAMES = {"max_gen_toks", "max_new_tokens", "until", "do_sample", "temperature", "top_k", "top_p", "num_beams"}
_NAMES |= {"min_new_tokens", "length_penalty", "seed"}


def decoding_of(options: Mapping[str, Any]) -> Decoding:
    """Return how to decode from the options of lm-evaluation-harness and transformers.

    Raises:
        ConfigError: An option is unknown or wrong.
    """
    for name in options:
        if name not in _NAMES:
            raise UnknownNameError("generation option", name, sorted(_NAMES), "generate_until")
    until = options.get("until") or ()
    temperature = float(options.get("temperature") or 0.0)
    sampled = options.get("do_sample")
    if sampled is None:
        sampled = temperature > 0
    return Decoding(
        max_new_tokens=int(options.get("max_new_tokens") or options.get("max_gen_toks") or 256),
        min_new_tokens=int(options.get("min_new_tokens") or 0),
        temperature=(temperature or 1.0) if sampled else 0.0,
        top_k=int(options.get("top_k") or 0),
        top_p=float(options.get("top_p") or 1.0),
        beams=int(options.get("num_beams") or 1),
        length_penalty=float(options.get("length_penalty", 1.0)),
        stops=tuple(filter(None, (until,) if isinstance(until, str) else until)),
        seed=int(options.get("seed", 42)),
    )
