"""A task: a source, its splits, its templates and its metrics; and a slice of one, as a recipe takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from xmtf.conversations.messages import LAYOUTS, SIDES
from xmtf.errors import TemplateError, UnknownNameError
from xmtf.execution import warn
from xmtf.languages.codes import CODE
from xmtf.recipe.schema import CapPolicy
from xmtf.recipe.sections.mixture import ChoicePolicy, LabelPolicy, NullPolicy
from xmtf.records import Provenance, Translation
from xmtf.sources import SourceRef
from xmtf.sources.reference import Join
from xmtf.tasks.caps import tightest
from xmtf.tasks.checkouts import checkout_of
from xmtf.templates import Template, load_templates, open_collection, read_template_file

__all__ = ["CONVERSATION", "MULTIPLE", "Checked", "HubPlace", "Kind", "Role", "RowLanguages", "Slice", "Task"]

MULTIPLE = "mul"
"""Language of a task whose rows say theirs: ISO 639's code of several."""

CONVERSATION = "conversation"
"""What examples that are conversations name as their template."""
CONVERSATION_COLUMNS = tuple(dict.fromkeys([*(name for layout in LAYOUTS for name in layout), *SIDES]))
"""Columns that conversations are read from."""

Role = Literal["train", "evaluation", "validation", "shots"]
"""What a split is meant for; prompts are chosen on ``validation``, and shown examples of ``shots``."""

Kind = Literal["rank", "generation", "code", "conversation"]
"""How a task is evaluated: ranking answer choices, comparing generated text, running generated code. Conversations are
trained on alone."""


Checked = Literal["card", "mirror", "reported", "not checked"]
"""What id, subsets and splits of an entry were compared with: the dataset's card, the rows of a mirror, a report of
somebody who read it from the hub, or nothing."""


