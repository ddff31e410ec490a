"""How long programs are and how many comments they hold.

Of completions of HumanEval's kind only what the model wrote counts: the text after the second triple
quote of prompt and completion together, stripped. Comments are counted as number signs, as in the
published table (which a ``#`` inside a string raises too).

::

    def f(x):                     prompt
        \"\"\"Double x.\"\"\"           docstring: ends with the second triple quote
        return 2 * x  # twice     counted: 21 characters, one comment
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from xmtf.analysis.corpus import CorpusColumns, read_corpus
from xmtf.errors import DataError
from xmtf.files import read_json, read_jsonl
from xmtf.languages.codes import CODE
from xmtf.results.completions import COMPLETIONS

__all__ = ["body", "code_statistics", "read_programs"]

_QUOTES = '"""'


def body(program: str) -> str:
    """Return what is after the second triple quote, stripped; the whole program where there are fewer than two."""
    return program.split(_QUOTES, 2)[-1].strip() if program.count(_QUOTES) >= 2 else program.strip()


def code_statistics(name: str, programs: Iterable[str]) -> dict[str, object]:
    """Return means over programs, each already cut to what counts.

    Returns:
        ``source, programs, mean_characters, mean_comments, percent_commented``; zeros where there is no program.
    """
    count = characters = comments = commented = 0
    for program in programs:
        count += 1
        characters += len(program)
        comments += program.count("#")
        commented += "#" in program
    return {
        "source": name,
        "programs": count,
        "mean_characters": round(characters / max(count, 1), 4),
        "mean_comments": round(comments / max(count, 1), 5),
        "percent_commented": round(100 * commented / max(count, 1), 3),
    }


def read_programs(path: Path) -> Iterator[str]:
    """Yield programs, cut to what counts.

    Args:
        path: ``completions.jsonl`` of ``xmtf evaluate code`` (or its folder), ``generations.json`` of other tools (a
            list of lists: prompt and completion of each sample of each problem), or the folder of a mixture, whose
            targets in the language ``code`` are taken as they are.

    Raises:
        DataError: The file has another form.
    """
    if path.is_dir() and not (path / COMPLETIONS).exists():
        for part in read_corpus(path, CorpusColumns(side="targets")):
            yield from (text for text, language in zip(part.texts, part.languages, strict=True) if language == CODE)
        return
    path = path / COMPLETIONS if path.is_dir() else path
    yield from _completions(path) if path.suffix == ".jsonl" else _generations(path)


def _completions(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_jsonl(path), start=1):
        if not isinstance(line, dict) or not isinstance(line.get("completion"), str):
            raise DataError(f"{path}: line {number} has no text under `completion`")
        yield line["completion"].strip()


def _generations(path: Path) -> Iterator[str]:
    value = read_json(path)
    if not isinstance(value, list) or not all(isinstance(samples, list) for samples in value):
        raise DataError(f"{path}: not a list with one list of programs per problem")
    for number, samples in enumerate(value):
        for program in samples:
            if not isinstance(program, str):
                raise DataError(f"{path}: problem {number} has a sample that is not text")
            yield body(program)
