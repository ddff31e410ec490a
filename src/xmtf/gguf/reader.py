"""The package gguf's reader without its loop over every number and string of an array, lent to transformers.

Transformers reads configurations and weights of GGUF files with ``gguf.GGUFReader``, which makes several numpy views of
each entry of a vocabulary: five seconds for 256,000 tokens, and it reads a file two or three times. The reader
here makes the same fields from one view of an array, or leaves the vocabulary out. Tokenizers it reads with a reader of
its own, which cuts every text out of a memory map of numpy, and finds merges of SentencePiece by sorting all of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gguf

__all__ = ["quick_gguf", "quick_merges", "reads_tokenizers"]

_OF_TRANSFORMERS = "transformers.integrations.gguf"
_LONG = 4096
"""Numbers of an array that are of the vocabulary: scores and kinds of its tokens."""

Merges = list[tuple[str, str]]


def reads_tokenizers() -> bool:
    """Return whether this transformers has a reader of its own for tokenizers of GGUF files."""
    return importlib.util.find_spec(_OF_TRANSFORMERS) is not None


@contextlib.contextmanager
def quick_gguf(*, vocabulary: bool = True) -> Iterator[None]:
    """Let whoever asks the package gguf for its reader have the quick one.

    Args:
        vocabulary: Arrays of texts and long ones of numbers are read; else they are empty.
    """
    with contextlib.ExitStack() as lent:
        lent.enter_context(_lent(gguf, "GGUFReader", _quick_reader(gguf.GGUFReader, vocabulary)))
        if reads_tokenizers():
            reader = importlib.import_module(f"{_OF_TRANSFORMERS}.reader")
            tokenizers = importlib.import_module(f"{_OF_TRANSFORMERS}.gguf_tokenizer_mapping")
            if mapped := getattr(reader, "_mapped", None):
                lent.enter_context(_lent(reader, "_mapped", lambda path: mapped(path).data))
            if merges := getattr(tokenizers, "generate_merges", None):
                quick = functools.partial(quick_merges, merges)
                lent.enter_context(_lent(tokenizers, "generate_merges", quick))
        if not vocabulary:
            lent.enter_context(_without_advice())
        yield


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep what transformers prints about a configuration without a vocabulary off the terminal."""
    logging = importlib.import_module("transformers.utils.logging")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _lent(module: Any, name: str, value: object) -> Iterator[None]:
    """Let a module have another value of a name."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def quick_merges(original: Callable[..., Merges], vocab: Mapping[str, int], scores: Mapping[str, float]) -> Merges:
    """Return what transformers' ``generate_merges`` returns: best token first, and of its halves the longest first.

    Args:
        original: Decides where tokens have equal scores.
        vocab: Ids of tokens.
        scores: Scores of tokens; the higher, the sooner it is merged.
    """
    found: list[tuple[float, Merges]] = []
    for token, score in scores.items():
        cuts = range(len(token) - 1, 0, -1)
        halves = [(token[:at], token[at:]) for at in cuts if token[:at] in vocab and token[at:] in vocab]
        if halves:
            found.append((score, halves))
    if len({score for score, _ in found}) < len(found):
        return original(vocab, scores)
    found.sort(key=lambda one: one[0], reverse=True)
    return [merge for _, halves in found for merge in halves]


@functools.cache
def _quick_reader(original: Any, vocabulary: bool) -> type:
    kinds = gguf.GGUFValueType

    class QuickReader(original):  # type: ignore[misc]  # the package has no types
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
            slow = super()._get_field_parts
            if kinds(raw_type) != kinds.ARRAY or self.byte_order != "I":
                return slow(orig_offs, raw_type)  # type: ignore[no-any-return]
            item, length = struct.unpack_from("<IQ", self.data, orig_offs)
            begin = orig_offs + 12
            if length == 0 or kinds(item) == kinds.ARRAY:
                return slow(orig_offs, raw_type)  # type: ignore[no-any-return]
            if kinds(item) == kinds.STRING:
                end, found = _strings(self.data.data, begin, length)
                if not vocabulary:
                    found = []
            else:
                numbers = self._get(begin, self.gguf_scalar_to_np[kinds(item)], length)
                end = begin + numbers.nbytes
                found = list(numbers[:, None]) if vocabulary or length < _LONG else []
            return end - orig_offs, found, list(range(len(found))), [kinds.ARRAY, kinds(item)]

    return QuickReader


def _strings(view: memoryview, begin: int, length: int) -> tuple[int, list[memoryview]]:
    """Return where the strings of an array end, and their bytes."""
    unpack, found = struct.Struct("<Q").unpack_from, []
    for _ in range(length):
        (size,) = unpack(view, begin)
        found.append(view[begin + 8 : begin + 8 + size])
        begin += 8 + size
    return begin, found