@dataclass(frozen=True, slots=True)
class HubPlace:
    """What the hub calls otherwise than the task; None is the same."""

    id: str | None = None
    subset: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Task:
    """One subset of one dataset with everything needed to prompt it.

    Attributes:
        id: Unique name, such as ``xnli/fr``.
        cluster: Task cluster, such as ``natural language inference``.
        dataset: Today's hub id, ``cldr/<name>``, or the id of the user's own task.
        subset: Configuration as the hub calls it, or ``""``.
        language: Code of the language of the targets.
        splits: Role -> split names.
        kind: How it is evaluated.
        metrics: Metrics of its evaluation.
        catalogue: Catalogue file that lists it.
        sets: Other names under which a recipe's ``catalogue:`` finds it, such as ``xp3all``.
        licence: Licence of the data, as its publisher states it.
        gated: Whether the hub gives the dataset out on request alone.
        home: Address where the publisher describes the data, or ``""``.
        template_key: Collection with its templates.
        template_file: File with its templates, instead of a collection.
        promptsource: Branch of the promptsource fork that holds its templates, or ``""`` for our own;
            such a task is only taken by selections that name its set.
        only_templates: Patterns of the templates that belong to the task; empty for all of the file.
        num_templates: Templates that the original has for it, where our facts say so.
        may_lack_templates: Whether its branch of promptsource may have no templates for it, so that it yields nothing.
        input_languages: Other languages that are in the inputs, such as the source of a translation.
        parallel: Name of the set of tasks of which equal rows are translations of each other, or ``""``.
        templates_root: Folder of promptsource collections that takes the place of the task's own templates, or None.
        paths: Split -> the user's own file.
        further_paths: Split -> more files of it, in order, where there are.
        separator: Between the cells of that file, where it is CSV or TSV; None finds it.
        adapter: Name of the fix-up applied to the rows.
        revision: Revision on the hub.
        commit: The commit of it that is pinned, or ``""``.
        hub: What the hub calls otherwise than a mirror, where it does.
        skip_templates: Split -> patterns of templates that are not applied to it.
        cap_examples: Most examples of each (split, template), where the catalogue states one.
        note: What the user has to do by hand to get the data.
        flat: Whether a mirror may hold all subsets in one file, which the adapter takes apart.
        table: Subset that holds all others side by side, as columns, and serves those that have no files themselves.
        checked: What id, subsets and splits were compared with: the set's card, the mirror, or what others report who
            read it; only what was in the mirror was read here.
        nulls: What becomes of a row whose null a template prints.
        labels: What becomes of a row whose label picks no answer choice.
        choices: What becomes of a row whose answer choices cannot be ranked; None: dropped in rank tasks, else kept.
        language_column: Column that says the language of each row, or ``""``; ``language`` is then :data:`MULTIPLE`.
        where: Which rows belong to the task, or None for all; see :mod:`xmtf.recipe.where`.
        join: Subsets of the dataset whose rows are joined, where ``subset`` names several.
    """

    id: str
    cluster: str
    dataset: str
    subset: str
    language: str
    splits: Mapping[str, tuple[str, ...]] = field(hash=False)
    kind: Kind = "generation"
    metrics: tuple[str, ...] = ()
    catalogue: str = ""
    sets: tuple[str, ...] = ()
    licence: str = ""
    gated: bool = False
    home: str = ""
    template_key: str = ""
    template_file: Path | None = None
    promptsource: str = ""
    only_templates: tuple[str, ...] = ()
    num_templates: int | None = None
    may_lack_templates: bool = False
    input_languages: tuple[str, ...] = ()
    parallel: str = ""
    templates_root: Path | None = None
    paths: Mapping[str, str] = field(default_factory=dict, hash=False)
    further_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    separator: str | None = None
    adapter: str | None = None
    revision: str | None = None
    commit: str = ""
    hub: HubPlace | None = None
    skip_templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    cap_examples: int | None = None
    note: str = ""
    flat: bool = False
    table: str = ""
    checked: Checked = "not checked"
    nulls: NullPolicy = "drop"
    labels: LabelPolicy = "drop"
    choices: ChoicePolicy | None = None
    language_column: str = ""
    where: Mapping[str, object] | None = field(default=None, hash=False)
    join: Join | None = None

    @property
    def is_program(self) -> bool:
        """Whether the targets are program text, in which white space counts."""
        return self.language in _PROGRAM_LANGUAGES

    def templates(self) -> tuple[Template, ...]:
        """Return the task's templates in the order of their file, without translations that wait for a person.

        Raises:
            TemplateError: The file is broken, or has two templates of one name or id (promptsource's excepted: of
                these, the last of a name counts, as in the original).
            ConfigError: The templates are promptsource's, and no folder of its branch is set.
            UnknownNameError: There is no such collection, and the task may not lack one.
        """
        return _used(self.all_templates(), self.template_key or str(self.template_file))

    def all_templates(self) -> tuple[Template, ...]:
        """Return the task's templates with translations in every state; see :meth:`templates`."""
        if self.kind == "conversation":
            return (conversation_template(self.language),)
        if self.templates_root is not None and not self.promptsource:
            return self._templates_of(self.templates_root)
        if self.template_file is not None:
            found = _distinct(_read_templates(self.template_file, _stamp(self.template_file)), str(self.template_file))
        elif self.promptsource:
            root = self.templates_root or checkout_of(self.promptsource, self.id)
            if self.may_lack_templates and open_collection(root).path(self.template_key) is None:
                return ()
            found = _last_of_each_name(load_templates(self.template_key, root=root), self.id)
        else:
            found = _distinct(load_templates(self.template_key, self.subset), self.template_key)
        if not self.only_templates:
            return found
        return tuple(each for each in found if any(fnmatchcase(each.name, p) for p in self.only_templates))

    def lacking_templates(self) -> tuple[str, ...]:
        """Return those of ``only_templates`` that no template matches: prompts that a checkout lacks."""
        names = [template.name for template in self.templates()]
        return tuple(p for p in self.only_templates if not any(fnmatchcase(name, p) for name in names))

    def _templates_of(self, root: Path) -> tuple[Template, ...]:
        """Look in a folder for templates of the dataset: under our key, its hub id, its older id without an owner."""
        collection = open_collection(root)
        names = dict.fromkeys((self.template_key, self.dataset, self.dataset.rpartition("/")[2]))
        tried = [name for name in names if name]
        for name in tried:
            if any(collection.path(key) is not None for key in (f"{name}/{self.subset}", name)):
                return _last_of_each_name(load_templates(name, self.subset, root=root), self.id)
        where = f"task {self.id!r}: searched for {', '.join(tried)} with and without {self.subset!r} in {root}"
        raise UnknownNameError("template collection", tried[-1], collection.keys(), where)

    def _on_hub(self, split: str) -> tuple[str, str, str] | None:
        if self.hub is None:
            return None
        subset = self.subset if self.hub.subset is None else self.hub.subset
        return self.hub.id or self.dataset, subset, self.hub.splits.get(split, split)

    def provenance(
        self, split: str, template: str, *, prompt_language: str = "en", translation: Translation = "none"
    ) -> Provenance:
        """Return what the examples of one template on one split share."""
        return Provenance(
            language=self.language,
            prompt_language=prompt_language,
            translation=translation,
            task=self.id,
            cluster=self.cluster,
            dataset=self.dataset,
            subset=self.subset,
            split=split,
            template=template,
        )

    def source(self, split: str) -> SourceRef:
        """Return what names the rows of one split."""
        return SourceRef(
            dataset=self.dataset,
            subset=self.subset,
            split=split,
            path=self.paths.get(split),
            further_paths=tuple(self.further_paths.get(split, ())),
            revision=self.revision,
            commit=self.commit,
            adapter=self.adapter,
            note=self.note,
            flat=self.flat,
            table=self.table,
            on_hub=self._on_hub(split),
            separator=self.separator,
            as_json=CONVERSATION_COLUMNS if self.kind == "conversation" else (),
            join=self.join,
        )


