"""What a plan really holds out of each evaluation suite, and whether that is what the suite says.

======================  ====================================================================================
``clusters``            no example of the task cluster is trained on
``datasets``            no example of the dataset is
``languages``           the language is neither target, nor in the inputs, nor that of a prompt
``templates``           none of the suite's templates is trained on, on any rows
``rows``                the rows are in no split that is trained on, or the guard drops them from it
======================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmtf.artefacts.manifest_parts import SuiteHeldOut
from xmtf.errors import ConfigError
from xmtf.languages.codes import relatives, same_language
from xmtf.mixture.plan.prompted import PromptedFile
from xmtf.recipe.schema import HeldOut, Suite
from xmtf.tasks import Slice
from xmtf.tasks.selection import normalized
from xmtf.tasks.task import RowLanguages

__all__ = ["AXES", "Trained", "check_axes", "place_of", "relatives_kept", "suites_held_out"]

AXES = ("clusters", "datasets", "languages", "templates", "rows")
"""What may be held out, the widest first."""


def relatives_kept(held_out: HeldOut, languages: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return held-out language -> the members of its macrolanguage that a mixture of these languages holds."""
    kept = set(languages)
    found = {
        code: tuple(sorted(kept & set(relatives(code)))) for code in normalized(held_out).languages if "*" not in code
    }
    return {code: others for code, others in found.items() if others}


def place_of(part: Slice) -> str:
    """Return the name of the split that a slice reads: a file where it is the user's own, whatever its tasks say."""
    ref = part.task.source(part.split)
    files = " and ".join(str(Path(path).resolve()) for path in ref.own_files)
    return f"file {files}" if files else "\x1f".join(ref.where)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a plan trains on: name -> the first task that is trained on with it, for each axis.

    Attributes:
        names: Axis -> what is trained on -> the task.
        drops_rows: Whether the guard drops the rows that suites ask about.
        mixed: Tasks whose rows say their language, and which of them are taken.
    """

    drops_rows: bool
    names: Mapping[str, dict[str, str]] = field(default_factory=lambda: {axis: {} for axis in AXES})
    mixed: list[tuple[str, RowLanguages]] = field(default_factory=list)

    @classmethod
    def of(cls, slices: Iterable[Slice], folders: Iterable[PromptedFile], *, drops_rows: bool) -> Trained:
        """Return what slices and prompted files train on."""
        trained = cls(drops_rows)
        for part in slices:
            task = part.task
            languages = {task.language, *task.input_languages, *(each.language for each in part.templates)}
            if part.row_languages is not None:
                trained.mixed.append((task.id, part.row_languages))
            trained._add("clusters", [task.cluster], task.id)
            trained._add("datasets", [task.dataset], task.id)
            trained._add("languages", languages, task.id)
            trained._add("templates", [each.hash for each in part.templates], task.id)
            trained._add("rows", [place_of(part)], task.id)
        for file in folders:
            trained._add("clusters", [file.cluster], file.task)
            trained._add("datasets", [file.dataset], file.task)
            trained._add("languages", [file.language], file.task)
        return trained

    def _add(self, axis: str, names: Iterable[str], task: str) -> None:
        for name in names:
            self.names[axis].setdefault(name, task)

    def with_same(self, axis: str, part: Slice) -> tuple[str, str] | None:
        """Return (what, training task) where what a slice asks about is trained on, or None where it is held out."""
        if axis == "rows" and self.drops_rows:
            return None
        if axis == "languages":
            for task, taken in self.mixed:
                if taken.may_hold(part.task.language):
                    return part.task.language, task
        asked = {
            "clusters": {part.task.cluster: part.task.cluster},
            "datasets": {part.task.dataset: part.task.dataset},
            "languages": dict.fromkeys(same_language(part.task.language), part.task.language),
            "templates": {template.hash: template.name for template in part.templates},
            "rows": {place_of(part): f"{part.task.dataset} [{part.split}]"},
        }[axis]
        return next(((asked[name], self.names[axis][name]) for name in asked if name in self.names[axis]), None)


def check_axes(suites: Sequence[tuple[Suite, Sequence[Slice]]], trained: Trained, where: str) -> None:
    """Refuse a suite that says it holds out what is trained on.

    Raises:
        ConfigError: Names the suite, the task that it asks, the training task and what to do.
    """
    for suite, slices in suites:
        if suite.axis in ("rows", "none"):
            continue
        for part in slices:
            same = trained.with_same(suite.axis, part)
            if same is not None:
                what, task = same
                raise ConfigError(
                    f"{where}: suite {suite.name!r} declares its {suite.axis} held out, but its task {part.task.id} "
                    f"is of {_SINGULAR[suite.axis]} {what!r}, which {task} trains on; hold it out "
                    f"(mixture.held_out.{suite.axis}), exclude one of the tasks, or give the suite the axis that is "
                    f"held out"
                )


_SINGULAR = {"clusters": "cluster", "datasets": "dataset", "languages": "language", "templates": "template"}


def suites_held_out(suites: Sequence[tuple[Suite, Sequence[Slice]]], trained: Trained) -> list[SuiteHeldOut]:
    """Return for each suite its name, the axis that it states, and what is really held out, the widest first."""
    return [
        SuiteHeldOut(suite.name, suite.axis, tuple(axis for axis in AXES if _holds(axis, slices, trained, suite)))
        for suite, slices in suites
    ]


def _holds(axis: str, slices: Sequence[Slice], trained: Trained, suite: Suite) -> bool:
    if axis == "rows" and suite.axis in ("templates", "none"):  # the guard leaves their rows in
        trained = Trained(False, trained.names, trained.mixed)
    return all(trained.with_same(axis, part) is None for part in slices)
