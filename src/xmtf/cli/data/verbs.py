"""``xmtf data``: build mixtures, look into them, turn them into token files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xmtf.artefacts.manifest_parts import TokenDetails
from xmtf.cli.data.arrays import Step, StepOut, plan_step, planned_line, run_step, step_folder
from xmtf.cli.data.pack import load_for_tokens, pack, split_files
from xmtf.cli.data.pin import pin
from xmtf.cli.data.tables import print_built, print_example, print_plan
from xmtf.cli.publishing import print_published
from xmtf.cli.terminal.options import PrintJson, RecipePath, Replace
from xmtf.cli.terminal.printing import print_json, print_records, print_text
from xmtf.errors import ConfigError, DataError
from xmtf.execution import say, track
from xmtf.files import MANIFEST, read_manifest
from xmtf.mixture import build_mixture, plan_mixture
from xmtf.mixture.build import merge_mixture
from xmtf.mixture.describe.compare import compare_counts
from xmtf.mixture.describe.stats import mixture_stats
from xmtf.mixture.io.export import ExportNames, export_jsonl
from xmtf.mixture.io.read import FILTERS, find_mixture, parse_filters, select_examples
from xmtf.mixture.plan.overview import planned_splits
from xmtf.recipe import load_recipe
from xmtf.sources.fetch import expand_patterns, fetch_sources
from xmtf.sources.terms import NOT_STATED, ON_REQUEST, Terms
from xmtf.tasks import recipe_sources
from xmtf.tasks.recipe_sources import gated_datasets, recipe_licences
from xmtf.text.table import aligned
from xmtf.tokens import open_loader, peek_row
from xmtf.upload import MIXTURE_FILES, check_target, plan_upload

__all__ = ["app"]

ExportFields = Literal["xp3", "xp3x", "all", "messages", "preferences", "preference-messages"]

app = typer.Typer(no_args_is_help=True, help="Build, inspect and tokenise mixtures.")

Overrides = Annotated[list[str] | None, typer.Argument(help="Overrides, such as mixture.cap_examples=1000.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the mixture; default: runs/<name>/mixture.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Built = Annotated[Path, typer.Argument(help="A recipe whose mixture is built, or the folder of a mixture.")]
Filters = Annotated[
    list[str] | None, typer.Argument(help="Filters, such as dataset=paws-x language=es; and overrides of the recipe.")
]


_LAST_ROW = 9_999_999
"""Rows in front of a row are counted one by one; the largest released training had 5 million."""


@app.command()
def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: AsJson = False,
    write: Annotated[
        bool, typer.Option("--write", help="Also write the plan, for `run-task` on multiple machines.")
    ] = False,
    step: Step = "render",
    out: StepOut = None,
    replace: Replace = False,
) -> None:
    """List what a mixture would contain, by cluster and language.

    Counts tasks, splits and templates without reading data. With --write the sources are looked up, the held-out index
    is built, and the number of shard tasks is printed; then run every index with `xmtf data run-task` and finish with
    `xmtf data merge`. With --step parts the rendered examples are put in order, so that jobs may write the parts before
    the merge; with --step tokens the tokenizer is written, so that jobs may encode the mixture before `xmtf data pack`.

    Example: xmtf data plan recipes/data/xp3x.yaml
    """
    if write:
        folder, tasks = plan_step(recipe, overrides, step, out, replace=replace)
        if as_json:
            print_json({"folder": str(folder), "tasks": tasks})
        else:
            print_text(planned_line(recipe, step, folder, tasks))
        return
    if step != "render":
        raise ConfigError(f"--step {step}: give --write, too; without it the mixture is described as a whole")
    records = planned_splits(_load(recipe, overrides))
    print_json(records) if as_json else print_plan(records)


@app.command()
def build(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Out = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Build the mixture of a recipe and print what it holds.

    An interrupted build resumes where it stopped; a finished mixture is kept.

    Example: xmtf data build recipes/demo.yaml mixture.cap_examples=1000
    """
    loaded = _load(recipe, overrides)
    folder = _out(loaded, out)
    print_built(build_mixture(loaded, folder, replace=replace), folder, as_json=as_json)


