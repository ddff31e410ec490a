"""The records of prompted folders as prompted tables, block by block, whatever kind of file holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from xmtf.artefacts.manifest_parts import FirstDropped
from xmtf.errors import SourceError, nearest
from xmtf.json_types import JsonObject
from xmtf.languages.codes import normalize_language
from xmtf.mixture.plan.prompted import PromptedFile
from xmtf.provenance import constant_columns
from xmtf.records import PROMPTED_COLUMNS, Provenance
from xmtf.sources.files.json_values import json_objects
from xmtf.sources.files.kinds import require_kind
from xmtf.sources.files.lines import line_blocks
from xmtf.sources.tables import read_blocks
from xmtf.tasks.prompting.blank import blank_texts
from xmtf.tasks.prompting.drop_report import DropReport
from xmtf.tasks.selection import dataset_names
from xmtf.templates.languages.names import language_of_name

__all__ = ["prompted_tables"]

HELD_OUT = "template is held out"
"""Reason of records whose template the recipe holds out."""

DATASET_HELD_OUT = "dataset is held out"
"""Reason of records whose dataset the recipe holds out."""

LANGUAGE_HELD_OUT = "prompt language is held out"
"""Reason of records whose prompt is written in a language that the recipe holds out."""

EMPTY_TARGET = "empty target"
_NO_TEXTS = "no inputs or targets"

_TEXTS = ("inputs", "targets")
_FIELDS = pa.schema(
    [(name, pa.string()) for name in (*_TEXTS, "split", "template", "dataset", "config", "prompt_language")]
)


def prompted_tables(
    spec: JsonObject, run_bytes: int, dropped: Counter[str], report: DropReport
) -> Iterator[list[pa.Table]]:
    """Yield the records of a file as prompted tables, gathered to about ``run_bytes`` bytes.

    Args:
        spec: Fields of a :class:`PromptedFile`.
        run_bytes: Bytes of a gathering.
        dropped: Counts records without inputs or targets, and those of templates that are held out.
        report: Is given the first record of each kind of drop.

    Raises:
        SourceError: The file holds no rows with text fields ``inputs`` and ``targets``; names it, and the line.
    """
    part = PromptedFile(**spec)
    tables: list[pa.Table] = []
    first_row = size = 0
    filled = dict.fromkeys(_TEXTS, False)
    for block in _blocks(Path(part.path)):
        for name in _TEXTS:
            filled[name] |= block.column(name).null_count < block.num_rows
        table = _prompted(block, part, first_row)
        first_row += block.num_rows
        table = _with_texts(table, part, dropped, report)
        others = _without(table, "dataset", part.without_datasets)
        dropped[DATASET_HELD_OUT] += table.num_rows - others.num_rows
        taken = _without(others, "template", part.without_templates)
        dropped[HELD_OUT] += others.num_rows - taken.num_rows
        asked = _without(taken, "prompt_language", part.without_languages)
        dropped[LANGUAGE_HELD_OUT] += taken.num_rows - asked.num_rows
        tables.append(asked)
        size += block.nbytes
        if size > run_bytes:
            yield tables
            tables, size = [], 0
    if first_row and not all(filled.values()):
        raise SourceError(_lacking(Path(part.path), [name for name in _TEXTS if not filled[name]]))
    if tables:
        yield tables


def _with_texts(table: pa.Table, part: PromptedFile, dropped: Counter[str], report: DropReport) -> pa.Table:
    """Return the rows that have inputs and targets; in ``fixed`` mode targets of which something is seen."""
    missing = ~np.asarray(pc.and_(*(pc.is_valid(table.column(name)) for name in _TEXTS)))
    blank = np.zeros_like(missing) if part.mode == "legacy" else blank_texts(table.column("targets")) & ~missing
    for reason, mask in ((_NO_TEXTS, missing), (EMPTY_TARGET, blank)):
        if mask.any():
            dropped[reason] += int(mask.sum())
            row = table.column("row")[int(np.flatnonzero(mask)[0])].as_py()
            report.firsts.setdefault(reason, FirstDropped(part.task, part.split, part.template, row, ""))
    keep = ~(missing | blank)
    return table if keep.all() else table.filter(pa.array(keep))


def _without(table: pa.Table, name: str, patterns: Sequence[str]) -> pa.Table:
    if not patterns:
        return table
    column = table.column(name)
    names = pc.unique(column).to_pylist()
    parts = {each: dataset_names(each) if name == "dataset" else (each,) for each in names}
    held_out = [each for each in names if any(fnmatchcase(part, p) for part in parts[each] for p in patterns)]
    return table.filter(pc.invert(pc.is_in(column, value_set=pa.array(held_out, pa.string()))))


def _blocks(path: Path) -> Iterator[pa.Table]:
    """Yield tables with the columns of ``_FIELDS``; JSON lines are read in columns, whatever else is in them."""
    if require_kind(path).rows in (".jsonl", ".ndjson"):
        for number, lines in line_blocks(path):
            if not lines.isspace():
                yield _columns(lines, path, number)
        return
    for block in read_blocks(path):
        yield pa.table([_text(block, each.name, path) for each in _FIELDS], schema=_FIELDS)


def _columns(lines: bytes, path: Path, number: int) -> pa.Table:
    try:
        table = pj.read_json(
            pa.BufferReader(lines),
            read_options=pj.ReadOptions(block_size=len(lines) + 1, use_threads=False),
            parse_options=pj.ParseOptions(explicit_schema=_FIELDS, unexpected_field_behavior="ignore"),
        )
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise SourceError(_explain(path, " ".join(str(error).split()))) from None
    return table


def _explain(path: Path, message: str) -> str:
    """Name the line of a file that cannot be read as JSON lines with text fields."""
    for number, row, _ in json_objects(path):  # raises where a line is no object
        for each in _FIELDS:
            value = row.get(each.name)
            if value is not None and not isinstance(value, str):
                shown = str(value)[:40]
                return (
                    f"{path}: cannot be read as JSONL with the text fields `inputs` and `targets`: line {number}: "
                    f"`{each.name}` is {shown}, not text; write it as text, in quotes"
                )
    return f"{path}: cannot be read as JSONL with the text fields `inputs` and `targets`: {message}"


def _text(block: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    if name not in block.column_names:
        return pa.chunked_array([pa.nulls(block.num_rows, pa.string())])
    column = block.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    texts = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null
    if not any(fits(column.type) for fits in texts):
        raise SourceError(f"{path}: column {name!r} is of type {column.type}, not text; write it as text")
    return column.cast(pa.string())


def _lacking(path: Path, names: Sequence[str]) -> str:
    """Report that no record has a field, with the nearest name that they have."""
    if require_kind(path).rows in (".jsonl", ".ndjson"):
        known = list(next(json_objects(path))[1])
    else:
        known = next(read_blocks(path)).column_names
    lacking = " and ".join(f"`{name}`" for name in names)
    others = [name for name in known if name not in _TEXTS]
    near = [found[0] for name in names if (found := nearest(name, others))]
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"they have {', '.join(known) or 'no fields'}."
    return f"{path}: no record has {lacking}; {hint} Rename the fields"


def _prompted(block: pa.Table, part: PromptedFile, first_row: int) -> pa.Table:
    rows = block.num_rows
    shared = Provenance(
        part.language, "en", "none", part.task, part.cluster, part.dataset, "", part.split, part.template
    )
    templates = pc.fill_null(block.column("template"), shared.template)
    languages, translations = _prompt_languages(templates, block.column("prompt_language"), part)
    columns = {
        **constant_columns(shared, rows),
        "inputs": block.column("inputs"),
        "targets": block.column("targets"),
        "choices": pa.nulls(rows, pa.list_(pa.string())),
        "dataset": pc.fill_null(block.column("dataset"), shared.dataset),
        "subset": pc.fill_null(block.column("config"), shared.subset),
        "split": pc.fill_null(block.column("split"), shared.split),
        "template": templates,
        "prompt_language": languages,
        "translation": translations,
        "row": pa.array(np.arange(first_row, first_row + rows)),
    }
    return pa.table([columns[name] for name in PROMPTED_COLUMNS], names=list(PROMPTED_COLUMNS))


def _prompt_languages(
    templates: pa.ChunkedArray, said: pa.ChunkedArray, part: PromptedFile
) -> tuple[pa.Array, pa.Array]:
    """Return language and translation of each record's prompt.

    What counts: the record's own field, the suffix of its template's name (``..._frmt``), the folder's key, English.
    """
    known = {
        name: language_of_name(name) or (part.prompt_language, "none") for name in pc.unique(templates).to_pylist()
    }
    codes = {
        code: normalize_language(code, f"{part.path}: prompt_language")
        for code in pc.unique(said).to_pylist()
        if code is not None
    }
    pairs = zip(said.to_pylist(), templates.to_pylist(), strict=True)
    languages = [known[name][0] if code is None else codes[code] for code, name in pairs]
    translations = [known[name][1] for name in templates.to_pylist()]
    return pa.array(languages, pa.string()), pa.array(translations, pa.string())
