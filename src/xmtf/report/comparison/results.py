"""Evaluations side by side: which folders hold results, and what each column of a report is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.errors import SourceError
from xmtf.execution import warn
from xmtf.files import MANIFEST, read_manifest
from xmtf.records import Score
from xmtf.remote.copies import finished_copy, remote_names
from xmtf.remote.storage import is_remote
from xmtf.report.agreement import check_results_folder
from xmtf.results.files import SCORES
from xmtf.results.items import item_files
from xmtf.results.measured import MEASURE_COLUMNS, job_counts
from xmtf.results.overlap import Overlap
from xmtf.results.resampling import JobCounts
from xmtf.results.samples import Sample, read_samples
from xmtf.results.scores import read_scores
from xmtf.run_folder import LABELS, RunFolder

__all__ = ["Counts", "Job", "Results", "collect_results", "job_of", "local_sources", "results_folders"]

Job = tuple[str, str, str, str]
"""Suite, task, split and template."""
Counts = dict[Job, Mapping[str, JobCounts]]


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, label by label, in the order in which reports show it.

    Attributes:
        folders: Label -> results folders.
        scores: Label -> result records.
        counts: Label -> job -> measure -> what its items come to; prompts stay on disk until the page shows them.
        samples: Label -> sample generations.
        overlap: Which rows the mixture that the models were trained on holds, where somebody looked.
        trained: Languages of the mixtures of the runs that were measured; empty where no mixture is available.
        compared: What :func:`xmtf.report.comparison.compare.compared` has computed of them.
    """

    folders: dict[str, list[Path]] = field(default_factory=dict)
    scores: dict[str, list[Score]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    overlap: Overlap | None = None
    trained: frozenset[str] = frozenset()
    compared: dict[str, Sequence[object]] = field(default_factory=dict, init=False, repr=False, compare=False)


def results_folders(source: Path) -> list[Path]:
    """Return the results folders of a run folder, a folder of results folders, or a results folder itself.

    Of a run these are its finished evaluations before and after training, which may be none yet.

    Raises:
        SourceError: There are none.
    """
    if (source / SCORES).exists():
        return [source]
    run = RunFolder(source)
    if run.is_run:
        return [place for label in LABELS if ((place := run.results(label)) / MANIFEST).exists()]
    found = sorted((path.parent for path in source.glob(f"*/{SCORES}")), key=_run_order)
    if not found:
        raise SourceError(f"{source}: no results here; give the folder of a run, or a folder that holds {SCORES}")
    return found


def local_sources(sources: Iterable[Path | str]) -> list[Path]:
    """Return folders of runs and results as they are, and for each address the copies of the results that it has.

    An evaluation without a manifest, such as one whose upload was cut short, is skipped with a warning.

    Raises:
        SourceError: An address has no finished results.
        DataError: Results at an address are not what was copied there.
        UserError: A storage refuses, or a package for it is missing.
    """
    return [
        folder
        for source in sources
        for folder in (_results_at(source) if isinstance(source, str) and is_remote(source) else [Path(source)])
    ]


def _results_at(address: str) -> list[Path]:
    names = set(remote_names(address))
    own = [name.removesuffix(SCORES).rstrip("/") for name in names if name.split("/")[-1] == SCORES]
    inner = RunFolder(Path()).all_results.name
    near = [name for name in own if name.count("/") == 0 or (name.count("/") == 1 and name.startswith(f"{inner}/"))]
    finished = [name for name in near if f"{name}/{MANIFEST}".lstrip("/") in names]
    for name in sorted({*near} - {*finished}):
        warn(f"  {address}/{name}: skipped: no {MANIFEST}, so its upload was cut short; copy it up again")
    if not finished:
        raise SourceError(f"{address}: no finished results here (folders with {SCORES} and {MANIFEST})")
    chosen = [""] if "" in finished else sorted(finished, key=lambda name: _run_order(Path(name)))
    return [finished_copy(f"{address.rstrip('/')}/{name}".rstrip("/")) for name in chosen]


def _run_order(folder: Path) -> tuple[int, str]:
    return (LABELS.index(folder.name) if folder.name in LABELS else len(LABELS), folder.name)


def collect_results(sources: Sequence[Path]) -> Results:
    """Read results folders; folders of one model with different jobs share a column.

    A label is what the results call their model. Where two models, or two measurements of the same jobs,
    have one name, the folder is added to it.

    Raises:
        SourceError: A folder holds no results.
        DataError: A file of scores is not one.
    """
    folders = list(dict.fromkeys(folder for source in sources for folder in results_folders(source)))
    for folder in folders:
        check_results_folder(folder)
    folders = _distinct(folders)
    scores = {folder: _held_out(read_scores(folder / SCORES), folder) for folder in folders}
    results = Results(trained=frozenset(code for folder in folders for code in _trained_on(folder)))
    for folder, label in zip(folders, _labels(folders, scores), strict=True):
        results.folders.setdefault(label, []).append(folder)
    for label, members in results.folders.items():
        results.scores[label] = [score for folder in members for score in scores[folder]]
        results.counts[label] = _counts(members)
        results.samples[label] = [sample for folder in members for sample in read_samples(folder)]
    return results


def _distinct(folders: Iterable[Path]) -> list[Path]:
    """Leave out results whose scores are those of a folder before it: runs of a sweep share them by hard links."""
    found: dict[tuple[int, int], Path] = {}
    for folder in folders:
        file = (folder / SCORES).stat()
        found.setdefault((file.st_dev, file.st_ino), folder)
    return list(found.values())


def _trained_on(folder: Path) -> list[str]:
    """Return the languages of the mixture of the run that a results folder belongs to."""
    mixture = RunFolder(folder.resolve().parent.parent).mixture
    if not (mixture / MANIFEST).exists():
        return []
    return [path.name.partition("=")[2] for path in mixture.glob("language=*")]


def _held_out(scores: list[Score], folder: Path) -> list[Score]:
    """Return the scores of a run with the axis only where the manifest of its mixture bears it out."""
    mixture = RunFolder(folder.resolve().parent.parent).mixture
    if not (mixture / MANIFEST).exists():
        return scores
    suites = MixtureDetails.of(read_manifest(mixture), mixture).suites
    really = {each.suite: each.held_out for each in suites}
    return [
        score if score.axis in really.get(score.suite, (score.axis,)) else replace(score, axis="none")
        for score in scores
    ]


def _labels(folders: Sequence[Path], scores: dict[Path, list[Score]]) -> list[str]:
    """Name each folder's column: by its model, and by its folder where the model alone is ambiguous."""
    models = [_model(folder, scores[folder]) for folder in folders]
    labels = []
    for folder, model in zip(folders, models, strict=True):
        alike = [other for other, name in zip(folders, models, strict=True) if name == model]
        if len(alike) == 1 or _one_measurement([scores[other] for other in alike]):
            labels.append(model)
        else:
            labels.append(_with_folder(model, folder, alike))
    return labels


def _model(folder: Path, scores: Sequence[Score]) -> str:
    return scores[0].model or folder.name if scores else folder.name


def _one_measurement(members: Sequence[Sequence[Score]]) -> bool:
    """Return whether folders are parts of one evaluation: the same weights, and no job twice."""
    weights = {score.model_fingerprint for scores in members for score in scores}
    jobs = [job_of(score) for scores in members for score in scores]
    return len(weights) == 1 and len(jobs) == len(set(jobs))


def job_of(score: Score) -> Job:
    """Return the job that a score is of."""
    asked = score.provenance
    return (score.suite, asked.task, asked.split, asked.template)


def _with_folder(model: str, folder: Path, alike: Sequence[Path]) -> str:
    """Add the fewest last parts of the folder's path that tell it from the others."""
    parts = folder.resolve().parts
    for count in range(1, len(parts)):
        ending = parts[-count:]
        if sum(other.resolve().parts[-count:] == ending for other in alike) == 1:
            named = (
                "/".join(part for part in ending if part not in (RunFolder(folder).all_results.name, model))
                or ending[0]
            )
            return f"{named}: {model}" if model in LABELS else f"{model} ({named})"
    return str(folder)


def _counts(folders: Iterable[Path]) -> Counts:
    found = {}
    for file in (file for folder in folders for file in item_files(folder)):
        for about, table in file.each_job(MEASURE_COLUMNS):
            asked = about.job.provenance
            found[about.job.suite, asked.task, asked.split, asked.template] = job_counts(about, table)
    return found
