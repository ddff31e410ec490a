"""The catalogue's YAML files: every key of an entry, and how an entry becomes tasks."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.languages.codes import normalize_language
from xmtf.recipe import Section, load_yaml
from xmtf.recipe.sections.mixture import ChoicePolicy, LabelPolicy, NullPolicy, check_kind_metrics
from xmtf.recipe.where import Where
from xmtf.recipe.yaml_text import parse_packaged_yaml
from xmtf.sources.reference import Join
from xmtf.tasks.task import MULTIPLE, Checked, HubPlace, Kind, Task

__all__ = ["Entry", "Pairs", "read_catalogue_file"]


class Pairs(Section):
    """All ordered pairs of languages of a parallel dataset, as subsets."""

    codes: dict[str, str] | tuple[str, ...]
    """Code in the dataset -> our language, or a list where they need no table."""
    subset: str = "{source}-{target}"
    """How the dataset names the subset of a pair."""
    involving: tuple[str, ...] = ()
    """Only pairs with one of these codes."""
    without: tuple[str, ...] = ()
    """No pairs with one of these codes."""

    @model_validator(mode="after")
    def _check(self) -> Pairs:
        left = _filled(self.subset, {"{source}": "", "{target}": ""})
        if "{" in left or "}" in left:
            raise ValueError(f"subset {self.subset!r}: only {{source}} and {{target}} are filled in")
        return self

    def expand(self) -> list[tuple[str, str, str]]:
        """Return (subset, language of the source, language of the target) of every pair."""
        languages = self.codes if isinstance(self.codes, dict) else {code: code for code in self.codes}
        allowed = [code for code in languages if code not in set(self.without)]
        chosen = [code for code in allowed if code in set(self.involving)] if self.involving else allowed
        return [
            (_filled(self.subset, {"{source}": source, "{target}": target}), languages[source], languages[target])
            for source in allowed
            for target in (allowed if source in set(chosen) else chosen)
            if source != target
        ]


class Joined(Section):
    """Subsets of the dataset whose rows are joined to those of the task."""

    on: str
    """Column of all of them; rows with the same value are one row."""
    subsets: dict[str, str] = Field(default={"source": "{first}", "target": "{second}"}, min_length=2)
    """What precedes the names of the other columns -> subset, in which `{subset}`, `{first}` and `{second}` are filled
    in."""

    @model_validator(mode="after")
    def _check(self) -> Joined:
        whole = {"{subset}": "", "{first}": "", "{second}": ""}
        for subset in self.subsets.values():
            left = _filled(subset, whole)
            if "{" in left or "}" in left:
                raise ValueError(f"subset {subset!r}: only {', '.join(whole)} are filled in")
        return self

    def of(self, fill: dict[str, str]) -> Join:
        """Return the join of one task."""
        return Join(self.on, {name: _filled(subset, fill) for name, subset in self.subsets.items()})


class Entry(Section):
    """One dataset of a catalogue; becomes one task per subset.

    In ``templates`` and ``only_templates``, ``{subset}`` stands for the subset and ``{first}`` and
    ``{second}`` for its parts before and after the first ``-``.
    """

    id: str
    """Name of the task; with subsets the tasks are `<id>/<subset>`."""
    cluster: str
    dataset: str
    """Today's hub id, or `cldr/<name>`."""
    subsets: dict[str, str] | tuple[str, ...] | None = None
    """Subset -> language of the targets, or a list where the two are equal."""
    pairs: Pairs | None = None
    """Subsets that are pairs of languages."""
    suffix: str = ""
    """Appended to the ids of the tasks: another view of the same subsets."""
    language: str | None = None
    """Language of the targets where there are no subsets, or of all subsets of a list."""
    language_column: str | None = None
    """Column that says the language of the targets of each row, instead of `language`; for splits to train on."""
    where: Where | None = None
    """Rows that belong to the entry, as of own tasks."""
    input_languages: dict[str, str] | tuple[str, ...] = ()
    """Other languages in the inputs: of each subset, or of all."""
    splits: dict[Literal["train", "evaluation", "validation", "shots"], tuple[str, ...]]
    """Splits by what they are for: to train on, to measure on, to choose prompts by, to take shown examples from."""
    subset: str = ""
    """Subset of the dataset, where the entry is one task."""
    templates: str | None = None
    """Collection of templates, or a file next to the catalogue (`mine.yaml`); default the dataset."""
    promptsource: str = ""
    """Branch of the promptsource fork that holds the templates, where they are not our own."""
    only_templates: tuple[str, ...] = ()
    """Patterns of the templates of the file that belong to the task."""
    num_templates: int | None = None
    """Templates that the original has for each task."""
    without_templates: tuple[str, ...] = ()
    """Patterns of subsets for which the branch of promptsource may have no templates: they yield nothing."""
    kind: Kind = "generation"
    metrics: tuple[str, ...] = ()
    licence: str = ""
    gated: bool = False
    """Whether the hub gives the dataset out on request alone, with a token."""
    home: str = ""
    """Address where the publisher describes the data."""
    adapter: str | None = None
    revision: str | None = None
    hub: HubPlace | None = None
    """What the hub calls otherwise than the entry and a mirror: `id`, `subset`, `splits` (ours -> the hub's)."""
    parallel: bool = False
    """Whether rows of equal numbers are translations of each other in all subsets; equal numbers alone say nothing."""
    sets: tuple[str, ...] = ()
    skip_templates: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    cap_examples: int | None = Field(default=None, ge=1)
    paths: dict[str, str] = Field(default_factory=dict)
    """Split -> file, relative to the catalogue, instead of the mirror and the hub."""
    note: str = ""
    flat: bool = False
    """Whether a mirror may hold all subsets in one file, which the adapter takes apart."""
    table: str = ""
    """Subset that holds all others side by side, as columns `sentence_<code>`; it serves those without files."""
    join: Joined | None = None
    """Where a task reads several subsets of the dataset: how their rows are joined. Without `subsets` in it, a pair's
    languages are joined as `source_...` and `target_...`."""
    checked: Checked = "not checked"
    """What id, subsets and splits were compared with."""
    nulls: NullPolicy = "drop"
    labels: LabelPolicy = "drop"
    choices: ChoicePolicy | None = None

    @model_validator(mode="after")
    def _check(self) -> Entry:
        check_kind_metrics(self.kind, tuple(name for name in self.metrics if name != "accuracy"))
        if sum((self.subsets is not None, self.pairs is not None, bool(self.subset))) > 1:
            raise ValueError("give one of `subset`, `subsets` and `pairs`")
        if isinstance(self.subsets, dict) and self.language is not None:
            raise ValueError("give the languages either in `subsets` or in `language`")
        self._check_join()
        if self.language_column is not None:
            self._check_column()
        elif self.subsets is None and self.pairs is None and self.language is None:
            raise ValueError("give `language`, or `subsets` with a language each, or `language_column`")
        return self

    def _check_join(self) -> None:
        if self.join is None:
            return
        for key, given in (("paths", self.paths), ("flat", self.flat), ("table", self.table)):
            if given:
                raise ValueError(f"{key}: subsets that are joined are files of their own; leave it out")
        if self.hub is not None and self.hub.subset is not None:
            raise ValueError("hub.subset: subsets that are joined are named in `join`; leave it out")
        halves = any(mark in subset for subset in self.join.subsets.values() for mark in ("{first}", "{second}"))
        named = [
            self.subset,
            *(self.subsets or ()),
            *(name for name, *_ in (self.pairs.expand() if self.pairs else ())),
        ]
        whole = next((name for name in named if name and "-" not in name), None)
        if halves and (whole is not None or not any(named)):
            raise ValueError(
                f"join: {whole or 'the entry'!r} has no parts before and after a `-`; give `subsets` of the join"
            )

    def _check_column(self) -> None:
        if self.language is not None or isinstance(self.subsets, dict) or self.pairs is not None:
            raise ValueError("language_column: each row has its language; omit the languages of the entry")
        if self.parallel or set(self.splits) - {"train"}:
            what = "parallel" if self.parallel else f"splits: {', '.join(sorted(set(self.splits) - {'train'}))}"
            raise ValueError(
                f"{what}: rows with their own language are for training only; write a separate entry for the rest"
            )

    def expand(self, catalogue: str, where: str, folder: Path) -> list[Task]:
        """Return the tasks of the entry, in the order of its subsets.

        Raises:
            UnknownNameError: A language is unknown.
        """
        common = self._common(catalogue, folder)
        return [self._task(subset, language, others, common, where) for subset, language, others in self._subsets()]

    def _subsets(self) -> list[tuple[str | None, str, tuple[str, ...]]]:
        """Return (subset, language of the targets, other languages); the subset is None for a single task."""
        if self.pairs is not None:
            return [(subset, target, (source,)) for subset, source, target in self.pairs.expand()]
        if self.subsets is None:
            pairs: list[tuple[str | None, str]] = [(None, self.language or MULTIPLE)]
        elif isinstance(self.subsets, dict):
            pairs = list(self.subsets.items())
        else:
            usual = MULTIPLE if self.language_column else self.language
            pairs = [(subset, usual or subset) for subset in self.subsets]
        others = self.input_languages
        return [
            (
                subset,
                language,
                ((others[subset],) if subset in others else ()) if isinstance(others, dict) else others,
            )
            for subset, language in pairs
        ]

    def _common(self, catalogue: str, folder: Path) -> dict[str, object]:
        """Return the fields that all tasks of the entry share."""
        own_file = self.templates is not None and self.templates.endswith((".yaml", ".yml"))
        return {
            "cluster": self.cluster,
            "dataset": self.dataset,
            "splits": {str(role): splits for role, splits in self.splits.items()},
            "kind": self.kind,
            "metrics": self.metrics or (("accuracy",) if self.kind == "rank" else ()),
            "catalogue": catalogue,
            "sets": self.sets,
            "parallel": self._parallel_set,
            "licence": self.licence,
            "gated": self.gated,
            "home": self.home,
            "template_file": folder / self.templates if own_file and self.templates else None,
            "promptsource": self.promptsource,
            "num_templates": self.num_templates,
            "paths": {split: str(folder / path) for split, path in self.paths.items()},
            "adapter": self.adapter,
            "revision": self.revision,
            "hub": self.hub,
            "skip_templates": self.skip_templates,
            "cap_examples": self.cap_examples,
            "note": self.note,
            "flat": self.flat,
            "table": self.table,
            "checked": self.checked,
            "nulls": self.nulls,
            "labels": self.labels,
            "choices": self.choices,
            "language_column": self.language_column or "",
            "where": self.where,
        }

    @property
    def _parallel_set(self) -> str:
        """Name of the parallel set: rows that another adapter makes are other rows."""
        if not self.parallel:
            return ""
        return f"{self.dataset} ({self.adapter})" if self.adapter else self.dataset

    def _task(self, subset: str | None, language: str, others: tuple[str, ...], common: JsonObject, where: str) -> Task:
        name = self.subset if subset is None else subset
        first, _, second = name.partition("-")
        fill = {"{subset}": name, "{first}": first, "{second}": second}
        return Task(
            id=f"{self.id}{'' if subset is None else f'/{subset}'}{self.suffix}",
            subset=name,
            language=language if self.language_column else normalize_language(language, where),
            input_languages=tuple(normalize_language(other, where) for other in others),
            template_key="" if common["template_file"] else _filled(self.templates or self.dataset, fill),
            only_templates=tuple(_filled(pattern, fill) for pattern in self.only_templates),
            may_lack_templates=any(fnmatchcase(name, pattern) for pattern in self.without_templates),
            join=None if self.join is None else self.join.of(fill),
            **common,
        )


def _filled(text: str, fill: dict[str, str]) -> str:
    if "{" not in text:
        return text
    for mark, value in fill.items():
        text = text.replace(mark, value)
    return text


def read_catalogue_file(path: Path, *, packaged: bool = False) -> tuple[Task, ...]:
    """Read a catalogue file: a mapping with the one key ``tasks``, a list of entries.

    Args:
        path: The file.
        packaged: It comes with this package, and is read faster.

    Raises:
        ConfigError: Names the file, the entry, the key and what was expected.
        UnknownNameError: A language is unknown.
    """
    data = parse_packaged_yaml(path.read_text(encoding="utf-8")) if packaged else load_yaml(path)
    if not isinstance(data, dict) or set(data) != {"tasks"} or not isinstance(data["tasks"], list):
        raise ConfigError(f"{path}: a catalogue has a single key `tasks`, a list of entries")
    tasks: list[Task] = []
    for index, raw in enumerate(data["tasks"]):
        where = f"{path}: tasks.{index}"
        try:
            entry = Entry.model_validate(raw)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in problem["loc"])
            raise ConfigError(f"{where}{f'.{key}' if key else ''}: {problem['msg']}") from None
        tasks += entry.expand(path.stem, where, path.parent)
    return tuple(tasks)
