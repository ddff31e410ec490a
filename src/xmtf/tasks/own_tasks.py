"""From the own tasks of a recipe to tasks: their files, splits and subsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from xmtf.languages.codes import normalize_language
from xmtf.recipe.schema import OwnTask
from xmtf.tasks.task import MULTIPLE, Task

__all__ = ["own_tasks"]

_METRICS = {"rank": ("accuracy",), "code": ("pass_at_k",), "conversation": ()}


def own_tasks(given: Iterable[OwnTask], recipe: Path) -> Iterator[Task]:
    """Yield the tasks that its own recipe has: one for each entry, or for each of its subsets.

    Tasks on the same files are one dataset, named like the first.

    Raises:
        UnknownNameError: A language is unknown.
    """
    datasets: dict[tuple[Path, ...], str] = {}
    for own in given:
        files = [path for paths in own.paths().values() for path in paths]
        dataset = datasets.setdefault(tuple((recipe.parent / path).resolve() for path in files), own.id)
        for subset, language in _subsets(own):
            yield _task(own, subset, language, dataset, recipe)


def _subsets(own: OwnTask) -> Iterator[tuple[str, str | None]]:
    """Yield (subset, language as the recipe writes it)."""
    if own.subsets is None:
        yield "", own.language
    elif isinstance(own.subsets, dict):
        yield from own.subsets.items()
    else:
        yield from ((subset, None if own.language_column else own.language or subset) for subset in own.subsets)


def _task(own: OwnTask, subset: str, language: str | None, dataset: str, recipe: Path) -> Task:
    is_program, folder = own.kind == "code" and not own.templates, recipe.parent
    name = f"{own.id}/{subset}" if subset else own.id
    paths = {
        split: tuple(str(folder / path.replace("{subset}", subset)) for path in files)
        for split, files in own.paths().items()
    }
    return Task(
        id=name,
        cluster=own.cluster,
        dataset=dataset,
        subset=subset,
        language=MULTIPLE if language is None else normalize_language(language, f"{recipe}: own_tasks {own.id!r}"),
        language_column=own.language_column or "",
        where=own.where,
        splits=own.roles(),
        kind=own.kind,
        metrics=_METRICS.get(own.kind, own.metrics),
        parallel=(name.rpartition("/")[0] or "own tasks") if own.parallel else "",
        catalogue="own",
        template_key="humaneval" if is_program else "",
        template_file=folder / own.templates.replace("{subset}", subset) if own.templates else None,
        only_templates=("prompt as it is",) if is_program else (),
        paths={split: files[0] for split, files in paths.items()},
        further_paths={split: files[1:] for split, files in paths.items() if len(files) > 1},
        separator=own.separator,
        nulls=own.nulls,
        labels=own.labels,
        choices=own.choices,
    )
