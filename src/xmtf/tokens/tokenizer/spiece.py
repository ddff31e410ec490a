"""Tokenizers that are a ``spiece.model`` alone, as mT5's are: turned into a fast one with the same ids.

The package sentencepiece reads the file and is what ids are compared with: on names from CLDR in many scripts, on
the vocabulary's own pieces, runs of spaces and control characters. A tokenizer whose ids differ anywhere there is
refused, never taken for nearly right. What is turned over::

    charsmap              Precompiled, behind NFC: that one looks at a letter with its marks alone
    extra white space     taken away at both ends, and runs of spaces become one
    dummy prefix          ▁ before the text
    pieces and scores     Unigram, with byte fallback where the file has it

A letter with several decomposed marks may come out otherwise: 3 of 24,005 texts in NFD, none in NFC. They are counted
(:mod:`xmtf.tokens.tokenizer.composed`).
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import babel
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from xmtf.errors import ConfigError, DataError, require

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

__all__ = ["SPIECE_FILE", "Spiece", "check_texts", "read_spiece"]

SPIECE_FILE = "spiece.model"
_SPACE = "▁"
_UNIGRAM = 1
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
_MOST_PIECES = 1000
_LOCALES = """
    am ar as be bg bn bo brx ccp chr cs da de dz el en eo es et eu fa ff_Adlm fi fr ga gu ha he hi hsb hu hy id
    ii is ja ka kk kk_Arab km kn ko kok ku ky lo lt lv mai mk ml mn mni mr ms my ne nqo or pa pa_Arab pl ps pt
    ro ru sa sat sd sd_Deva shi si sk so sr sr_Latn su sv sw ta te tg th ti tr ug uk ur uz vai vi yi yo yue zgh
    zh zh_Hant zu
