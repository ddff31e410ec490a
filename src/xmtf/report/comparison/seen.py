"""Values apart for items that the model was trained on and for those that it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.execution import warn
from xmtf.files import MANIFEST, read_manifest
from xmtf.records import Score
from xmtf.report.comparison.results import Job, Results
from xmtf.results.estimates import Estimate, estimate
from xmtf.results.overlap import Overlap, place_of, read_overlap
from xmtf.results.resampling import JobCounts
from xmtf.run_folder import RunFolder

__all__ = ["Parts", "join_overlap", "parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """A value apart for clean and for seen items.

    Attributes:
        clean: Of items that share nothing with the mixture, or None where there is none.
        seen: Of the others, or None.
        num_clean: Clean items.
        num_seen: Seen items.
    """

    clean: Estimate | None
    seen: Estimate | None
    num_clean: int
    num_seen: int


def join_overlap(results: Results, sources: Sequence[Path], given: Path | None) -> Results:
    """Return results with the overlap that was found for them: what is given, else what a run holds.

    Args:
        results: Of the sources.
        sources: Run folders and results folders.
        given: Folder or file of ``xmtf analyze contamination --out``.

    Raises:
        ConfigError: It is of another mixture, or of other data than the results.
    """
    own = [RunFolder(source).overlap for source in sources if RunFolder(source).is_run]
    path = given or next((folder for folder in own if folder.exists() and len(sources) == 1), None)
    if path is None:
        return results
    overlap = read_overlap(path)
    _check_mixtures(overlap, sources, path)
    for scores in results.scores.values():
        _check_data(overlap, scores, path)
    _say_covered(overlap, results, path)
    return replace(results, overlap=overlap)


def _check_mixtures(overlap: Overlap, sources: Sequence[Path], path: Path) -> None:
    for source in sources:
        mixture = RunFolder(source).mixture
        if not RunFolder(source).is_run or not (mixture / MANIFEST).exists():
            continue
        if read_manifest(mixture).fingerprint != overlap.mixture:
            again = f"`xmtf analyze contamination {mixture} --out {path}`"
            raise ConfigError(f"{path}: was computed for a mixture other than {mixture}; run {again} again")


def _check_data(overlap: Overlap, scores: Sequence[Score], path: Path) -> None:
    for score in scores:
        place = place_of(score.provenance.task, score.provenance.split)
        ours, theirs = score.hashes.get("data"), overlap.data.get(place)
        if ours is not None and theirs is not None and ours != theirs:
            raise ConfigError(
                f"{path}: was computed on data of {place} other than those of the results of {score.model}; run `xmtf "
                "analyze contamination` again on the data that were evaluated"
            )


def _say_covered(overlap: Overlap, results: Results, path: Path) -> None:
    """Describe where nobody looked; where that is everywhere, what was given is something else."""
    jobs = {(job, label): found for label, counts in results.counts.items() for job, found in counts.items()}
    unknown = {
        place_of(task, split)
        for ((_, task, split, _), _), found in jobs.items()
        if any(overlap.seen(task, split, each.rows) is None for each in found.values())
    }
    places = {place_of(task, split) for (_, task, split, _), _ in jobs}
    if places and unknown == places:
        raise ConfigError(f"{path}: covers none of the rows of these results; give their suites")
    if unknown:
        names = ", ".join(sorted(unknown)[:3]) + (", ..." if len(unknown) > 3 else "")
        warn(
            f"{path}: rows of {len(unknown)} of {len(places)} splits were not searched for, so they are shown as a "
            f"dash ({names})"
        )


def parts(metric: str, jobs: Mapping[Job, JobCounts], overlap: Overlap | None) -> Parts | None:
    """Return the value of some jobs apart for clean and seen items; None where one of their rows was not searched for.

    Args:
        metric: Which.
        jobs: What the items of each job come to.
        overlap: What was found, or None.
    """
    if overlap is None or not jobs:
        return None
    clean: list[JobCounts] = []
    seen: list[JobCounts] = []
    for (_, task, split, _), counts in jobs.items():
        flags = overlap.seen(task, split, counts.rows)
        if flags is None:
            return None
        for chosen, mask in ((clean, ~flags), (seen, flags)):
            if mask.any():
                chosen.append(JobCounts(counts.rows_of, counts.rows[mask], counts.counts[mask]))
    numbers = [sum(len(job.rows) for job in chosen) for chosen in (clean, seen)]
    values = [estimate(metric, chosen) if chosen else None for chosen in (clean, seen)]
    return Parts(values[0], values[1], numbers[0], numbers[1])