@cache
def conversation_template(language: str) -> Template:
    """Return what stands for a template where rows are conversations: its source names the columns that are read."""
    source = "".join(f"{{{{ {name} }}}}" for name in CONVERSATION_COLUMNS)
    return Template(id="", name=CONVERSATION, jinja=f"{source} ||| {source}", language=language)


_PROGRAM_LANGUAGES = (CODE, "java", "jupyter-notebook", "python")
"""``code``, and the folders into which xP3x divides it."""


@cache
def _used(templates: tuple[Template, ...], where: str) -> tuple[Template, ...]:
    """Leave out translations whose state says that they wait for a person, and say so once."""
    used = tuple(each for each in templates if each.translated is None or each.translated.is_used)
    if len(used) < len(templates):
        states = Counter(each.translated.state for each in templates if each.translated and not each.translated.is_used)
        counts = ", ".join(f"{state}: {count}" for state, count in sorted(states.items()))
        warn(f"  {where}: {len(templates) - len(used)} translations await review and are not used ({counts})")
    return used


def _distinct(templates: tuple[Template, ...], where: str) -> tuple[Template, ...]:
    """Refuse two templates of one name or id: only one of them could be named, and results would mix them up."""
    for kind, names in (
        ("name", [each.name for each in templates]),
        ("id", [each.id for each in templates if each.id]),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise TemplateError(
                f"{where}: has {names.count(twice[0])} templates with the {kind} {twice[0]!r}; rename them"
            )
    return templates


@cache
def _last_of_each_name(templates: tuple[Template, ...], task: str) -> tuple[Template, ...]:
    """Return the templates of a promptsource file as the original finds them: the last one of each name."""
    last = {each.name: each for each in templates}
    if len(last) == len(templates):
        return templates
    twice = [name for name, count in Counter(each.name for each in templates).items() if count > 1]
    warn(
        f"  {task}: {len(templates) - len(last)} prompts are skipped, as a later one has the same name: "
        f"{', '.join(twice)}"
    )
    return tuple(each for each in templates if last[each.name] is each)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file, or None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@cache
def _read_templates(path: Path, stamp: tuple[int, int] | None) -> tuple[Template, ...]:
    """Read a file once a process, and again when it changes."""
    return read_template_file(path)


@dataclass(frozen=True, slots=True)
class RowLanguages:
    """Which rows are taken of a task whose rows say their language.

    Attributes:
        languages: Patterns of codes to take.
        without: Patterns of codes to leave out.
        held_out: Patterns of codes that are held out.
        prompts: Patterns of the languages of templates, ``same`` for that of the row.
    """

    languages: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ("*",)

    def may_hold(self, code: str) -> bool:
        """Whether rows in a language may be among those taken."""
        left_out = (*self.without, *self.held_out)
        return any(fnmatchcase(code, p) for p in self.languages) and not any(fnmatchcase(code, p) for p in left_out)


@dataclass(frozen=True, slots=True)
class Slice:
    """One split of a task with the templates that a recipe takes of it.

    Attributes:
        task: The task.
        split: The split.
        templates: The templates to apply.
        cap_examples: Most examples kept of each template, or None.
        limit_rows: Rows read of the split, or None for all.
        rate: Sampling rate relative to the other slices.
        selection: Index of the selection in the recipe that took it.
        cap_policy: Which examples the cap keeps, or None where the selection says nothing.
        cap_score: Numeric column of the rows that policy ``score`` reads, or None.
        where: Further conditions on its rows; see :mod:`xmtf.recipe.where`.
        row_languages: Which languages are taken where the rows say theirs, else None.
        turn: (place, number) among the languages of a parallel set that share out its rows, or (0, 1); with
            ``limit_rows``.
    """

    task: Task
    split: str
    templates: tuple[Template, ...]
    cap_examples: int | None = None
    limit_rows: int | None = None
    rate: float = 1.0
    selection: int = 0
    cap_policy: CapPolicy | None = None
    cap_score: str | None = None
    where: tuple[dict[str, object], ...] = field(default=(), hash=False)
    row_languages: RowLanguages | None = None
    turn: tuple[int, int] = (0, 1)

    def capped(self, cap_examples: int | None) -> Slice:
        """Return the slice under a further cap, which counts where it is tighter than its own."""
        return replace(self, cap_examples=tightest(self.cap_examples, cap_examples))

    def provenance(self, template: Template) -> Provenance:
        """Return what the examples of one of the templates share."""
        return self.task.provenance(
            self.split, template.name, prompt_language=template.language, translation=template.translation
        )
