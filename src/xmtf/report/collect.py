"""Read a run folder: what was mixed, how training went, what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.files import MANIFEST, Manifest, read_jsonl, read_manifest
from xmtf.recipe import load_yaml

__all__ = ["LABELS", "Run", "collect_run"]

LABELS = ("before", "after")
"""Evaluations of a run, in order: the model as it was, and as it became."""

Score = dict[str, Any]
"""A line of ``scores.jsonl``: the fields of ``records.Score``."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a report is made from.

    Attributes:
        folder: The run folder.
        recipe: The resolved recipe.
        composition: Arrow table ``language, cluster, dataset, rows, characters`` of the mixture.
        mixture: Manifest of the mixture, or None where there is none.
        model: Manifest of the exported model, or None.
        log: Events of ``log.jsonl``.
        scores: Label -> result records.
        items: Label -> Arrow table of every item scored.
        samples: Label -> sample generations.
    """

    folder: Path
    recipe: dict[str, Any]
    composition: pa.Table
    mixture: Manifest | None
    model: Manifest | None
    log: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, list[Score]] = field(default_factory=dict)
    items: dict[str, pa.Table] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.recipe["name"])


def collect_run(folder: Path) -> Run:
    """Read what a run folder holds; stages that have not run leave their part empty.

    Raises:
        SourceError: Not a run folder.
    """
    if not (folder / "recipe.yaml").exists():
        raise SourceError(f"{folder}: not a run folder (it has no recipe.yaml); give the folder of a run, runs/<name>")
    labels = [label for label in LABELS if (folder / "results" / label / MANIFEST).exists()]
    log = folder / "log.jsonl"
    return Run(
        folder=folder,
        recipe=load_yaml(folder / "recipe.yaml"),
        composition=_composition(folder / "mixture"),
        mixture=_manifest(folder / "mixture"),
        model=_manifest(folder / "model"),
        log=list(read_jsonl(log)) if log.exists() else [],
        scores={label: list(read_jsonl(folder / "results" / label / "scores.jsonl")) for label in labels},
        items={label: _items(folder / "results" / label / "items") for label in labels},
        samples={label: _samples(folder / "results" / label) for label in labels},
    )


def _manifest(folder: Path) -> Manifest | None:
    return read_manifest(folder) if (folder / MANIFEST).exists() else None


def _composition(mixture: Path) -> pa.Table:
    """Count the mixture's examples by language, cluster and dataset."""
    schema = pa.schema([("language", pa.string()), ("cluster", pa.string()), ("dataset", pa.string())])
    counts = schema.append(pa.field("rows", pa.int64())).append(pa.field("characters", pa.int64()))
    if not (mixture / MANIFEST).exists():
        return counts.empty_table()
    files = sorted(str(path) for path in mixture.glob("language=*/*.parquet"))
    columns = {
        "language": ds.field("language"),
        "cluster": ds.field("cluster"),
        "dataset": ds.field("dataset"),
        "length": pa.compute.add(
            pa.compute.utf8_length(ds.field("inputs")), pa.compute.utf8_length(ds.field("targets"))
        ),
    }
    table = ds.dataset(files, format="parquet", partitioning=None).to_table(columns=columns)
    grouped = table.group_by(schema.names).aggregate([("length", "count"), ("length", "sum")])
    return grouped.rename_columns([*schema.names, "rows", "characters"]).cast(counts).sort_by("language")


def _items(folder: Path) -> pa.Table:
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _samples(folder: Path) -> list[dict[str, Any]]:
    path = folder / "samples.jsonl"
    return list(read_jsonl(path)) if path.exists() else []