@app.command("run-task")
def run_task(
    recipe: RecipePath,
    overrides: Overrides = None,
    index: Annotated[int, typer.Option(help="Which shard task, from 0.", envvar="SLURM_ARRAY_TASK_ID")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Split the tasks among N jobs; --index is then the job, from 0.")
    ] = None,
    step: Step = "render",
    out: StepOut = None,
    as_json: PrintJson = False,
) -> None:
    """Run shard tasks of a written plan, as one job of an array.

    One task, or with --jobs N every N-th task. With --step parts or tokens, those of the plan that `data plan --write`
    wrote for this step.

    Example: xmtf data run-task recipes/data/xp3.yaml --index 17 --jobs 100
    """
    loaded = _load(recipe, overrides)
    for done in run_step(step_folder(loaded, step, out), step, index, jobs):
        if as_json:
            print_json(done)
        else:
            print_text(f"task {done['task']}: {done['examples']:,} of {done['rendered']:,} examples")


@app.command()
def merge(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Out = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Build the mixture from the shards that `run-task` finished.

    Example: xmtf data merge recipes/data/xp3.yaml
    """
    loaded = _load(recipe, overrides)
    folder = _out(loaded, out)
    print_built(merge_mixture(plan_mixture(loaded), folder, replace=replace), folder, as_json=as_json)


@app.command()
def stats(
    source: Built,
    filters: Filters = None,
    by: Annotated[str, typer.Option(help="Columns, such as cluster,language or dataset or template.")] = "language",
    lengths: Annotated[bool, typer.Option("--lengths", help="Add quantiles of the lengths in characters.")] = False,
    against: Annotated[Path | None, typer.Option(help="CSV or TSV of published counts to compare with.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Count the examples of a mixture by any of its columns.

    --against takes a table with a header: any of language, cluster, task, dataset, subset, split, and a column
    `examples`. Prints how many examples of each the mixture has, and how many were dropped.

    Example: xmtf data stats recipes/open.yaml cluster=translation --by dataset,language
    """
    folder, wanted = _mixture(source, filters, out)
    if against is not None:
        if wanted:
            raise ConfigError(
                "--against compares whole mixtures; remove the filters, or filter the lines of the table instead"
            )
        records = compare_counts(folder, against)
    else:
        records = mixture_stats(folder, by.split(","), lengths=lengths, filters=wanted)
    print_json(records) if as_json else print_records(records)


@app.command()
def peek(
    source: Built,
    filters: Filters = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Examples to print.")] = 3,
    row: Annotated[
        int | None,
        typer.Option(min=0, max=_LAST_ROW, help="Print this packed row, from 0 in the order of training."),
    ] = None,
    tokens: Annotated[Path | None, typer.Option(help="Folder of token files; default: runs/<name>/tokens.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Print examples of a mixture, or a packed row of tokens.

    Prints the first examples that match the filters or, with --row, one packed row: each token above its id, the number
    of its example in the row, and its loss weight; ‹ marks a token that belongs to the character on its left. Token
    files default to those of the recipe's run; a folder of token files can also be given instead of the recipe.

    Example: xmtf data peek recipes/open.yaml dataset=paws-x language=es -n 5
    Example: xmtf data peek recipes/demo.yaml --row 0
    """
    if row is not None or tokens is not None:
        shown = _packed_row(source, filters or [], tokens, row or 0)
        print_json({"row": row or 0, "text": shown}) if as_json else print_text(shown)
        return

    folder, wanted = _mixture(source, filters, out)
    left = count
    for table in select_examples(folder, wanted):
        for example in table.slice(0, left).to_pylist():
            print_json(example) if as_json else print_example(example)
        left -= min(left, table.num_rows)
        if left == 0:
            return
    if left == count:
        raise ConfigError(f"{folder}: no example matches {' '.join(filters or [])}; see `xmtf data stats {source}`")


@app.command()
def export(
    source: Built,
    filters: Filters = None,
    to: Annotated[Path, typer.Option(help="New folder for the JSONL files.")] = Path("export"),
    fields: Annotated[
        ExportFields, typer.Option(help="Fields of each record; messages and preferences as TRL expects.")
    ] = "xp3",
    names: Annotated[
        ExportNames, typer.Option(help="File and dataset names as on the hub, or as in the released xP3, xP3x, P3.")
    ] = "hub",
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="ID", help="Publish the mixture on the hub under this id.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be published.")] = False,
    out: Out = None,
    as_json: PrintJson = False,
) -> None:
    """Write a mixture as JSONL in xP3's layout, or publish it.

    Publishing uploads its Parquet files, which `datasets` loads, and its card.

    Example: xmtf data export recipes/demo.yaml language=fr --to demo-fr --fields xp3x
    Example: xmtf data export recipes/demo.yaml --push-to-hub me/demo-mixture --dry-run
    """
    folder, wanted = _mixture(source, filters, out)
    if push_to_hub is not None:
        if wanted:
            raise ConfigError("--push-to-hub publishes whole mixtures; remove the filters")
        check_target(push_to_hub, dry_run=dry_run)
        upload = plan_upload(folder, push_to_hub, "dataset", private=private, patterns=MIXTURE_FILES)
        print_published(upload, dry_run=dry_run, as_json=as_json)
        return
    if private or dry_run:
        raise ConfigError("--private and --dry-run need --push-to-hub ID")
    counts = export_jsonl(folder, to, fields=fields, names=names, filters=wanted)
    lines = sum(counts.values())
    if as_json:
        print_json({"folder": str(to), "lines": lines, "files": len(counts)})
    else:
        print_text(f"{to}: {lines:,} lines in {len(counts):,} files")


@app.command()
def card(source: Built, overrides: Overrides = None, out: Out = None, as_json: PrintJson = False) -> None:
    """Print the dataset card of a mixture.

    Example: xmtf data card recipes/demo.yaml
    """
    folder, _ = _mixture(source, overrides, out)
    path = folder / "README.md"
    if not path.exists():
        raise DataError(f"{path}: missing; build the mixture first with `xmtf data build`")
    text = path.read_text(encoding="utf-8")
    print_json({"card": text}) if as_json else print_text(text, end=False)


@app.command()
def fetch(
    recipe: RecipePath,
    overrides: Overrides = None,
    to: Annotated[Path, typer.Option(help="Folder of the mirror; set XMTF_DATA_ROOT to it afterwards.")] = Path(
        "mirror"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be fetched.")] = False,
    as_json: AsJson = False,
) -> None:
    """Download every dataset that a recipe reads to a local mirror.

    Includes evaluation data. Existing files are kept, and partial downloads resume. Unavailable datasets are listed at
    the end, and the exit code is then 1.

    Example: xmtf data fetch recipes/open.yaml --to mirror
    """
    loaded = _load(recipe, overrides)
    refs = expand_patterns(recipe_sources(loaded), offline=loaded.recipe.offline)
    licences, gated = recipe_licences(loaded), gated_datasets(loaded)
    if dry_run:
        for ref in refs:
            licence, on_request = licences.get(ref.dataset, ""), ref.dataset in gated
            if as_json:
                print_json({"source": str(ref), "licence": licence, "gated": on_request})
            else:
                print_text(f"{ref}  {licence or NOT_STATED}{f'  {ON_REQUEST}' if on_request else ''}")
        return
    came = 0
    with track("fetching", None, "bytes") as progress:

        def tell(count: int, total: int) -> None:
            nonlocal came
            came += count
            progress.set(came, total)

        offline = loaded.recipe.offline
        results = fetch_sources(refs, to, offline=offline, tell=tell, licences=licences, gated=gated, show=_show_terms)
    for fetched in results:
        record = {"source": str(fetched.ref), "status": fetched.status, "problem": fetched.problem}
        if as_json:
            print_json(record | {"rows": fetched.rows})
        else:
            print_text("  ".join(record.values()).rstrip())
    if any(fetched.status == "failed" for fetched in results):
        raise typer.Exit(1)


def _show_terms(terms: tuple[Terms, ...]) -> None:
    """Describe under which terms the datasets come that are fetched now."""
    if terms:
        lines = aligned([("dataset", "splits", "licence", "access"), *(each.line() for each in terms)])
        say("\n".join(lines))


app.command()(pin)
app.command()(pack)
app.command("split-files")(split_files)


def _packed_row(source: Path, overrides: list[str], tokens: Path | None, row: int) -> str:
    folder = tokens or (source if source.is_dir() else _load(source, overrides).run.tokens)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    if manifest is None or manifest.stage != "tokens":
        raise ConfigError(f"{folder}: there are no finished token files; build them with `xmtf data pack {source}`")
    family = TokenDetails.of(manifest, folder).family
    loaded = load_for_tokens(source if source.is_file() else folder, overrides, family)
    return peek_row(open_loader(folder, loaded, family=family), row)


def _mixture(source: Path, arguments: list[str] | None, out: Path | None) -> tuple[Path, dict[str, str]]:
    """Return the folder of a built mixture, and the filters among the arguments; the others override the recipe."""
    arguments = arguments or []
    if source.is_dir():
        return find_mixture(source), parse_filters(arguments)
    filters = [text for text in arguments if text.partition("=")[0] in FILTERS]
    loaded = _load(source, [text for text in arguments if text not in filters])
    return find_mixture(_out(loaded, out)), parse_filters(filters)


def _load(recipe: Path, overrides: list[str] | None) -> Any:
    return load_recipe(recipe, overrides or [])


def _out(loaded: Any, out: Path | None) -> Path:
    folder: Path = out or loaded.run.mixture
    return folder
