"""The published numbers of BLOOM, BLOOMZ, mT0 and the models next to them, as data of the package.

Every figure and table of the work can be drawn from these files, and a user's own results are next to them. They are
facts read from public sources: the tables of "Crosslingual Generalization through Multitask Finetuning" (Muennighoff et
al., ACL 2023), the notebooks and drawings of github.com/bigscience-workshop/xmtf, the result files of
github.com/bigscience-workshop/bigscience and the card of BLOOM.

==================== ======================================================================================
file                 what
==================== ======================================================================================
results.csv          all results (Table 9): median and maximum over prompts, 27 models; pass@k of HumanEval
prompts.csv          accuracy of each English prompt, 10 models: what the box plots (Figures 5, 9, 10) show
prompt_languages.csv means by prompt language (Table 1)
validation.csv       accuracy and BLEU over finetuning (Figure 7); read off the drawing, to about 0.02
languages.csv        sizes of xP3 and ROOTS, shares of mT5's corpus (Figures 2 and 8)
code.csv             length of code and comments in it (Table 4)
code_temperatures.csv pass@k of BLOOM models by temperature (``evaluation`` tells two runs apart)
edit_distance.csv    premise to hypothesis in XNLI (Table 7)
taxonomy.csv         task clusters and datasets of xP3 (Figure 1); ``new`` are those that P3 lacks
models.csv           the 27 models (Table 3)
bases.csv            pretrained models that some of them were finetuned from, without results of their own
evaluation_sets.csv  items, answer choices and whether BLOOM saw the language, per dataset and subset
datasets.csv         hub id, display name and revision of each dataset as the cards of BLOOMZ give them
pretrained.csv       results of BLOOM before finetuning, from its card
identified.csv       languages that cld3 found in the sentences of a sample of ROOTS (Figure 11)
variants.jsonl       one example of ours as P3, xP3 and xP3mt would hold it (Figure 3); not published data
==================== ======================================================================================

Licences are those on the models' pages of the hub: looked up for 13 models of all families, the others are sisters
of these. ``demonstration`` holds what a small model of our own did, for figures whose data were not published.

Accuracies, pass@k and shares are in percent. A user's files in the same columns are read by the same functions
(``path``), so that analyses can stand besides what was published.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.files import read_jsonl

__all__ = [
    "DatasetFacts",
    "EvaluationSet",
    "ModelFacts",
    "dataset_facts",
    "evaluation_sets",
    "pretrained_bases",
    "published_models",
    "read_columns",
    "reference_rows",
    "reference_variants",
]

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One of the 27 models of the results table.

    Attributes:
        name: As tables name it, such as ``BLOOMZ-7.1B-MT``.
        family: ``BLOOM``, ``BLOOMZ``, ``mT0``, ``mTk-Instruct``, ``T0`` or ``XGLM``.
        billion_parameters: Size as published.
        hub_id: Where the weights are.
        base: Hub id of the model that was finetuned, or ``""`` for a pretrained one.
        mixture: What it was finetuned on, or ``""``.
        architecture: ``causal`` or ``encoder-decoder``.
        licence: Licence of the weights.
    """

    name: str
    family: str
    billion_parameters: float
    hub_id: str
    base: str
    mixture: str
    architecture: str
    licence: str


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A dataset and subset that the models were evaluated on.

    Attributes:
        dataset: Short name, such as ``xnli``.
        subset: Such as ``fr``, or ``""``.
        split: ``validation`` or ``test``.
        items: Rows of the split.
        choices: Answers to choose from, or None where text is generated.
        seen: Whether the language is one that BLOOM and xP3 contain on purpose.
    """

    dataset: str
    subset: str
    split: str
    items: int
    choices: int | None
    seen: bool

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing in percent."""
        return 100 / self.choices if self.choices else None


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """How the hub knows a dataset: ``hub_id``, display ``name`` and the ``revision`` that cards cite."""

    hub_id: str
    name: str
    revision: str


def read_columns(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Read a CSV file that must have at least ``columns``.

    Raises:
        SourceError: The file is missing, is no UTF-8 text or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(columns)}")
            rows = [dict(row) for row in reader]
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise SourceError(f"{path}: line {line} has a different number of cells than the header")
    return rows


@cache
def _rows(name: str) -> tuple[Row, ...]:
    with Path(__file__).with_name(f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def reference_rows(name: str) -> list[Row]:
    """Return the rows of a file of this package, such as ``validation``."""
    return [dict(row) for row in _rows(name)]


def reference_variants() -> list[Row]:
    """Return our own example of P3, xP3 and xP3mt: sentences of ours in our template for PAWS."""
    return list(read_jsonl(Path(__file__).with_name("variants.jsonl")))


@cache
def published_models() -> dict[str, ModelFacts]:
    """Return name -> facts of the 27 models, in the order of the published table."""
    return {row["model"]: _model(row) for row in _rows("models")}


@cache
def pretrained_bases() -> dict[str, ModelFacts]:
    """Return name -> facts of the pretrained models that were finetuned and have no published results here.

    BLOOM's are among :func:`published_models`.
    """
    return {row["model"]: _model(row) for row in _rows("bases")}


def _model(row: dict[str, str]) -> ModelFacts:
    return ModelFacts(
        row["model"],
        row["family"],
        float(row["billion_parameters"]),
        row["hub_id"],
        row.get("base", ""),
        row.get("mixture", ""),
        row["architecture"],
        row["licence"],
    )


@cache
def evaluation_sets() -> dict[tuple[str, str], EvaluationSet]:
    """Return (dataset, subset) -> what is known of the evaluation set."""
    return {
        (row["dataset"], row["subset"]): EvaluationSet(
            row["dataset"],
            row["subset"],
            row["split"],
            int(row["items"]),
            int(row["choices"]) if row["choices"] else None,
            row["language_group"] == "seen",
        )
        for row in _rows("evaluation_sets")
    }


@cache
def dataset_facts() -> dict[str, DatasetFacts]:
    """Return short dataset name -> hub id, display name and revision."""
    return {row["dataset"]: DatasetFacts(row["hub_id"], row["name"], row["revision"]) for row in _rows("datasets")}
