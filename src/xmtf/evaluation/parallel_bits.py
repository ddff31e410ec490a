"""Bits per byte on parallel text: how well a model predicts the same content in each language.

Perplexities of languages cannot be compared, since tokens differ. Two measures can: bits per byte of UTF-8 (after NFC),
and bits a sentence relative to one language, which asks how much dearer the same sentence is::

    language  bits   bytes  bits per byte  bits a sentence, of those in en
    en        1,200    900  1.33           1.00
    hi        2,100  2,300  0.91           1.75     cheap by byte, since Devanagari takes three bytes a letter
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xmtf.artefacts.ownership import new_file
from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation.asking.subject import load_subject, say_special_texts
from xmtf.evaluation.asking.waiting import waiting_answers
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.processes import require_one_process
from xmtf.evaluation.harness.texts import answer_texts
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import warn
from xmtf.intervals import bootstrap_ratio
from xmtf.languages.codes import normalize_language
from xmtf.sources.files.kinds import kind_of
from xmtf.sources.files.lines import read_whole_text
from xmtf.sources.tables import read_blocks
from xmtf.text.table import aligned

__all__ = ["LanguageBits", "bits_lines", "parallel_bits", "read_parallel"]


@dataclass(frozen=True, slots=True)
class LanguageBits:
    """What a model makes of one language of parallel text.

    Attributes:
        language: Code.
        sentences: Sentences scored.
        tokens: Their tokens.
        bytes: Bytes of their UTF-8, after NFC.
        bits: Negative log-probability of all, to base 2.
        per_byte: Bits divided by bytes.
        low: Lower end of its 95 % interval, over sentences.
        high: Upper end.
        relative: Bits divided by those of the same sentences in the reference language.
        relative_low: Lower end of its 95 % interval, over sentences.
        relative_high: Upper end.
        reference: Code of that language.
        left_out: Sentences that are blank, or could not be scored, in some language.
    """

    language: str
    sentences: int
    tokens: int
    bytes: int
    bits: float
    per_byte: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    reference: str
    left_out: int


def read_parallel(named: Sequence[str]) -> dict[str, list[str]]:
    """Return language -> sentences, of options ``LANGUAGE=FILE``.

    A text file has one sentence per line; of other files the column ``text`` is read.

    Raises:
        ConfigError: An option is written otherwise, a language is named twice, or files have unlike numbers of lines.
        SourceError: A file cannot be read.
    """
    texts: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for option in named:
        code, mark, path = option.partition("=")
        if not mark or not code.strip() or not path.strip():
            raise ConfigError(f"--parallel {option!r}: write LANGUAGE=FILE, such as sw=flores.swh")
        language = normalize_language(code.strip(), "--parallel")
        if language in texts:
            raise ConfigError(f"--parallel: {language} is given twice ({paths[language]}, {path})")
        texts[language], paths[language] = _sentences(Path(path)), path
    if len(texts) < 2:
        raise ConfigError("--parallel: give at least two languages, such as --parallel en=FILE --parallel sw=FILE")
    first = next(iter(texts))
    for language, sentences in texts.items():
        if len(sentences) != len(texts[first]):
            raise ConfigError(
                f"--parallel: {paths[first]} has {len(texts[first]):,} sentences and {paths[language]} has "
                f"{len(sentences):,}; corresponding lines must be translations of each other"
            )
    return texts


def _sentences(path: Path) -> list[str]:
    if kind_of(path) is None:
        text = read_whole_text(path)
        lines = text.removesuffix("\n").split("\n") if text else []
    else:
        lines = []
        for block in read_blocks(path):
            if "text" not in block.column_names:
                raise SourceError(f"{path}: has no field `text`; it has {', '.join(block.column_names)}")
            lines += [str(value or "") for value in block.column("text").to_pylist()]
    if not any(line.strip() for line in lines):
        raise SourceError(f"{path}: has no text")
    return [unicodedata.normalize("NFC", line.strip()) for line in lines]


def parallel_bits(
    setup: Setup,
    texts: Mapping[str, Sequence[str]],
    *,
    model: str,
    relative_to: str | None = None,
    out: Path | None = None,
    replace: bool = False,
) -> list[LanguageBits]:
    """Measure a model on parallel text, sentence by sentence.

    Args:
        setup: Device and batches.
        texts: Language -> its sentences; equal places are translations of each other.
        model: Folder, GGUF file or hub id.
        relative_to: Language that the others are set in relation to; default the first.
        out: JSONL file to write to; none by default. With one, the same call resumes what was killed.
        replace: Whether a file that is there is overwritten.

    Raises:
        ConfigError: ``relative_to`` is not among the languages, no sentence is left, ``out`` already exists, or there
            are several processes.
    """
    require_one_process("evaluate loss")
    new_file(out, replace=replace)
    reference = next(iter(texts)) if relative_to is None else normalize_language(relative_to, "--relative-to")
    if reference not in texts:
        raise ConfigError(f"--relative-to {relative_to}: is not one of the given languages ({', '.join(texts)})")
    number = len(texts[reference])
    filled = [place for place in range(number) if all(sentences[place] for sentences in texts.values())]
    subject = load_subject(setup, model, model)
    chosen = {language: [sentences[place] for place in filled] for language, sentences in texts.items()}
    with waiting_answers(out, subject.identity(setup), replace=replace) as waiting:
        found = answer_texts(subject, waiting.journal, chosen, label="measuring bits")
        say_special_texts(subject)
        measured = _measured(texts, filled, found, reference)
        waiting.write(map(asdict, measured))
    return measured


def _measured(
    texts: Mapping[str, Sequence[str]],
    filled: Sequence[int],
    found: Mapping[str, Sequence[Answer]],
    reference: str,
) -> list[LanguageBits]:
    """Sum up what was found of the sentences at the ``filled`` places."""
    number = len(texts[reference])
    whole = [n for n in range(len(filled)) if all(answers[n].error is None for answers in found.values())]
    if not whole:
        raise ConfigError("--parallel: no sentence has text and a finite score in every language")
    if left_out := number - len(whole):
        warn(f"  {left_out:,} of {number:,} sentences are blank or cannot be scored in some language and are skipped")
    bits = {language: [-answers[n].scores[0] / math.log(2) for n in whole] for language, answers in found.items()}
    kept = [filled[n] for n in whole]
    return [
        _summed(
            language,
            bits[language],
            bits[reference],
            [len(texts[language][place].encode()) for place in kept],
            sum(found[language][n].num_tokens[0] for n in whole),
            reference,
            left_out,
        )
        for language in texts
    ]


def _summed(
    language: str,
    bits: Sequence[float],
    others: Sequence[float],
    sizes: Sequence[int],
    tokens: int,
    reference: str,
    left_out: int,
) -> LanguageBits:
    total, size = math.fsum(bits), sum(sizes)
    low, high = bootstrap_ratio(list(zip(bits, sizes, strict=True)))
    relative_low, relative_high = bootstrap_ratio(list(zip(bits, others, strict=True)))
    return LanguageBits(
        language=language,
        sentences=len(bits),
        tokens=tokens,
        bytes=size,
        bits=total,
        per_byte=total / size,
        low=low,
        high=high,
        relative=total / math.fsum(others),
        relative_low=relative_low,
        relative_high=relative_high,
        reference=reference,
        left_out=left_out,
    )


def bits_lines(found: Sequence[LanguageBits]) -> list[str]:
    """Return the measures as lines of aligned columns."""
    rows = [("language", "sentences", "tokens", "bytes", "bits per byte", f"bits, of those in {found[0].reference}")]
    for each in found:
        counts = (f"{each.sentences:,}", f"{each.tokens:,}", f"{each.bytes:,}")
        per_byte = f"{each.per_byte:.3f} [{each.low:.3f}, {each.high:.3f}]"
        relative = f"{each.relative:.2f} [{each.relative_low:.2f}, {each.relative_high:.2f}]"
        rows.append((each.language, *counts, per_byte, relative))
    return aligned(rows, numbers=range(1, 6))
