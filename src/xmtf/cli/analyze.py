"""``xmtf analyze``: what is in a corpus or a mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xmtf.analysis.code import code_statistics, read_programs
from xmtf.analysis.corpus import CorpusColumns, read_corpus
from xmtf.analysis.edit_distance import PairColumns, edit_distances
from xmtf.analysis.language_counts import LanguageCounts, identify_languages
from xmtf.artefacts.written_files import WrittenFiles
from xmtf.cli.terminal.options import Overwrite
from xmtf.cli.terminal.printing import print_json, print_records, print_text
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.execution import track
from xmtf.files import write_csv, write_jsonl
from xmtf.mixture.io.read import find_mixture, mixture_languages
from xmtf.recipe import load_recipe
from xmtf.recipe.schema import Evaluation
from xmtf.sources import SourceRef, read_source
from xmtf.tasks import load_catalogue

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Analyze data: overlap, languages, edit distances, code, taxonomy.")

Built = Annotated[Path, typer.Argument(help="A recipe whose mixture is built, or the folder of a mixture.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Overrides of the recipe.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write the tables to, as CSV.")]
Suites = Annotated[
    str | None,
    typer.Option("--suite", help="Catalogues, tasks or patterns, such as xnli,xcopa; default: the recipe's."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Rows per split: a seeded sample.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never access the network.")]
_Tables = dict[str, list[dict[str, Any]]]

_MOST_LINES = 60
"""Lines of a table that are printed."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def contamination(
    source: Built,
    overrides: Overrides = None,
    suite: Suites = None,
    words: Annotated[int, typer.Option(min=2, help="Length of a shared run of words.")] = 13,
    split: Annotated[str | None, typer.Option(help="Split of the named sets; default: the catalogue's.")] = None,
    limit: Limit = None,
    out: Out = None,
    overwrite: Overwrite = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Find evaluation items in a mixture.

    Searches for the same row, the same prompt, fields of its row, or a run of shared words. Prints the splits with
    matches: items by kind of match and, for `words`, also those with at least half of their words there; then how many
    items could be searched for by their texts (nothing is known about the others). --out also writes items.jsonl (each
    item found, with the training examples that contain it) and overlap.parquet, which `xmtf report build --overlap`
    joins to scores.

    Example: xmtf analyze contamination runs/open/mixture --suite xnli,xcopa --out overlap
    """
    files = _files(out, overwrite)
    from xmtf.analysis.contamination import ItemReader, find_overlap
    from xmtf.results.overlap import OVERLAP, write_overlap

    folder, setup = _sources(source, overrides, suite, offline=offline, limit=limit, split=split)
    slices = _slices(setup)
    reader = ItemReader(setup, words)
    with track("reading evaluation items", len(slices), "slices") as bar:
        for part in slices:
            reader.add(part)
            bar.advance()
    items = reader.items()
    with track("searching the mixture", _num_examples(folder), "examples") as bar:
        for found in find_overlap(folder, items):
            bar.set(found.examples)
    records = found.summary()
    shown = [record for record in records if record["any"]]

    def write_found(folder_out: Path) -> None:
        write_jsonl(folder_out / "items.jsonl", found.found())
        write_overlap(folder_out / OVERLAP, found.overlap(folder))

    _show({"contamination": records}, files, as_json, printed={"contamination": shown}, more=write_found)
    if not as_json:
        for line in _measured(records, words):
            print_text(line)


def _measured(records: list[dict[str, Any]], words: int) -> Iterator[str]:
    """Describe how many items could be searched for by their texts, and how many of those are clean."""
    items, measurable, by_fields, by_words, clean = (
        sum(record[name] for record in records) for name in ("items", "measurable", "by_fields", "by_words", "clean")
    )
    yield (
        f"{measurable:,} of {items:,} items can be searched for by their texts: {by_fields:,} by their fields, "
        f"{by_words:,} by {words} consecutive words; of these, nothing was found for {clean:,}"
    )
    untouched = [record for record in records if not record["any"] and record["clean"]]
    if untouched:
        known, of = (sum(record[name] for record in untouched) for name in ("clean", "items"))
        whole = "all" if known == of else "those that can be searched for"
        share = "1 split shares" if len(untouched) == 1 else f"{len(untouched):,} splits share"
        their = "its" if len(untouched) == 1 else "their"
        yield f"{share} nothing with the mixture in {known:,} of {their} {of:,} items, {whole}"
    if measurable < items:
        others = items - measurable
        have, they, their = (
            ("1 item has", "it was", "its") if others == 1 else (f"{others:,} items have", "they were", "their")
        )
        yield (
            f"{have} neither ({their} fields are short, or occur in many rows): {they} "
            f"searched for by row and by whole prompt only, and nothing is known about {their} texts"
        )


@app.command()
def languages(
    source: Annotated[Path, typer.Argument(help="Folder of a mixture, a file, or a folder of files.")],
    side: Annotated[
        str, typer.Option(metavar="inputs|targets|both", help="Side of a mixture's examples to read.")
    ] = "targets",
    text_column: Annotated[str | None, typer.Option(help="Text column of files.")] = None,
    language_column: Annotated[str, typer.Option(help="Column of files with the declared language.")] = "language",
    language: Annotated[str | None, typer.Option(help="Declared language of all texts.")] = None,
    reliable: Annotated[float, typer.Option(min=0, max=1, help="Minimum confidence of a reliable sentence.")] = 0.9,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare the languages of sentences with the declared one.

    --out writes matrix.csv (declared x detected), totals.csv and agreement.csv, each for all sentences and for the
    reliable ones: identified with confidence, and in the usual script of the language.

    Example: xmtf analyze languages runs/demo/mixture --out languages
    """
    files = _files(out, overwrite)
    sides: tuple[Literal["inputs", "targets", "both"], ...] = ("inputs", "targets", "both")
    chosen = next((known for known in sides if known == side), None)
    if chosen is None:
        raise UnknownNameError("side", side, sides, "--side")
    counts = LanguageCounts()
    with track("identifying languages", unit="sentences") as bar:
        for _ in identify_languages(
            read_corpus(source, CorpusColumns(chosen, text_column, language_column, language)),
            reliable=reliable,
            counts=counts,
        ):
            bar.set(counts.everything.total())
    tables = {"agreement": counts.agreement(), "totals": counts.totals(), "matrix": counts.matrix()}
    _show(tables, files, as_json, printed={name: tables[name] for name in ("agreement", "totals")})


