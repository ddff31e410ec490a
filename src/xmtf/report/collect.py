"""Read a run folder: what was mixed, how training went, what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from xmtf.artefacts.checksums import check_outputs
from xmtf.artefacts.event_log import read_events
from xmtf.errors import SourceError
from xmtf.execution import warn
from xmtf.files import MANIFEST, Manifest, read_manifest
from xmtf.json_types import JsonObject
from xmtf.recipe import load_yaml
from xmtf.records import Score
from xmtf.report.agreement import check_agreement, log_lacks
from xmtf.report.comparison.results import Results, collect_results
from xmtf.report.comparison.seen import join_overlap
from xmtf.run_folder import RunFolder

__all__ = ["COMPOSITION", "Material", "Run", "collect", "collect_run"]

_GROUP = pa.schema([("language", pa.string()), ("cluster", pa.string()), ("dataset", pa.string())])
COMPOSITION = _GROUP.append(pa.field("rows", pa.int64())).append(pa.field("characters", pa.int64()))
"""Columns of ``Run.composition``."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a report is made from.

    Attributes:
        folder: The run folder.
        recipe: The resolved recipe.
        composition: Arrow table of the mixture's examples by language, cluster and dataset (``COMPOSITION``).
        mixture: Manifest of the mixture, or None where there is none.
        model: Manifest of the exported model, or None.
        log: Events of ``log.jsonl``.
        results: What was measured before and after training.
    """

    folder: Path
    recipe: JsonObject
    composition: pa.Table
    mixture: Manifest | None
    model: Manifest | None
    log: list[JsonObject] = field(default_factory=list)
    results: Results = field(default_factory=Results)

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.recipe["name"])

    @property
    def scores(self) -> dict[str, list[Score]]:
        """Label -> result records."""
        return self.results.scores


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made from: runs, and results of any number of models.

    Attributes:
        runs: Runs among the sources.
        results: Of all sources.
    """

    runs: list[Run]
    results: Results


def collect(sources: Sequence[Path], overlap: Path | None = None) -> Material:
    """Read run folders and results folders.

    Args:
        sources: The folders.
        overlap: What ``xmtf analyze contamination --out`` wrote; by default what the folder of a run holds.

    Raises:
        SourceError: A folder is neither.
        DataError: A file in one is broken.
        ConfigError: The overlap is of another mixture or of other data.
    """
    runs = [collect_run(source) for source in sources if RunFolder(source).is_run]
    results = runs[0].results if len(runs) == len(sources) == 1 else collect_results(sources)
    return Material(runs, join_overlap(results, sources, overlap))


def collect_run(folder: Path) -> Run:
    """Read what a run folder holds; stages that have not run leave their part empty.

    Raises:
        SourceError: Not a run folder.
    """
    run = RunFolder(folder)
    if not run.is_run:
        raise SourceError(f"{folder}: not a run folder (it has no {run.recipe.name}); give a run folder, runs/<name>")
    check_agreement(run)
    if lacks := log_lacks(run):
        warn(f"{run.log}: {lacks}; the training log shown is incomplete")
    return Run(
        folder=folder,
        recipe=load_yaml(run.recipe),
        composition=_composition(run.mixture),
        mixture=_manifest(run.mixture),
        model=_manifest(run.model),
        log=list(read_events(run.log)) if run.log.exists() else [],
        results=collect_results([folder]),
    )


def _manifest(folder: Path) -> Manifest | None:
    return read_manifest(folder) if (folder / MANIFEST).exists() else None


def _composition(mixture: Path) -> pa.Table:
    """Count the mixture's examples by language, cluster and dataset."""
    if not (mixture / MANIFEST).exists():
        return COMPOSITION.empty_table()
    check_outputs(mixture)
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
    grouped = table.group_by(_GROUP.names).aggregate([("length", "count"), ("length", "sum")])
    return grouped.rename_columns(COMPOSITION.names).cast(COMPOSITION).sort_by("language")
