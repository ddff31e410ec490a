"""Tables of what was counted rather than scored: code (4), edit distances (7), validation (10), the family (3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xmtf.report.inputs import Inputs, number
from xmtf.report.reference import published_models, reference_rows
from xmtf.report.tables import Table

__all__ = [
    "code_statistics_table",
    "edit_distance_table",
    "family_table",
    "pretrained_table",
    "temperature_table",
    "validation_table",
]

_OWN = "own"
_PUBLISHED = "published"


def code_statistics_table(inputs: Inputs) -> Table:
    """Return mean length and comments of code (Table 4)."""
    rows = tuple(
        (
            row["source"],
            f"{int(number(row, 'programs', 'code')):,}" if row["programs"] else "-",
            f"{number(row, 'mean_characters', 'code'):.2f}",
            f"{number(row, 'mean_comments', 'code'):.3f}",
        )
        for row in inputs.rows("code")
    )
    return Table(
        "code-statistics",
        "Length of code and comments in it",
        ("programs of", "programs", "characters", "comments"),
        rows,
        (False, True, True, True),
        (
            "Means. Only the part of a completion after the prompt's docstring counts, without surrounding white "
            "space; comments are counted by number signs.",
        ),
    )


def edit_distance_table(inputs: Inputs) -> Table:
    """Return mean edit distances between two texts of a row, one line per language, one column per label (Table 7)."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    examples: dict[tuple[str, ...], set[str]] = {}
    for source, rows in ((_PUBLISHED, inputs.published("edit-distance")), (_OWN, inputs.own("edit-distance"))):
        for row in rows:
            key = (row["dataset"].rsplit("/", 1)[-1], row["language"], source)
            found.setdefault(key, {})[row["label"]] = f"{number(row, 'mean_distance', 'edit-distance'):.2f}"
            examples.setdefault(key, set()).add(row["examples"])
    labels = list(dict.fromkeys(label for values in found.values() for label in values))
    body = tuple(
        (*key, "/".join(sorted(examples[key])), *(found[key].get(label, "-") for label in labels))
        for key in sorted(found, key=lambda key: (key[0], key[1], key[2] != _PUBLISHED))
    )
    return Table(
        "edit-distances",
        "Edit distance between the two texts of an example, by label",
        ("dataset", "language", "numbers", "examples", *labels),
        body,
        (False, False, False, True) + (True,) * len(labels),
        ("Mean Levenshtein distance in characters. Numbers of examples are per label.",),
    )


def validation_table(inputs: Inputs) -> Table:
    """Return accuracy and BLEU of checkpoints over finetuning (Table 10)."""
    rows = tuple(
        (
            row["model"],
            row["step"],
            f"{number(row, 'tokens', 'validation') / 1e9:.2f}",
            *(f"{number(row, name, 'validation'):.2f}" if row[name] else "-" for name in ("accuracy", "bleu")),
        )
        for row in inputs.rows("validation")
    )
    notes = ["Accuracy: mean over validation sets of the median prompt. BLEU: mean over generation sets likewise."]
    if inputs.reference:
        notes.append("Published values are read from the plot in Figure 7, to within about 0.02.")
    return Table(
        "validation",
        "Validation during finetuning",
        ("model", "step", "billion tokens", "accuracy %", "BLEU"),
        rows,
        (False, True, True, True, True),
        tuple(notes),
    )


def family_table() -> Table:
    """Return the models whose results are published (Table 3)."""
    rows = tuple(
        (
            model.name,
            f"{model.billion_parameters:g}",
            model.architecture,
            model.base or "-",
            model.mixture or "-",
            model.hub_id,
            model.licence,
        )
        for model in published_models().values()
    )
    columns = ("model", "billion parameters", "architecture", "finetuned from", "on", "hub id", "licence")
    return Table("models", "The models", columns, rows, (False, True, False, False, False, False, False))


def temperature_table() -> Table:
    """Return pass@k of the BLOOM models at each sampling temperature, as published."""
    return _verbatim(
        "humaneval-temperatures",
        "HumanEval by sampling temperature",
        "code_temperatures",
        ("200 samples per problem, top-p 0.95. If a model was evaluated twice, `evaluation` distinguishes the runs.",),
        {"model", "evaluation", "temperature"},
    )


def pretrained_table() -> Table:
    """Return what BLOOM's card says of it before finetuning."""
    return _verbatim(
        "pretrained",
        "BLOOM before finetuning",
        "pretrained",
        ("From BLOOM's card.",),
        {"dataset", "language", "metric"},
    )


def _verbatim(name: str, title: str, file: str, notes: Sequence[str], text: set[str]) -> Table:
    rows: Sequence[Mapping[str, str]] = reference_rows(file)
    columns = tuple(rows[0])
    body = tuple(tuple(row[column] or "-" for column in columns) for row in rows)
    return Table(name, title, columns, body, tuple(column not in text for column in columns), tuple(notes))
