"""English, machine- and human-translated prompts (Tables 1 and 8): does prompting in the language help?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from xmtf.report.reference import dataset_facts, published_models, reference_rows
from xmtf.report.result_table import Measure, PromptLanguage, ResultTable
from xmtf.report.tables import Table

__all__ = ["prompt_medians", "prompts_mean", "prompts_table"]

_DATASETS = ("xnli", "xcopa", "xstory_cloze", "xwinograd")
_LANGUAGES: tuple[PromptLanguage, ...] = ("EN", "MT", "HT")
_MODELS = ("BLOOMZ", "BLOOMZ-MT", "mT0-13B", "mT0-13B-MT")


def prompts_mean(results: ResultTable, model: str, measures: Sequence[Measure]) -> float | None:
    """Return the mean of the accuracies of all prompts over ``measures``: the statistic of Table 1.

    Returns:
        None where the values by prompt are not known for every measure that the model has a result on.
    """
    cells = [cell for measure in measures if (cell := results.cell(model, measure)) is not None]
    if not cells or not all(cell.prompts for cell in cells):
        return None
    return statistics.fmean(value for cell in cells for value in cell.prompts.values())


def prompts_table(results: ResultTable, *, seen: bool, reference: bool) -> Table:
    """Return means over prompts and languages, one line a (dataset, prompt language).

    Args:
        results: Results of any models; the published ones shown are those of the published table.
        seen: Languages that BLOOM and xP3 contain on purpose (Table 1), or the others (Table 8).
        reference: Fill what cannot be computed, since values by prompt are not public, with the published means.
    """
    published = _published() if seen and reference else {}
    models = [name for name in results.models if name in _MODELS or name not in published_models()]
    filled = set()

    def value(dataset: str, language: PromptLanguage, model: str) -> float | None:
        measures = results.select(dataset, prompt_language=language, seen=seen)
        computed = prompts_mean(results, model, measures)
        key = (dataset, language, model)
        if computed is None and key in published:
            filled.add(key)
            return published[key]
        return computed

    table = _table(results, models, value, seen=seen)
    where = "seen" if seen else "unseen"
    notes = [
        f"Mean accuracy of all prompts over all {where} languages, in percent. Bold: the better model of each pair."
    ]
    if filled:
        known = sum(cell != "-" for row in table.rows for cell in row[2:])
        notes.append(
            f"{len(filled)} of the {known} values are as published: scores per prompt for MT and HT prompts and for "
            f"the models trained on xP3mt are not public. The others are computed from scores per prompt."
        )
    name = "prompt-languages" if seen else "prompt-languages-unseen"
    title = f"Prompts in English, machine- and human-translated, {where} languages"
    return Table(name, title, table.columns, table.rows, table.numeric, tuple(notes), table.bold)


def prompt_medians(results: ResultTable, *, seen: bool) -> Table:
    """Return means over languages of the median prompt: known for every model, unlike the mean over prompts."""

    def value(dataset: str, language: PromptLanguage, model: str) -> float | None:
        medians = results.medians(model, results.select(dataset, prompt_language=language, seen=seen))
        return statistics.fmean(medians) if medians else None

    where = "seen" if seen else "unseen"
    table = _table(results, results.models, value, seen=seen)
    note = f"Mean over {where} languages of the accuracy of the median prompt, in percent."
    name = "prompt-medians" if seen else "prompt-medians-unseen"
    return Table(
        name, f"Median prompt by prompt language, {where} languages", table.columns, table.rows, table.numeric, (note,)
    )


def _published() -> dict[tuple[str, str, str], float]:
    return {
        (row["dataset"], row["prompt_language"], model): float(row[model])
        for row in reference_rows("prompt_languages")
        for model in _MODELS
    }


def _lines(results: ResultTable, *, seen: bool) -> list[tuple[str, PromptLanguage]]:
    return [
        (dataset, language)
        for dataset in _DATASETS
        for language in _LANGUAGES
        if results.select(dataset, prompt_language=language, seen=seen)
    ]


def _table(
    results: ResultTable,
    models: Sequence[str],
    value: Callable[[str, PromptLanguage, str], float | None],
    *,
    seen: bool,
) -> Table:
    lines = _lines(results, seen=seen)
    values = [[value(dataset, language, model) for model in models] for dataset, language in lines]
    keep = [line for line, row in enumerate(values) if any(cell is not None for cell in row)]
    rows = tuple(
        (
            dataset_facts()[lines[line][0]].name,
            lines[line][1],
            *("-" if cell is None else f"{cell:.2f}" for cell in values[line]),
        )
        for line in keep
    )
    bold = frozenset(
        (line, 2 + best)
        for line, kept in enumerate(keep)
        for pair in _pairs(models)
        if all(values[kept][column] is not None for column in pair)
        for best in [max(pair, key=lambda column: values[kept][column] or 0.0)]
    )
    return Table("", "", ("dataset", "prompt", *models), rows, (False, False) + (True,) * len(models), (), bold)


def _pairs(models: Sequence[str]) -> list[tuple[int, int]]:
    """Return the columns of each model trained on English prompts alongside its twin on translated ones."""
    index = {model: column for column, model in enumerate(models)}
    return [(column, index[f"{model}-MT"]) for model, column in index.items() if f"{model}-MT" in index]
