"""Examples that are already prompted: folders in the layout of xP3, xP3x and P3.

One JSONL file a shard; each record holds ``inputs`` and ``targets``, and in xP3x where it comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from xmtf.errors import ConfigError, SourceError
from xmtf.languages import normalize_language
from xmtf.provenance import constant_columns
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import HeldOut, PromptedFolder
from xmtf.records import PROMPTED_COLUMNS, Provenance
from xmtf.sources.tables import fingerprint_files
from xmtf.tasks.selection import check_patterns, dataset_names, language_pattern, normalized

__all__ = ["PromptedFile", "prompted_files", "prompted_tables"]

HELD_OUT = "template is held out"
"""Reason of records whose template the recipe holds out."""

DATASET_HELD_OUT = "dataset is held out"
"""Reason of records whose dataset the recipe holds out."""

_BLOCK_BYTES = 16 * 2**20
"""Read at a time; a single record must be smaller."""

_FIELDS = pa.schema([(name, pa.string()) for name in ("inputs", "targets", "split", "template", "dataset", "config")])


@dataclass(frozen=True, slots=True)
class PromptedFile:
    """One file of a prompted folder.

    Attributes:
        path: The file.
        language: Code of its language: the folder that it stands in.
        task: Task id: folder and file name.
        dataset: Name of the folder, for records that do not name their dataset.
        split: Split of records that do not name theirs.
        template: Template of records that do not name theirs: the file name.
        cluster: Task cluster.
        licence: Licence of the data.
        rate: Sampling rate.
        size: Bytes of the file.
        fingerprint: Hash of its content and of what its records are called.
        without_templates: Patterns of the templates whose records are left out.
        without_datasets: Patterns of the datasets whose records are left out.
    """

    path: str
    language: str
    task: str
    dataset: str
    split: str
    template: str
    cluster: str
    licence: str
    rate: float
    size: int
    fingerprint: str
    without_templates: tuple[str, ...] = ()
    without_datasets: tuple[str, ...] = ()


def prompted_files(loaded: LoadedRecipe) -> tuple[PromptedFile, ...]:
    """Return the files of the recipe's prompted folders that are not held out, ordered by folder and name.

    Raises:
        SourceError: A folder is missing, or holds no such file.
        UnknownNameError: A folder in it is named like no language, or a pattern matches nothing of it.
        ConfigError: Everything of a folder is left out.
    """
    found: list[PromptedFile] = []
    held_out = normalized(loaded.recipe.mixture.held_out)
    for number, folder in enumerate(loaded.recipe.mixture.prompted):
        where = f"{loaded.path}: mixture.prompted.{number}"
        root = loaded.path.parent / folder.path
        paths = sorted([*root.glob("*/*.jsonl"), *root.glob("*/*.jsonl.gz")])
        if not paths:
            raise SourceError(f"{where}: {root} has no <language>/*.jsonl files")
        folder = folder.model_copy(update={"languages": tuple(language_pattern(p) for p in folder.languages)})
        check_patterns("language", folder.languages, {_language(path, where) for path in paths}, f"{where}.languages")
        check_patterns("file", folder.files, [path.name for path in paths], f"{where}.files")
        taken = [file for path in paths if (file := _take(path, folder, held_out, where)) is not None]
        if not taken:
            raise ConfigError(f"{where}: every file of {root} is left out, by its own filters or by mixture.held_out")
        found += taken
    return tuple(found)


def _language(path: Path, where: str) -> str:
    return normalize_language(path.parent.name, f"{where}: {path.parent}")


def _take(path: Path, folder: PromptedFolder, held_out: HeldOut, where: str) -> PromptedFile | None:
    """Return a file of a prompted folder, or None where a filter leaves it out."""
    language = _language(path, where)
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    if path.name.startswith("merged") or not _matches(path.name, folder.files):
        return None
    if not _matches(language, folder.languages) or _matches(language, held_out.languages):
        return None
    if any(_matches(each, held_out.datasets) for each in dataset_names(Path(folder.path).name)):
        return None
    if _matches(folder.cluster, held_out.clusters) or _matches(stem, held_out.templates):
        return None
    name = Path(folder.path).name
    content = fingerprint_files([path])
    return PromptedFile(
        path=str(path),
        language=language,
        task=f"{name}/{path.parent.name}/{stem}",
        dataset=name,
        split="train",
        template=stem,
        cluster=folder.cluster,
        licence=folder.licence,
        rate=folder.rate,
        size=path.stat().st_size,
        fingerprint=f"{content} {name} {folder.cluster}",
        without_templates=held_out.templates,
        without_datasets=held_out.datasets,
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def prompted_tables(spec: dict[str, Any], run_bytes: int, dropped: Counter[str]) -> Iterator[list[Any]]:
    """Yield the records of a file as prompted tables, gathered to about ``run_bytes`` bytes.

    Args:
        spec: Fields of a :class:`PromptedFile`.
        run_bytes: Bytes of a gathering.
        dropped: Counts records without inputs or targets, and those of templates that are held out.

    Raises:
        SourceError: The file is not JSONL with text fields ``inputs`` and ``targets``; names it.
    """
    part = PromptedFile(**spec)
    tables: list[Any] = []
    first_row = size = 0
    for batch in _batches(part.path):
        table = _prompted(batch, part, first_row)
        first_row += batch.num_rows
        is_whole = pc.and_(pc.is_valid(table.column("inputs")), pc.is_valid(table.column("targets")))
        whole = table.filter(is_whole)
        dropped["no inputs or targets"] += table.num_rows - whole.num_rows
        others = _without(whole, "dataset", part.without_datasets)
        dropped[DATASET_HELD_OUT] += whole.num_rows - others.num_rows
        taken = _without(others, "template", part.without_templates)
        dropped[HELD_OUT] += others.num_rows - taken.num_rows
        tables.append(taken)
        size += batch.nbytes
        if size > run_bytes:
            yield tables
            tables, size = [], 0
    if tables:
        yield tables


def _without(table: pa.Table, name: str, patterns: Sequence[str]) -> Any:
    if not patterns:
        return table
    column = table.column(name)
    names = pc.unique(column).to_pylist()
    parts = {each: dataset_names(each) if name == "dataset" else (each,) for each in names}
    held_out = [each for each in names if any(_matches(part, patterns) for part in parts[each])]
    return table.filter(pc.invert(pc.is_in(column, value_set=pa.array(held_out, pa.string()))))


def _batches(path: str) -> Iterator[Any]:
    options = {
        "read_options": pj.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        "parse_options": pj.ParseOptions(explicit_schema=_FIELDS, unexpected_field_behavior="ignore"),
    }
    try:
        with pa.input_stream(path, compression="detect") as stream:
            if Path(path).stat().st_size:
                yield from pj.open_json(stream, **options)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{path}: cannot be read as JSONL with the text fields `inputs` and `targets`: {error}"
        ) from None


def _prompted(batch: pa.RecordBatch, part: PromptedFile, first_row: int) -> Any:
    rows = batch.num_rows
    shared = Provenance(
        part.language, "en", "none", part.task, part.cluster, part.dataset, "", part.split, part.template
    )
    columns = {
        **constant_columns(shared, rows),
        "inputs": batch.column("inputs"),
        "targets": batch.column("targets"),
        "choices": pa.nulls(rows, pa.list_(pa.string())),
        "dataset": pc.fill_null(batch.column("dataset"), shared.dataset),
        "subset": pc.fill_null(batch.column("config"), shared.subset),
        "split": pc.fill_null(batch.column("split"), shared.split),
        "template": pc.fill_null(batch.column("template"), shared.template),
        "row": pa.array(np.arange(first_row, first_row + rows)),
    }
    return pa.table([columns[name] for name in PROMPTED_COLUMNS], names=list(PROMPTED_COLUMNS))
