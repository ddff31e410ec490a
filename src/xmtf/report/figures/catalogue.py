"""Which figures there are, what each shows, and what it needs.

Every figure is a module with ``draw(results, inputs)``, which returns a matplotlib figure, or None where its data are
not available. ``draw_figures`` draws what can be drawn and says of the others what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.errors import UnknownNameError
from xmtf.report.figures.drawing.fonts import MissingFontError
from xmtf.report.figures.drawing.style import save_figure
from xmtf.report.figures.published import (
    code_samples,
    contamination,
    english_tasks,
    language_shares,
    multilingual_tasks,
    pretraining_share,
    samples,
    scaling,
    task_bars,
    taxonomy,
    unseen_languages,
    validation_curves,
    variants,
)
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

__all__ = ["FIGURES", "Drawn", "Figure", "FigureKind", "draw_figures"]


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure that can be drawn.

    Attributes:
        number: Number in the published work, such as ``4``.
        name: File name without ending.
        title: Heading.
        caption: What is shown and how it was computed.
        needs: What to give where its data are missing.
        draw: Draws it, or returns None without data.
        texts: Name of the input whose texts it shows, if any.
    """

    number: str
    name: str
    title: str
    caption: str
    needs: str
    draw: Callable[[ResultTable, Inputs], Drawing | None]
    texts: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure on disk: its kind, a file for each format, and what it says of whose data it shows."""

    number: str
    name: str
    title: str
    caption: str
    paths: tuple[Path, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Figures that were drawn, and a line for each that was not.

    Attributes:
        figures: What was drawn.
        left_out: What each other figure needs.
        missing_fonts: Which fonts to install for figures that could be drawn with them.
    """

    figures: list[Figure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing_fonts: list[str] = field(default_factory=list)


_RESULTS = "results of `xmtf evaluate rank` on its sets, or --reference"
_DOTS = "Dots are prompts, bars their median, grey lines 95 % intervals of the median prompt, dashed lines chance."

FIGURES = (
    FigureKind(
        "1",
        "taxonomy",
        "Tasks",
        "Task clusters and their datasets: trained on, held out, and in bold those that P3 lacks.",
        "--input taxonomy=FILE.csv (written by xmtf analyze taxonomy), or --reference",
        taxonomy.draw,
    ),
    FigureKind(
        "2",
        "language-shares",
        "Languages of the corpora",
        "Share of each language in xP3 (size of its files), ROOTS (bytes) and mT5's corpus (sampling rate), "
        "ordered by xP3; marks are missing for languages that a corpus lacks.",
        "--input languages=FILE.csv (written by xmtf analyze taxonomy), or --reference",
        language_shares.draw,
    ),
    FigureKind(
        "3",
        "variants",
        "P3, xP3 and xP3mt",
        "One example in three mixtures; without a file of your own, example sentences in our template for PAWS.",
        "--input variants=FILE.jsonl, or --reference",
        variants.draw,
    ),
    FigureKind(
        "4",
        "task-bars",
        "Held-out tasks",
        "Mean over seen languages of the accuracy of the median English prompt. Sentence completion: XCOPA and "
        "XStoryCloze, 13 lists of five prompts; inference: XNLI, 9 languages; coreference: XWinograd, 4. "
        "Black lines are 95 % intervals from the number of rows, dashed lines chance.",
        _RESULTS,
        task_bars.draw,
    ),
    FigureKind(
        "5",
        "unseen-languages",
        "Languages not trained on",
        "Accuracy on sets in languages that neither BLOOM nor xP3 contain on purpose, English prompts. " + _DOTS,
        _RESULTS,
        unseen_languages.draw,
    ),
    FigureKind(
        "6",
        "scaling",
        "Accuracy over size",
        "Median English prompt on seen languages: thin lines are languages, thick lines their mean, dashed lines "
        "chance.",
        "--reference, or results of BLOOM, BLOOMZ or mT0 in two sizes",
        scaling.draw,
    ),
    FigureKind(
        "7",
        "validation",
        "Validation during finetuning",
        "Mean of medians over prompts: accuracy on 37 validation sets, BLEU on translation and summarization. "
        "Stars are released checkpoints; the BLOOMZ checkpoint was chosen at the BLEU peak.",
        "--input validation=FILE.csv, or --reference",
        validation_curves.draw,
    ),
    FigureKind(
        "8",
        "pretraining-share",
        "Accuracy over pretraining data",
        "Median English prompt of each language over its percentage of ROOTS, for languages that ROOTS holds.",
        "--reference, which has the shares of ROOTS",
        pretraining_share.draw,
    ),
    FigureKind(
        "9",
        "english-tasks",
        "Held-out tasks in English",
        "Accuracy on English sets, models finetuned on P3 and on xP3. " + _DOTS,
        _RESULTS,
        english_tasks.draw,
    ),
    FigureKind(
        "10",
        "multilingual-tasks",
        "Held-out tasks in seen languages",
        "Accuracy on the sets in seen languages other than English, English prompts. " + _DOTS,
        _RESULTS,
        multilingual_tasks.draw,
    ),
    FigureKind(
        "11",
        "contamination",
        "Languages in a corpus",
        "Share of sentences identified as a language, versus the declared share. Published: a "
        "sample of ROOTS by cld3, every sentence counted; short sentences are often misidentified. Bold: evaluation "
        "languages that BLOOM was not intended to know.",
        "--input identified=FILE.csv (totals.csv of xmtf analyze languages), or --reference",
        contamination.draw,
    ),
    FigureKind(
        "12",
        "code-samples",
        "Programs side by side",
        "Programs of several models for one problem.",
        "results of `xmtf evaluate code`, --input generations=FILE.jsonl, or --reference alone for our demonstration",
        code_samples.draw,
        "generations",
    ),
    FigureKind(
        "13-16",
        "samples",
        "Model outputs",
        "Prompts and the output of each model.",
        "results with samples.jsonl, --input samples=FILE.jsonl, or --reference alone for our demonstration",
        samples.draw,
        "samples",
    ),
)
"""Every figure, in the order of the published work."""


def draw_figures(
    results: ResultTable,
    inputs: Inputs,
    folder: Path,
    only: Sequence[str] = (),
    formats: Sequence[str] = ("svg", "png", "pdf"),
) -> Drawn:
    """Draw figures into ``folder``.

    Args:
        results: Results of any models.
        inputs: Analyses and texts.
        folder: Where files are written, named after the figures.
        only: Numbers or names of figures; every one by default.
        formats: Of ``svg``, ``png`` and ``pdf``.

    Raises:
        UnknownNameError: ``only`` names no figure.
    """
    known = {name for kind in FIGURES for name in _names(kind)}
    for name in only:
        if name not in known:
            raise UnknownNameError("figure", name, known, "--only")
    drawn = Drawn()
    for kind in FIGURES:
        if only and not _names(kind) & set(only):
            continue
        try:
            figure = kind.draw(results, inputs)
        except MissingFontError as error:
            drawn.missing_fonts.append(f"Figure {kind.number} ({kind.name}) is skipped: {error}")
            continue
        if figure is None:
            drawn.left_out.append(f"Figure {kind.number} ({kind.name}) is skipped; it needs {kind.needs}")
            continue
        paths = tuple(save_figure(figure, folder, kind.name, tuple(formats)))
        note = inputs.note_on(kind.texts)
        drawn.figures.append(Figure(kind.number, kind.name, kind.title, kind.caption, paths, note))
    return drawn


def _names(kind: FigureKind) -> set[str]:
    """Return what a figure answers to: its name, its number, and each number of a range."""
    first, _, last = kind.number.partition("-")
    return {kind.name, kind.number, *(str(number) for number in range(int(first), int(last or first) + 1))}
