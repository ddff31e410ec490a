"""What a recipe's mixture takes, for people: one record for each split of each task; no data is read."""

from __future__ import annotations

from typing import Any

from xmtf.execution import say, warn
from xmtf.mixture.plan.plan import mixture_slices
from xmtf.mixture.plan.prompted import prompted_files
from xmtf.recipe import LoadedRecipe
from xmtf.tasks import Task, lacking_suites, load_catalogue
from xmtf.tasks.checkouts import lacking_checkouts
from xmtf.tasks.recipe_sources import gated_datasets

__all__ = ["planned_splits"]


def planned_splits(loaded: LoadedRecipe) -> list[dict[str, Any]]:
    """Return what the mixture of a recipe takes.

    Where templates are promptsource's and no checkout of them is set, the catalogue says how many there are, and
    filters on templates and prompt languages are not applied; a line on stderr tells so.

    Raises:
        ConfigError: The recipe takes nothing.
        UnknownNameError: The recipe names something that the catalogue does not have.
    """
    gated = gated_datasets(loaded)
    return [record | {"gated": record["dataset"] in gated} for record in _planned(loaded)]


def _planned(loaded: LoadedRecipe) -> list[dict[str, Any]]:
    mixture = loaded.recipe.mixture
    for suite, why in lacking_suites(loaded).items():
        warn(f"evaluation suite {suite!r} is skipped: {why}")
    outlined = load_catalogue(loaded).outline(
        mixture.tasks, role="train", held_out=mixture.held_out, where=f"{loaded.path}: mixture.tasks"
    )
    lacking = lacking_checkouts(part.task.promptsource for part in outlined)
    if lacking:
        for branch, why in lacking.items():
            say(f"templates of branch {branch} as the catalogue counts them: {why}")
        records = [_record(part.task, part.split) | {"num_templates": part.num_templates} for part in outlined]
        return records + _prompted(loaded)
    return [
        _record(part.task, part.split)
        | {
            "num_templates": len(part.templates),
            "templates": [template.name for template in part.templates],
            "cap_examples": part.cap_examples,
        }
        for part in mixture_slices(loaded)
    ] + _prompted(loaded)


def _prompted(loaded: LoadedRecipe) -> list[dict[str, Any]]:
    return [
        {
            "task": file.task,
            "cluster": file.cluster,
            "language": file.language,
            "dataset": file.dataset,
            "subset": "",
            "split": file.split,
            "licence": file.licence,
            "num_templates": 1,
        }
        for file in prompted_files(loaded)
    ]


def _record(task: Task, split: str) -> dict[str, object]:
    return {
        "task": task.id,
        "cluster": task.cluster,
        "language": task.language,
        "dataset": task.dataset,
        "subset": task.subset,
        "split": split,
        "licence": task.licence,
    }
