"""A recipe carried out several times, with other values of some keys, and one report of all runs.

::

    runs/demo/sweep/
      learning_rate-1e-05/     a run folder like every other
      learning_rate-2e-05/
      report/                  all runs next to each other

Stages that the keys do not affect are done once: their folders are linked into the other runs, where their fingerprints
are checked as always.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from xmtf.errors import ConfigError, DataError
from xmtf.execution import say
from xmtf.files import MANIFEST, alone_in, atomic_folder, content_hash, link_or_copy, read_manifest, slug
from xmtf.guards.alone import LOCK
from xmtf.recipe import LoadedRecipe, Recipe, load_recipe, parse_overrides
from xmtf.recipe.effects import StageName, marked
from xmtf.recipe.packaged import recipe_file
from xmtf.report.build import build_report
from xmtf.run_folder import PAGE, RunFolder
from xmtf.runs.pipeline import RunOutcome, run_recipe

__all__ = ["Point", "Sweep", "Swept", "plan_sweep", "run_sweep", "split_values"]

_OWN = ("name", "run_folder")
"""Keys that name a run; each run of a sweep has its own folder."""
_LONGEST = 40
"""Letters of a value in the name of a folder."""
_SHARED: dict[str, tuple[StageName, ...]] = {
    "mixture": ("mixture", "guard"),
    "tokens": ("mixture", "guard", "tokens"),
    "initial": ("mixture", "guard", "tokens", "initial"),
    "before": ("mixture", "guard", "tokens", "initial", "evaluation"),
}
"""Stage that runs may share -> the stages whose keys decide what it makes."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep.

    Attributes:
        label: Name of its folder.
        values: Dotted key -> value.
        loaded: The recipe with these values.
    """

    label: str
    values: dict[str, Any]
    loaded: LoadedRecipe


@dataclass(frozen=True, slots=True)
class Sweep:
    """All runs of a sweep, before any has started.

    Attributes:
        folder: Folder of the runs and of their report.
        points: The runs, in order.
    """

    folder: Path
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep came to.

    Attributes:
        sweep: The sweep.
        outcomes: Label -> outcome of the runs that were carried out.
        failures: Label -> why a run failed.
        page: The report of all runs, or None where the runs have none.
    """

    sweep: Sweep
    outcomes: dict[str, RunOutcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    page: Path | None = None


def split_values(text: str) -> list[str]:
    """Return the values of a sweep; commas inside brackets, braces and quotes do not part them.

    >>> split_values("1e-5,2e-5"), split_values("[en, fr],[en]"), split_values("'a,b',c")
    (['1e-5', '2e-5'], ['[en, fr]', '[en]'], ["'a,b'", 'c'])
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def plan_sweep(recipe: Path, overrides: Sequence[str], sweeps: Sequence[str]) -> Sweep:
    """Read the recipe of every run; with several keys there is a run for each combination of their values.

    Args:
        recipe: The recipe.
        overrides: ``key=value``, of all runs.
        sweeps: ``key=value,value``.

    Raises:
        ConfigError: A key or value is wrong, or is given twice; names it. Nothing has started then.
    """
    axes = _axes(sweeps, parse_overrides(overrides))
    recipe = recipe_file(recipe)  # once, as it prints which one it is
    folder = load_recipe(recipe, overrides).run_folder / "sweep"
    short = _short_names(axes)
    points: dict[str, Point] = {}
    for texts in itertools.product(*axes.values()):
        given = [f"{key}={text}" for key, text in zip(axes, texts, strict=True)]
        values = parse_overrides(given)
        label = "_".join(f"{short[key]}-{_text(value)}" for key, value in values.items())
        if label in points:
            raise ConfigError(f"--sweep: {', '.join(given)}: another run has the same values, or the same folder name")
        loaded = load_recipe(recipe, [*overrides, *given, f"run_folder={orjson.dumps(str(folder / label)).decode()}"])
        points[label] = Point(label, values, loaded)
    return Sweep(folder, tuple(points.values()))


def _axes(sweeps: Iterable[str], fixed: dict[str, object]) -> dict[str, list[str]]:
    axes: dict[str, list[str]] = {}
    for text in sweeps:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"--sweep {text}: expected key=value,value, such as training.optimizer.learning_rate=1e-5,2e-5")
        if key in _OWN:
            raise ConfigError(f"--sweep {text}: every run has its own folder; sweep over another key than {key}")
        if key in axes or key in fixed:
            raise ConfigError(f"--sweep {text}: {key} is given twice; give all its values in one --sweep")
        axes[key] = split_values(values)
        if "" in axes[key]:
            raise ConfigError(f"--sweep {text}: an empty value; write null for none")
    return axes


def _short_names(axes: Iterable[str]) -> dict[str, str]:
    """Return key -> its last part, or the whole key where two have the same."""
    keys = list(axes)
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def _text(value: object) -> str:
    """Return a value as a part of the name of a folder.

    >>> _text(2e-5), _text("10 steps"), _text(["en", "fr"])
    ('2e-05', '10-steps', 'en-fr')
    """
    if isinstance(value, float):
        return repr(value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    safe = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")
    return safe if safe and len(safe) <= _LONGEST else slug(text)[-_LONGEST:]


def run_sweep(sweep: Sweep, *, until: str | None = None, replace: bool = False) -> Swept:
    """Carry out the runs of a sweep, one after the other, and write their report.

    Finished work is not done again, so the same call resumes a sweep. A run whose data or training fail does not keep
    the others from running.

    Args:
        sweep: From :func:`plan_sweep`.
        until: Last stage of each run; all by default.
        replace: As for :func:`xmtf.runs.pipeline.run_recipe`.

    Raises:
        UserError: The recipe is wrong for all runs, or another process works in the folder.
    """
    outcomes: dict[str, RunOutcome] = {}
    failures: dict[str, str] = {}
    with alone_in(sweep.folder, what="sweep"):
        for number, point in enumerate(sweep.points, start=1):
            say(f"run {number} of {len(sweep.points)}: {point.label}")
            sharing = _Sharing(point, sweep.points)
            try:
                outcomes[point.label] = run_recipe(point.loaded, until=until, replace=replace, share=sharing.link)
            except DataError as error:
                failures[point.label] = str(error)
                say(f"{point.label}: failed: {error}")
        whole = [label for label, outcome in outcomes.items() if "report" in outcome.finished]
        page = _report(sweep, whole) if whole else None
    return Swept(sweep, outcomes, failures, page)


def _report(sweep: Sweep, labels: Sequence[str]) -> Path:
    first = sweep.points[0].loaded.recipe
    folder = RunFolder(sweep.folder).report
    config = first.report.model_copy(update={"title": first.report.title or f"{first.name}: {len(labels)} runs"})
    build_report([sweep.folder / label for label in labels], folder, config)
    return folder / PAGE


@dataclass(frozen=True, slots=True)
class _Sharing:
    """What a run takes from the others."""

    point: Point
    points: Sequence[Point]

    def link(self, stage: str) -> None:
        """Link the folder of a stage that another run of the same keys has finished."""
        mine = _place(self.point.loaded.run, stage)
        if mine is None or mine.exists():
            return
        wanted = _decides(self.point.loaded.recipe, stage)
        for other in self.points:
            theirs = _place(other.loaded.run, stage)
            if theirs is not None and (theirs / MANIFEST).is_file() and _decides(other.loaded.recipe, stage) == wanted:
                _link_folder(theirs, mine)
                say(f"{stage}: shared with {other.label}")
                return


def _place(run: RunFolder, stage: str) -> Path | None:
    places = {"mixture": run.mixture, "tokens": run.tokens, "initial": run.initial, "before": run.results("before")}
    return places.get(stage)


def _decides(recipe: Recipe, stage: str) -> str:
    """Return a hash of all keys that a stage, and those before it, depend on."""
    keys = [marked(recipe, name, recipe, effects=("result", "read", "continues")) for name in _SHARED[stage]]
    start = [recipe.model.base, recipe.model.architecture] if stage != "mixture" else []
    return content_hash([keys, start])


def _link_folder(source: Path, target: Path) -> None:
    """Give the outputs of a finished folder a second name; what else is in it, such as a journal, is copied."""
    outputs = read_manifest(source).outputs
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(target) as folder:
        for path in _files_below(source):
            name = path.relative_to(source)
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name.as_posix() in outputs:
                link_or_copy(path, place)
            else:
                shutil.copyfile(path, place)


def _files_below(folder: Path) -> Iterator[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.name != LOCK)
    return (path for path in found if path.is_file() and not path.is_symlink())