"""
_ODD = (
    "", " ", "   ", " a", "a ", "a  b", "  a   b  ", "a\tb", "\t", "a\nb\n", "\n\n", "a\r\nb", "a\x00b", "\x00",
    "\x01a\x02", "a\x1fb", "\x7f", "\x80a\x9f", "\u200ba\u200b", "\u200e\u200fa", "\ufeffa", "a\xa0b",
    "\u3000a\u3000 b", "\u2028a\u2029", "\u202aa\u202c", "a\xadb", "ﬁ①Ⅳ ½", "Ａ１", "e\u0301", "한",
    "e\u0323\u0302", "🙂\U0001f44d\U0001f3fd\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0010ffff", "\ufffd",
    "a \u200b b", "a\u3000\t\n  b", "1,234.5 %", "don't  stop...",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spiece:
    """A tokenizer read from a ``spiece.model``.

    Attributes:
        text: Content of a ``tokenizer.json`` with the same ids.
        ids: ``pad``, ``eos`` and ``bos`` as the file has them, or None.
    """

    text: str
    ids: dict[str, int | None]


def read_spiece(path: Path, *, num_extra: int) -> Spiece:
    """Read a unigram model of SentencePiece.

    Args:
        path: The file.
        num_extra: Ids ``<extra_id_N>`` behind the vocabulary, the last first: T5 has 100, mT5 none.

    Raises:
        MissingExtraError: sentencepiece or protobuf is not installed.
        DataError: Not a complete file of SentencePiece.
        ConfigError: Another kind of model, or one that no fast tokenizer repeats exactly.
    """
    model, processor = _load(path)
    if model.trainer_spec.model_type != _UNIGRAM or model.normalizer_spec.ListFields() == []:
        raise ConfigError(f"{path}: is not a unigram model; convert it to a tokenizer.json")
    core = _fast(model, num_extra)
    _compare(path, core, processor, check_texts(model))
    known = {"pad": processor.pad_id(), "eos": processor.eos_id(), "bos": processor.bos_id()}
    return Spiece(core.to_str(), {name: number if number >= 0 else None for name, number in known.items()})


def _load(path: Path) -> tuple[Any, SentencePieceProcessor]:
    """Return the parts of the file, and what encodes with it."""
    sentencepiece = require("sentencepiece", "train")
    require("google.protobuf", "train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that SWIG made
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2

        content = path.read_bytes()
        try:
            model = sentencepiece_model_pb2.ModelProto.FromString(content)
            processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        except (DecodeError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()
            raise DataError(
                f"{path}: incomplete or damaged SentencePiece file ({reason[0] if reason else 'empty'})"
            ) from None
    if not model.pieces:
        raise DataError(f"{path}: incomplete or damaged SentencePiece file (it has no pieces)")
    return model, processor


def _fast(model: Any, num_extra: int) -> tokenizers.Tokenizer:
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    extra = [f"<extra_id_{number}>" for number in range(num_extra - 1, -1, -1)]
    trainer = model.trainer_spec
    vocabulary = pieces + [(name, 0.0) for name in extra]
    core = tokenizers.Tokenizer(models.Unigram(vocabulary, trainer.unk_id, trainer.byte_fallback))
    core.normalizer = _normalizer(model.normalizer_spec)
    if not any(_SPACE in piece[1:] for piece, _ in pieces):
        core.pre_tokenizer = pre_tokenizers.Split(_SPACE, "merged_with_next")
    strip = [decoders.Strip(" ", 1, 0)] if model.normalizer_spec.add_dummy_prefix else []
    core.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    special = [piece.piece for piece in model.pieces if piece.type in (_UNKNOWN, _CONTROL)]
    core.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in (*special, *extra)])
    defined = [piece.piece for piece in model.pieces if piece.type == _USER_DEFINED]
    core.add_tokens([AddedToken(name, normalized=False) for name in defined])
    if trainer.eos_id >= 0:
        end = pieces[trainer.eos_id][0]
        core.post_processor = processors.TemplateProcessing(
            single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, trainer.eos_id)]
        )
    return core


def _normalizer(spec: Any) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if spec.precompiled_charsmap:
        steps += [normalizers.NFC()] if "nfkc" in spec.name else []
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    return normalizers.Sequence([*steps, normalizers.Replace(" ", _SPACE)])


def check_texts(model: Any) -> list[str]:
    """Return texts that a conversion has to encode as SentencePiece: names, odd ones, and pieces side by side."""
    spelt = [piece for piece in model.pieces if piece.type not in (_UNKNOWN, _CONTROL, _BYTE)]
    plain = [piece.piece.replace(_SPACE, " ") for piece in spelt]
    begun = [text for text in plain if text.strip() and not unicodedata.category(text.strip()[0]).startswith("M")]
    chosen = begun[:: max(1, len(begun) // _MOST_PIECES)]
    joined = [" ".join(chosen[start : start + 4]) for start in range(0, len(chosen), 4)]
    rare = [piece.piece for piece in spelt if piece.type != _NORMAL]
    return [*_names(), *_ODD, *joined, *(f"a{piece}b {piece}" for piece in rare[:_MOST_PIECES])]


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    """Return names of months and regions from CLDR, in the locales that there are."""
    return tuple(name for code in _LOCALES.split() for name in _names_of(code))


def _names_of(code: str) -> Iterator[str]:
    try:
        locale = babel.Locale.parse(code)
    except babel.UnknownLocaleError:
        return
    yield from map(str, locale.months["format"]["wide"].values())
    yield " ".join(list(map(str, locale.territories.values()))[:40])


def _compare(path: Path, core: tokenizers.Tokenizer, processor: SentencePieceProcessor, texts: list[str]) -> None:
    theirs = processor.encode(texts)
    ours = core.encode_batch(texts, add_special_tokens=False)
    differing = [text for text, ids, found in zip(texts, theirs, ours, strict=True) if ids != found.ids]
    if differing:
        raise ConfigError(
            f"{path}: a fast tokenizer gives different ids: {len(differing)} of {len(texts)} texts differ, such as "
            f"{differing[0][:60]!r}; convert it to a tokenizer.json with the library it comes from"
        )
