"""Items on disk: a Parquet file for each suite, in which each job is a row group.

Everything that a score is computed from lies there, so metrics can be recomputed without the model. The footer
describes the jobs in the order of their row groups:

::

    items/held-out_languages.parquet
      row group 0   items of xnli/fr, template "guess"      metadata xmtf_jobs[0]
      row group 1   items of xnli/fr, template "justified"  metadata xmtf_jobs[1]

Results of versions up to 0.1 have a file for each job, described by the metadata ``xmtf``; they are read as
files of one job.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import DataError
from xmtf.files import atomic_path, slug
from xmtf.records import PROVENANCE_COLUMNS, Provenance, ShotsAsked
from xmtf.text.lines import from_line, to_line

__all__ = [
    "ITEMS",
    "ITEM_SCHEMA",
    "About",
    "ItemsFile",
    "ItemsWriter",
    "JobInfo",
    "SuiteItems",
    "is_items",
    "item_files",
    "item_paths",
    "items_writer",
    "open_items",
    "suite_items",
    "suite_path",
]

ITEMS = "items"
"""Folder of the items files in a results folder."""
_JOBS = b"xmtf_jobs"
_ONE_JOB = b"xmtf"
"""Metadata of a file that holds a single job, as earlier versions wrote them."""

ITEM_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("suite", *PROVENANCE_COLUMNS)),
        ("row", pa.int64()),
        ("prompt", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float64())),
        ("num_tokens", pa.list_(pa.int32())),
        ("gold", pa.int32()),
        ("choice", pa.int32()),
        ("text", pa.string()),
        ("references", pa.list_(pa.string())),
        ("correct", pa.bool_()),
        ("error", pa.string()),
        ("truncated", pa.bool_()),
        ("ending", pa.string()),
        ("measures", pa.list_(pa.list_(pa.float64()))),
        ("unconditional", pa.list_(pa.float64())),
        ("joint", pa.list_(pa.float64())),
        ("text_language", pa.string()),
        ("text_script", pa.string()),
        ("in_language", pa.bool_()),
        ("reasoning", pa.string()),
    ]
)
"""Columns of an items file.

``scores`` are sums of log-probabilities, ``num_tokens`` the tokens that each was summed over; ``choice`` is the best
under the job's scoring. ``unconditional`` and ``joint`` are the sums that the scorings ``pmi`` and ``lm_eval`` need,
null where they were not computed. ``ending`` says why a text ended: ``end of text``, ``stop text`` or ``budget``.
``measures`` are counts whose sums give each measure of the job (:mod:`xmtf.results.measured`), null for items with an
error. ``text_language`` and ``text_script`` are what a generated answer was found to be in, ``in_language`` whether
that is the language asked for; null where it cannot be told. ``reasoning`` is what a model wrote before its answer,
where the job says what ends it; ``text`` is then the answer alone, empty where nothing came after it. ``correct`` is
null for items with an error and for metrics that do not judge single items (BLEU).
"""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """One template on one split of a task, as a suite asks it: a line of results, without its requests.

    Attributes:
        suite: Evaluation suite.
        axis: What is held out.
        kind: ``rank`` or ``generation``.
        provenance: What is asked.
        template_hash: Content hash of the template.
        metrics: Of a generation job; ``accuracy`` of a rank job.
        dropped: Rows that cannot be asked, counted by reason.
        revision: Revision of the dataset that the catalogue pins, or None.
        parallel: Name of the set of tasks of which equal rows are translations of each other, or ``""``.
        source_languages: Other languages that are in the inputs, such as the source of a translation.
        limited: Whether only some of the rows were asked, by the suite's own limit.
        data: Hash of the rows that were read, or ``""`` where that is not known.
        shots: Examples that are before the prompts, or None.
        answer_after: Text that ends the reasoning before an answer, or ``""``.
    """

    suite: str
    axis: str
    kind: str
    provenance: Provenance
    template_hash: str
    metrics: tuple[str, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    revision: str | None = None
    parallel: str = ""
    source_languages: tuple[str, ...] = ()
    limited: bool = False
    data: str = ""
    shots: ShotsAsked | None = None
    answer_after: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What the items of a job have in common.

    Attributes:
        job: What was asked.
        model: Label of the model.
        model_fingerprint: Hash of weights and tokenizer.
        scoring: How choices were scored.
        versions: Package versions that made the answers.
        decoding: How texts were generated.
        hashes: Of ``weights`` and ``tokenizer``.
        computed: Where and how: ``device`` and ``dtype``, as far as they are known.
    """

    job: JobInfo
    model: str
    model_fingerprint: str
    scoring: str
    versions: Mapping[str, str]
    decoding: str = "greedy"
    hashes: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)


def suite_path(folder: Path, suite: str) -> Path:
    """Return the items file of a suite in a results folder."""
    return folder / ITEMS / f"{slug(suite)}.parquet"


def item_paths(folder: Path) -> list[Path]:
    """Return the Parquet files in the ``items`` of a results folder, in order."""
    return sorted((folder / ITEMS).glob("*.parquet"))


