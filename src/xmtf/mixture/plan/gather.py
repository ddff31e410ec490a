"""Where the rows of a mixture come from: all splits are searched for before anything is rendered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from xmtf.artefacts.manifest_parts import DatasetVersion, MissingSplit
from xmtf.errors import ConfigError, MissingSourceError, SourceError
from xmtf.execution import track, warn
from xmtf.recipe import LoadedRecipe
from xmtf.sources.hub.remote import is_streaming
from xmtf.sources.locate import ADVICE, Located, locate_all
from xmtf.sources.read import bring_all
from xmtf.sources.reference import SourceRef
from xmtf.tasks import Slice
from xmtf.tasks.dataset_versions import dataset_versions
from xmtf.text.table import aligned

__all__ = ["Gathered", "gather_sources"]

_SHOWN = 3
"""Splits that the error itself names; the table before it has all."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found.

    Attributes:
        slices: Those whose rows are available.
        missing: The others.
        partial: Splits of which the hub converted only the beginning.
        versions: Dataset -> its versions.
        licences: Dataset -> licence, where what is next to the files of a mirror says it.
    """

    slices: tuple[Slice, ...] = ()
    missing: tuple[MissingSplit, ...] = ()
    partial: tuple[str, ...] = ()
    versions: dict[str, tuple[DatasetVersion, ...]] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)


def gather_sources(loaded: LoadedRecipe, slices: Sequence[Slice], asking: Sequence[tuple[str, Slice]] = ()) -> Gathered:
    """Look for all splits of a mixture and of the suites that it holds out, and bring what is on the hub alone.

    Args:
        loaded: The recipe; ``mixture.missing`` says what becomes of splits that are unavailable.
        slices: What the mixture takes.
        asking: Suite and slice of what is held out. None of these can be skipped: their rows could be trained on.

    Raises:
        SourceError: Splits are missing and not to be skipped; all are listed on stderr before. Or the hub fails.
        ConfigError: Nothing is left to take.
    """
    recipe = loaded.recipe
    parts = [*(("", part) for part in slices), *asking]
    refs = {ref.own_files or ref.where: ref for _, part in parts for ref in _source(part).parts}
    places = dict(zip(refs, locate_all(list(refs.values()), offline=recipe.offline), strict=True))
    found = [[places[ref.own_files or ref.where] for ref in _source(part).parts] for _, part in parts]
    missing = [
        (suite, part, next(each for each in those if isinstance(each, SourceError)))
        for (suite, part), those in zip(parts, found, strict=True)
        if any(isinstance(each, SourceError) for each in those)
    ]
    if missing:
        _refuse(loaded, missing)
    there = [each for each in places.values() if isinstance(each, Located)]
    _bring(there)
    skipped = tuple(
        MissingSplit(part.task.id, *_source(part).where, _reason(part, error)) for _, part, error in missing
    )
    lost = {(each.task, each.split) for each in skipped}
    left = tuple(part for part in slices if (part.task.id, part.split) not in lost)
    if slices and not left and not recipe.mixture.prompted:
        raise ConfigError(f"{loaded.path}: mixture.missing: skip leaves nothing: none of its splits is available")
    partial = tuple(sorted({str(each.ref) for each in there if each.partial}))
    if partial:
        warn(f"  for {len(partial)} splits only the beginning is read, as the hub converted no more: {_some(partial)}")
    licences = {each.ref.dataset: each.licence for each in there if each.licence}
    return Gathered(left, skipped, partial, dataset_versions(there), licences)


def _source(part: Slice) -> SourceRef:
    return part.task.source(part.split)


def _refuse(loaded: LoadedRecipe, missing: Sequence[tuple[str, Slice, SourceError]]) -> None:
    """List all that is missing, and refuse what may not be skipped.

    Raises:
        SourceError: There is such.
    """
    rows = [
        (f"suite {suite}: {part.task.id}" if suite else part.task.id, str(_source(part)), _reason(part, error))
        for suite, part, error in missing
    ]
    lines = "\n".join(aligned([("task", "split", "why"), *rows]))
    warn(f"  {len(rows):,} splits are unavailable:\n{lines}")
    must = [
        (suite, part, error)
        for suite, part, error in missing
        if loaded.recipe.mixture.missing == "error" or suite or not isinstance(error, MissingSourceError)
    ]
    if not must:
        warn(f"  they are skipped (mixture.missing: skip); to include them, {ADVICE}")
        return
    if len(must) == 1:
        raise must[0][2]
    named = _some([str(_source(part)) for _, part, _ in must])
    if any(not isinstance(error, MissingSourceError) for *_, error in must):
        how = "some failed temporarily and would be lost: try again"
    elif any(suite for suite, *_ in must):
        how = f"splits of suites cannot be skipped, as their rows could be trained on: {ADVICE}"
    else:
        how = f"{ADVICE}; or skip all of them with mixture.missing=skip"
    raise SourceError(f"{loaded.path}: {len(must):,} splits are unavailable (listed above): {named}; {how}")


def _reason(part: Slice, error: SourceError) -> str:
    """Return why a split is missing, without its name and the advice, which stand elsewhere."""
    why = error.why if isinstance(error, MissingSourceError) else str(error).partition(f": {ADVICE}")[0]
    return why.removeprefix(f"{_source(part)}: ")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _bring(found: Sequence[Located]) -> None:
    """Download what is on the hub alone, unless it is read there.

    Raises:
        SourceError: A file cannot be had.
    """
    wanted = [each for each in found if each.place == "hub" and each.split is not None]
    if not wanted or is_streaming():
        return
    sizes = {
        (each.split.listing.dataset, file.path): file.size for each in wanted if each.split for file in each.split.files
    }
    lock = threading.Lock()
    with track("fetching", sum(sizes.values()), "bytes") as progress:

        def tell(count: int) -> None:
            with lock:
                progress.advance(count)

        problems = bring_all(wanted, tell)
    if problems:
        more = f" (and {len(problems) - 1:,} more files)" if len(problems) > 1 else ""
        raise type(problems[0])(f"{problems[0]}{more}")
