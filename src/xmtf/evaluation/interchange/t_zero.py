"""The files of t-zero's evaluation, in which BLOOMZ's and mT0's results were published.

One file a job, ``<dataset>/<configuration>/<template>/results.json``, spaces and slashes of the names as
``_``; all of them in ``merged.json``; and ``merged.csv``, where every job has a row, every dataset
configuration a row ``median`` over its prompts, and the last row is the mean of the medians.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from xmtf.artefacts.written_files import WrittenFiles
from xmtf.errors import DataError, SourceError
from xmtf.evaluation.interchange.datasets import known_datasets, old_name
from xmtf.evaluation.interchange.imported import Imported, metric_of
from xmtf.files import csv_cell, read_json, write_json, write_text
from xmtf.json_types import JsonObject
from xmtf.results.files import SCORES, no_results
from xmtf.results.scores import read_scores
from xmtf.text.files import NotUtf8Error, read_text_file

__all__ = ["export_t_zero", "read_merged_csv", "read_t_zero"]

_PERCENT = ("bleu", "chrf")
"""0-100 with us, 0-1 in ``merged.csv``."""


def read_t_zero(folder: Path) -> Iterator[Imported]:
    """Read a tree of ``results.json``.

    Raises:
        DataError: A file has not the keys of such a file.
    """
    for path in sorted(folder.rglob("results.json")):
        told = read_json(path)
        try:
            values = told["evaluation"]
            metrics = tuple(metric_of(name, float(value)) for name, value in values.items())
            dataset, config, template = told["dataset_name"], told["dataset_config_name"], told["template_name"]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError(
                f"{path}: not a results.json of t-zero (dataset_name, dataset_config_name, template_name, evaluation)"
            ) from None
        yield Imported("t-zero", dataset, config or "", "", template, metrics, prompt=told.get("arguments"))


def read_merged_csv(path: Path) -> Iterator[Imported]:
    """Read the rows of single prompts of a ``merged.csv``.

    Raises:
        DataError: It has other columns.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text_file(path))))
    except NotUtf8Error as error:
        raise DataError(str(error)) from None
    if not rows or set(rows[0]) != {"dataset", "prompt", "metric", "value"}:
        raise DataError(f"{path}: not a merged.csv of t-zero (columns dataset, prompt, metric, value)")
    for row in rows:
        if row["prompt"] == "median" or row["dataset"] == "multiple":
            continue
        name = row["metric"]
        try:
            value = float(row["value"]) * (100.0 if name in _PERCENT else 1.0)
        except ValueError:
            raise DataError(f"{path}: {row['dataset']}, {row['prompt']}: {row['value']!r} is not a number") from None
        dataset, config = _split_name(row["dataset"])
        kind = "generation" if name in _PERCENT else "rank"
        yield Imported("t-zero", dataset, config, "", row["prompt"], (metric_of(name, value),), kind=kind)


def _split_name(name: str) -> tuple[str, str]:
    """Take ``<dataset>_<configuration>`` apart: as the catalogue knows it, else at the last ``_``."""
    for dataset, config in known_datasets():
        if name == f"{dataset}_{config}" or (name == dataset and not config):
            return dataset, config
    dataset, _, config = name.rpartition("_")
    return (dataset, config) if dataset else (name, "")


@dataclass(frozen=True, slots=True)
class _Row:
    dataset: str
    config: str
    template: str
    metric: str
    value: float

    @property
    def key(self) -> str:
        return f"{self.dataset}_{self.config}" if self.config else self.dataset


def export_t_zero(results: Path, out: Path, *, replace: bool = False) -> int:
    """Write a results folder in t-zero's layout: the tree, ``merged.json`` and ``merged.csv``.

    Accuracies; ``merged.*`` hold BLEU as well, as after the original's merge with its other harness. What
    t-zero has no place for (intervals, versions, items) is left behind.

    Args:
        results: Results folder of ours.
        out: Folder to write to; what an earlier export wrote there, and this one does not, is deleted.
        replace: Whether files that somebody changed since are overwritten.

    Returns:
        Number of ``results.json`` files.

    Raises:
        ConfigError: ``out`` holds something other than such an export.
        SourceError: There is nothing that t-zero could hold, or two jobs would have the same file.
    """
    files = WrittenFiles(out, "results of t-zero", replace)
    files.check()
    if not (results / SCORES).exists():
        raise no_results(results, SCORES)
    rows = [
        _Row(*old_name(asked.dataset, asked.subset, asked.split), asked.template, metric.name, metric.value)
        for score in read_scores(results / SCORES)
        for asked in (score.provenance,)
        for metric in score.metrics
        if metric.name in ("accuracy", "bleu")
    ]
    if not rows:
        raise SourceError(f"{results}: has no accuracy and no BLEU in its {SCORES}, the only metrics of t-zero's files")
    merged: dict[str, JsonObject] = defaultdict(dict)
    places: dict[Path, _Row] = {}
    contents: dict[Path, JsonObject] = {}
    for row in rows:
        parts = [part for part in (row.dataset, row.config, row.template) if part]
        path = Path(*(part.replace("/", "_").replace(" ", "_") for part in parts), "results.json")
        if path in places:
            raise SourceError(
                f"{results}: {row.key}, {row.template!r} occurs twice (overlapping suites or splits), and t-zero "
                f"keeps one; export suites one at a time"
            )
        places[path] = row
        content = {
            "dataset_name": row.dataset,
            "dataset_config_name": row.config or None,
            "template_name": row.template,
            "evaluation": {row.metric: row.value if row.metric == "accuracy" else row.value / 100},
            "arguments": "written by xmtf",
        }
        if row.metric == "accuracy":
            contents[path] = content
        merged[row.key][row.template] = content
    with files.writing(whole=True) as folder:
        for path, content in contents.items():
            write_json(folder / path, content)
        write_json(folder / "merged.json", {key: dict(sorted(merged[key].items())) for key in sorted(merged)})
        write_text(folder / "merged.csv", _merged_csv(merged))
    return len(contents)


def _merged_csv(merged: dict[str, JsonObject]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["dataset", "prompt", "metric", "value"])
    medians = []
    for key in sorted(merged):
        values = []
        for template in sorted(merged[key]):
            ((metric, value),) = merged[key][template]["evaluation"].items()
            writer.writerow(map(csv_cell, (key, template, metric, value)))
            values.append(value)
        medians.append(median(values))
        writer.writerow([key, "median", metric, medians[-1]])
    writer.writerow(["multiple", "average", "multiple", mean(medians)])
    return stream.getvalue()
