"""The catalogue's YAML files: every key of an entry, and how an entry becomes tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from xmtf.errors import ConfigError
from xmtf.languages import normalize_language
from xmtf.recipe import Section, load_yaml
from xmtf.tasks.task import Kind, Task

__all__ = ["Entry", "read_catalogue_file"]


class Entry(Section):
    """One dataset of a catalogue; becomes one task per subset."""

    id: str
    """Name of the task; with subsets the tasks are `<id>/<subset>`."""
    cluster: str
    dataset: str
    """Today's hub id, or `cldr/<name>`."""
    subsets: dict[str, str] | tuple[str, ...] | None = None
    """Subset -> language of the targets, or a list where the two are equal."""
    language: str | None = None
    """Language of the targets where there are no subsets, or of all subsets of a list."""
    input_languages: dict[str, str] | tuple[str, ...] = ()
    """Other languages in the inputs: of each subset, or of all."""
    splits: dict[Literal["train", "evaluation"], tuple[str, ...]]
    subset: str = ""
    """Subset of the dataset, where the entry is one task."""
    templates: str | None = None
    """Collection of templates, or a file beside the catalogue (`mine.yaml`); default the dataset."""
    kind: Kind = "generation"
    metrics: tuple[str, ...] = ()
    licence: str = ""
    adapter: str | None = None
    revision: str | None = None
    sets: tuple[str, ...] = ()
    skip_templates: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    cap_examples: int | None = Field(default=None, ge=1)
    paths: dict[str, str] = Field(default_factory=dict)
    """Split -> file, relative to the catalogue, instead of the mirror and the hub."""
    note: str = ""

    @model_validator(mode="after")
    def _check(self) -> Entry:
        if isinstance(self.subsets, dict) and self.language is not None:
            raise ValueError("give the languages in `subsets` or in `language`, not in both")
        if self.subsets is None and self.language is None:
            raise ValueError("give `language`, or `subsets` with a language each")
        if self.subsets is not None and self.subset:
            raise ValueError("give `subset` or `subsets`, not both")
        return self

    def expand(self, catalogue: str, where: str, folder: Path) -> list[Task]:
        """Return the tasks of the entry, in the order of its subsets.

        Raises:
            UnknownNameError: A language is unknown.
        """
        if self.subsets is None:
            return [self._task(self.id, self.subset, self.language or "", catalogue, where, folder)]
        pairs = (
            self.subsets.items()
            if isinstance(self.subsets, dict)
            else [(subset, self.language or subset) for subset in self.subsets]
        )
        return [
            self._task(f"{self.id}/{subset}", subset, language, catalogue, where, folder) for subset, language in pairs
        ]

    def _task(self, name: str, subset: str, language: str, catalogue: str, where: str, folder: Path) -> Task:
        others = self.input_languages
        if isinstance(others, dict):
            others = (others[subset],) if subset in others else ()
        own_templates = self.templates is not None and self.templates.endswith((".yaml", ".yml"))
        return Task(
            id=name,
            cluster=self.cluster,
            dataset=self.dataset,
            subset=subset,
            language=normalize_language(language, where),
            splits={str(role): splits for role, splits in self.splits.items()},
            kind=self.kind,
            metrics=self.metrics or (("accuracy",) if self.kind == "rank" else ()),
            catalogue=catalogue,
            sets=self.sets,
            licence=self.licence,
            template_key="" if own_templates else self.templates or self.dataset,
            template_file=folder / self.templates if own_templates and self.templates else None,
            input_languages=tuple(normalize_language(other, where) for other in others),
            paths={split: str(folder / path) for split, path in self.paths.items()},
            adapter=self.adapter,
            revision=self.revision,
            skip_templates=self.skip_templates,
            cap_examples=self.cap_examples,
            note=self.note,
        )


def read_catalogue_file(path: Path) -> tuple[Task, ...]:
    """Read a catalogue file: a mapping with the one key ``tasks``, a list of entries.

    Raises:
        ConfigError: Names the file, the entry, the key and what was expected.
        UnknownNameError: A language is unknown.
    """
    data = load_yaml(path)
    if not isinstance(data, dict) or set(data) != {"tasks"} or not isinstance(data["tasks"], list):
        raise ConfigError(f"{path}: a catalogue has the one key `tasks`, a list of entries")
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