@app.command("edit-distance")
def edit_distance(
    dataset: Annotated[str, typer.Option(help="Hub id of the dataset.")] = "facebook/xnli",
    subsets: Annotated[str, typer.Option(help="Subsets, such as th,tr,el.")] = "th,tr,el",
    split: Annotated[str, typer.Option(help="Split to read.")] = "validation",
    columns: Annotated[str, typer.Option(help="The two text columns.")] = "premise,hypothesis",
    label_column: Annotated[str, typer.Option(help="Label column.")] = "label",
    labels: Annotated[str, typer.Option(help="Names of integer labels, in order.")] = (
        "entailment,neutral,contradiction"
    ),
    out: Out = None,
    overwrite: Overwrite = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Measure the edit distance of two texts of a row, by label.

    Prints the mean Levenshtein distance; for XNLI, Table 7 of the BLOOMZ paper.

    Example: xmtf analyze edit-distance --subsets th,tr,el --out distances
    """
    files = _files(out, overwrite)
    pair = _names(columns)
    if len(pair) != 2:
        raise ConfigError(f"--columns: {columns!r} does not name two columns, such as premise,hypothesis")
    chosen = PairColumns(pair[0], pair[1], label_column, tuple(_names(labels)))
    records = []
    names = _names(subsets) or [""]
    with track("measuring distances", len(names), "subsets") as bar:
        for subset in names:
            ref = SourceRef(dataset, subset, split)
            found = edit_distances(read_source(ref, offline=offline).table, chosen, str(ref))
            records += [{"dataset": dataset, "language": subset} | record for record in found]
            bar.advance()
    _show({"edit_distance": records}, files, as_json)


@app.command()
def code(
    sources: Annotated[
        list[Path], typer.Argument(help="completions.jsonl, generations.json, or the folder of a mixture.")
    ],
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure the length of programs and count their comments.

    The means correspond to Table 4 of the BLOOMZ paper.

    Example: xmtf analyze code results/code runs/open/mixture
    """
    files = _files(out, overwrite)
    records = [code_statistics(str(source), read_programs(source)) for source in sources]
    empty = [record["source"] for record in records if not record["programs"]]
    if empty:
        raise ConfigError(f"{empty[0]}: contains no program")
    _show({"code": records}, files, as_json)


@app.command()
def taxonomy(
    source: Built,
    overrides: Overrides = None,
    suite: Suites = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """List clusters, datasets and languages of a mixture.

    Also lists what is left for evaluation.

    Example: xmtf analyze taxonomy recipes/demo.yaml --out taxonomy
    """
    files = _files(out, overwrite)
    from xmtf.analysis.taxonomy import language_counts
    from xmtf.analysis.taxonomy import taxonomy as datasets_by_cluster

    folder, setup = _sources(source, overrides, suite, offline=True)
    slices = _slices(setup) if setup.settings.suites else []
    tables = {"taxonomy": datasets_by_cluster(folder, slices), "languages": language_counts(folder)}
    _show(tables, files, as_json)


def _sources(
    source: Path,
    overrides: list[str] | None,
    suite: str | None,
    *,
    offline: bool,
    limit: int | None = None,
    split: str | None = None,
) -> tuple[Path, Any]:
    """Return the folder of the mixture and the evaluation set-up: the recipe's suites, or the named ones."""
    from xmtf.evaluation.suites.setup import Setup, named_suites, setup_of

    loaded = None if source.is_dir() else load_recipe(source, overrides or [])
    folder = find_mixture(source if loaded is None else loaded.run_folder)
    setup = setup_of(loaded) if loaded is not None else Setup(Evaluation(), load_catalogue())
    if suite is not None:
        selection = {"limit_rows": limit, "splits": (split,) if split else ()}
        suites, catalogue = named_suites(suite, selection=selection, loaded=loaded)
        settings = setup.settings.model_copy(update={"suites": suites})
        setup = replace(setup, settings=settings, catalogue=catalogue)
    return folder, replace(setup, offline=offline or setup.offline)


def _slices(setup: Any) -> list[Any]:
    from xmtf.evaluation.suites.setup import suite_slices

    if not setup.settings.suites:
        raise ConfigError(
            "name the evaluation sets with --suite, such as --suite xnli,xcopa, or give a recipe with suites"
        )
    return suite_slices(setup)


def _num_examples(folder: Path) -> int:
    return sum(mixture_languages(folder).values())


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _files(out: Path | None, overwrite: bool) -> WrittenFiles | None:
    """Return the folder that tables are written to, which is refused before any work where it may not be."""
    if out is None:
        return None
    files = WrittenFiles(out, "analysis", overwrite)
    files.check()
    return files


def _show(
    tables: _Tables,
    files: WrittenFiles | None,
    as_json: bool,
    printed: _Tables | None = None,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Write every table, and what else there is, and print the tables that a person needs to see."""
    if files is not None:
        with files.writing() as folder:
            for name, records in tables.items():
                write_csv(folder / f"{name}.csv", records)
            if more is not None:
                more(folder)
    if as_json:
        print_json(tables)
        return
    for name, records in (tables if printed is None else printed).items():
        print_records(records[:_MOST_LINES])
        if len(records) > _MOST_LINES:
            print_text(f"... {len(records) - _MOST_LINES} more lines; --out DIR writes all of them to {name}.csv")
        if records:
            print_text()
