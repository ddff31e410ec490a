"""Context and continuation as token ids by the rules of lm-evaluation-harness, for comparison with it.

Where BLOOMZ tokenises prompt and choice apart, a causal model of the harness gets both as one text, which
is split where the tokens of the context alone end; spaces at the end of the context go to the
continuation first, and what is too long loses its left end::

    context "Is it so? "   continuation "Yes"
    one text  "Is it so? Yes"  ->  [417, 33, 9, 12, 870]
    context   "Is it so?"      ->  [417, 33, 9, 12]           so the continuation is [870]

An encoder-decoder gets them apart: the encoder's with the tokenizer's own special tokens, the
continuation without, so its end of text is not scored. Source: lm-eval 0.4.13, ``TemplateLM`` and ``HFLM``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.encoding import TextTokenizer

__all__ = ["JointEncoder", "TokenPair", "prefix_token", "rolling_windows"]


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A context and its continuation.

    Attributes:
        context: Token ids, at least one.
        continuation: Token ids; empty where its text is.
        truncated: Whether the context lost its left end.
    """

    context: Ids
    continuation: Ids
    truncated: bool = False


def prefix_token(tokenizer: TextTokenizer) -> int:
    """Return what stands for an empty context: the begin-of-text token, else the end-of-text token."""
    return tokenizer.eos if tokenizer.bos is None else tokenizer.bos


class JointEncoder:
    """Turns pairs of texts into ids.

    Args:
        tokenizer: The model's.
        causal: Whether context and continuation are one sequence.
        max_length: Most positions of the model: of both together (causal), or of the context.
    """

    def __init__(self, tokenizer: TextTokenizer, *, causal: bool, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.causal = causal
        self.max_length = max_length
        self._before, self._after = tokenizer.special_ends
        self._known: dict[str, Ids] = {}

    def pairs(self, texts: Sequence[tuple[str, str]]) -> list[TokenPair]:
        """Return the ids of (context, continuation) texts, cut to the model's length."""
        moved = [_move_spaces(*pair) for pair in texts]
        if self.causal:
            wanted = [text for context, continuation in moved for text in (context, context + continuation)]
        else:
            wanted = [text for pair in moved for text in pair]
        self._learn(wanted)
        return [self._cut(*self._pair(context, continuation)) for context, continuation in moved]

    def contexts(self, texts: Sequence[str], *, room: int = 0) -> list[TokenPair]:
        """Return the ids of contexts, cut so that ``room`` generated tokens fit behind them (causal models)."""
        self._learn(texts)
        most = max(1, self.max_length - (room if self.causal else 0))
        found = [self._with_specials(text) or (prefix_token(self.tokenizer),) for text in texts]
        return [TokenPair(ids[-most:], (), truncated=len(ids) > most) for ids in found]

    def plain(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of whole texts, special tokens included."""
        self._learn(texts)
        return [self._with_specials(text) for text in texts]

    def _learn(self, texts: Sequence[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= {text: tuple(ids.tolist()) for text, ids in zip(new, self.tokenizer.encode(new), strict=True)}

    def _with_specials(self, text: str) -> Ids:
        ids = self._known[text]
        if self._before and ids[: len(self._before)] == self._before:
            return ids  # the text brings its begin-of-text token along
        return (*self._before, *ids, *self._after)

    def _pair(self, context: str, continuation: str) -> tuple[Ids, Ids]:
        if not context:
            ids, prefix = self._known[continuation], prefix_token(self.tokenizer)
            return (ids[:1], ids[1:]) if ids[:1] == (prefix,) else ((prefix,), ids)
        first = self._with_specials(context)
        if not self.causal:
            return first, self._known[continuation]
        both = self._with_specials(context + continuation)
        if continuation and len(both) <= len(first):
            # one token spans the boundary: the continuation begins with the first token that differs, where
            # the harness would find it empty and stop
            place = next((at for at, (ours, theirs) in enumerate(zip(both, first, strict=False)) if ours != theirs), 0)
            return (both[:place], both[place:]) if place else ((prefix_token(self.tokenizer),), both)
        return both[: len(first)], both[len(first) :]

    def _cut(self, context: Ids, continuation: Ids) -> TokenPair:
        # the last token of a continuation is never read, so one more than the model's length fits
        most = self.max_length + 1 - len(continuation) if self.causal else self.max_length
        kept = context[-most:] if most > 0 else context[-1:]
        return TokenPair(kept, continuation, truncated=len(kept) < len(context))


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation


def rolling_windows(ids: Ids, prefix: Ids, max_length: int) -> Iterator[TokenPair]:
    """Yield windows that score each token of a text once, with as much before it as fits.

    ``prefix`` is before the text and is not scored: one token, of some models several.

    Five tokens and a length of 3::

        context  prefix        continuation  a b c
        context  b c           continuation  d e
    """
    if not ids:
        return
    done = min(max(1, max_length + 1 - len(prefix)), len(ids))
    yield TokenPair(prefix, ids[:done])
    while done < len(ids):
        end = min(done + max_length, len(ids))
        yield TokenPair(ids[max(0, end - max_length - 1) : done], ids[done:end])
        done = end