class ItemsWriter:
    """Takes the items of a file job by job; see :func:`items_writer`."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._jobs: list[dict[str, Any]] = []

    def add(self, table: pa.Table, about: About) -> None:
        """Write the items of one job, columns of ``ITEM_SCHEMA``, as a row group; it may be empty."""
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._jobs.append({"rows": table.num_rows, **_described(about)})

    def finish(self) -> None:
        """Describe the jobs in the footer."""
        self._writer.add_key_value_metadata({_JOBS: orjson.dumps(self._jobs)})


class SuiteItems:
    """Takes the items of a whole evaluation job by job; see :func:`suite_items`."""

    def __init__(self, folder: Path, files: contextlib.ExitStack) -> None:
        self._folder = folder
        self._files = files
        self._writers: dict[Path, ItemsWriter] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are being written."""
        return tuple(self._writers)

    def add(self, table: pa.Table, about: About) -> None:
        """Write the items of one job into the file of its suite."""
        path = suite_path(self._folder, about.job.suite)
        if path not in self._writers:
            self._writers[path] = self._files.enter_context(items_writer(path))
        self._writers[path].add(table, about)


@contextlib.contextmanager
def suite_items(folder: Path) -> Iterator[SuiteItems]:
    """Give a writer of the items of a results folder, which take the place of those there when the block succeeds."""
    with contextlib.ExitStack() as files:
        items = SuiteItems(folder, files)
        yield items
    for path in set(item_paths(folder)) - set(items.paths):
        if is_items(path):
            path.unlink()  # of what was asked here before


@contextlib.contextmanager
def items_writer(path: Path) -> Iterator[ItemsWriter]:
    """Give a writer of an items file, which is there when the block has succeeded: whole, or not at all."""
    # Without statistics of every column of every job, the footer is a third of the size.
    options = {"compression": "zstd", "write_statistics": ["row"]}
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, ITEM_SCHEMA, **options) as parquet:
        writer = ItemsWriter(parquet)
        yield writer
        writer.finish()


@dataclass(frozen=True, slots=True)
class ItemsFile:
    """An items file, its footer read.

    Attributes:
        path: The file.
        jobs: What its items are, job by job.
        rows: Number of items of each job.
        row_groups: Row groups of each job.
    """

    path: Path
    jobs: tuple[About, ...]
    rows: tuple[int, ...]
    row_groups: tuple[range, ...]
    _footer: pq.FileMetaData = field(repr=False, compare=False)

    def read(self, columns: Sequence[str] = tuple(ITEM_SCHEMA.names), jobs: Iterable[int] | None = None) -> pa.Table:
        """Read the items of some jobs, all by default, in the order of the file.

        Args:
            columns: Of ``ITEM_SCHEMA``; those that an earlier version did not write yet are null.
            jobs: Their indices.

        Raises:
            DataError: The file is broken.
        """
        chosen = range(len(self.jobs)) if jobs is None else sorted(jobs)
        with _explained(self.path), pq.ParquetFile(self.path, metadata=self._footer) as file:
            written = set(file.schema_arrow.names)
            there = [name for name in columns if name in written]
            groups = [group for job in chosen for group in self.row_groups[job]]
            table = file.read_row_groups(groups, columns=there).replace_schema_metadata(None)
        for name in columns:
            if name not in there:
                values = [self._constant(job, name) for job in chosen for _ in range(self.rows[job])]
                table = table.append_column(name, pa.array(values, ITEM_SCHEMA.field(name).type))
        return table.select(list(columns))

    def each_job(self, columns: Sequence[str] = tuple(ITEM_SCHEMA.names)) -> Iterator[tuple[About, pa.Table]]:
        """Yield what each job is, and its items; arguments and errors as of :meth:`read`, the file read once."""
        table = self.read(columns)
        start = 0
        for about, rows in zip(self.jobs, self.rows, strict=True):
            yield about, table.slice(start, rows)
            start += rows

    def _constant(self, job: int, name: str) -> str | None:
        return getattr(self.jobs[job].job.provenance, name) if name in PROVENANCE_COLUMNS else None


def item_files(folder: Path) -> list[ItemsFile]:
    """Return the items files of a results folder, in order of their names.

    Raises:
        DataError: A file is broken.
    """
    return [open_items(path) for path in item_paths(folder)]


def open_items(path: Path) -> ItemsFile:
    """Read the footer of an items file.

    Raises:
        DataError: Not an items file.
    """
    with _explained(path):
        footer = pq.read_metadata(path)
        told = footer.metadata or {}
        if _JOBS in told:
            jobs = orjson.loads(told[_JOBS])
            rows = tuple(int(job.pop("rows")) for job in jobs)
            groups = tuple(_row_groups(footer, rows))
        else:
            jobs = [orjson.loads(told[_ONE_JOB])]
            rows, groups = (footer.num_rows,), (range(footer.num_row_groups),)
        abouts = tuple(_read_about(job, f"{path}, job {number}") for number, job in enumerate(jobs, 1))
    return ItemsFile(path, abouts, rows, groups, footer)


def _row_groups(footer: pq.FileMetaData, rows: Sequence[int]) -> Iterator[range]:
    """Yield the row groups of each job: one, but for jobs of more rows than a row group holds."""
    group = 0
    for number in rows:
        first, left = group, number
        while left > 0 or group == first:
            left -= footer.row_group(group).num_rows
            group += 1
        if left:
            raise ValueError("row groups and jobs do not match")
        yield range(first, group)
    if group != footer.num_row_groups:
        raise ValueError("row groups and jobs do not match")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DataError(f"{path}: not an items file of an evaluation, or damaged") from None


def _described(about: About) -> dict[str, object]:
    return to_line(about) | {"job": to_line(about.job)}


def _read_about(told: object, where: str) -> About:
    if not isinstance(told, dict):
        raise DataError(f"{where}: not the description of a job")
    job = from_line(JobInfo, told.get("job"), where, "job of an evaluation")
    return About(job, **{name: value for name, value in told.items() if name != "job"})


def is_items(path: Path) -> bool:
    """Return whether a file is an items file."""
    try:
        told = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return _JOBS in told or _ONE_JOB in told
