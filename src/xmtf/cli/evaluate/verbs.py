"""``xmtf evaluate``: measure a model zero-shot."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError

from xmtf.artefacts.ownership import new_file
from xmtf.cli.evaluate.exchange import add_to
from xmtf.cli.evaluate.score_lines import print_rows, print_scores
from xmtf.cli.evaluate.suite_options import BatchTokens, Model, Seed, SuiteOptions
from xmtf.cli.terminal.options import (
    AsJson,
    BeginOfInputs,
    Chat,
    DecodingOptions,
    Device,
    Dtype,
    Offline,
    Overwrite,
    Quantize,
    Replace,
    ServerOptions,
    begin_choice,
    needs_models,
    with_options,
)
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.code.limits import Limits
from xmtf.evaluation.code.passk import best_lines
from xmtf.evaluation.code.settings import CodeSettings
from xmtf.mixture.io.read import find_mixture
from xmtf.recipe import load_recipe
from xmtf.recipe.load import explain_value
from xmtf.recipe.schema import Evaluation, Suite, Tokenization
from xmtf.results.files import SCORES
from xmtf.results.scores import read_scores
from xmtf.servers.reference import is_served, parse_served
from xmtf.tasks import Catalogue, find_suites, known_suites
from xmtf.text.table import terminal_width

if TYPE_CHECKING:
    from xmtf.evaluation.suites.setup import Setup
    from xmtf.recipe.schema import Tokenization
    from xmtf.records import Score

__all__ = ["app"]

SCORINGS = "bloomz|characters|bytes|tokens|pmi|lm_eval"
app = typer.Typer(no_args_is_help=True, help="Evaluate a model zero-shot.")
CodeTasks = Annotated[
    str | None, typer.Option("--suite", help="Code tasks: humaneval (default), mbpp, code for both, humanevalpack.")
]
Ask = Annotated[
    str,
    typer.Option(metavar="complete|repair|complete,repair", help="Complete programs, repair buggy solutions, or both."),
]


@app.command()
@needs_models
@with_options
def rank(
    options: SuiteOptions,
    server: ServerOptions,
    scoring: Annotated[str, typer.Option(metavar=SCORINGS, help="How choices are scored.")] = "bloomz",
    also: Annotated[
        str, typer.Option(metavar="pmi,lm_eval", help="Also store what `rescore` needs for these scorings.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Rank answer choices by log-probability, as for BLOOMZ.

    Example: xmtf evaluate rank --model runs/demo/model --suite xnli,xcopa --limit 200 --out results
    """
    print_scores(
        _measure("rank", options, {"scoring": scoring, "also": _names(also), "server": server.section(options.model)}),
        as_json,
    )


@app.command()
@needs_models
@with_options
def generation(
    options: SuiteOptions,
    decoding: DecodingOptions,
    server: ServerOptions,
    answer_after: Annotated[
        str | None, typer.Option(help="Text that ends the reasoning, such as '</think>'; only what follows is scored.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Generate answers and compare them with references.

    Metrics are those of each task: BLEU, chrF, ROUGE, exact match, F1, numeric match and others.

    Example: xmtf evaluate generation --model runs/demo/model --suite nusax-mt --limit 100 --out results
    """
    settings = {
        "max_new_tokens": decoding.max_new_tokens,
        "generation": decoding.section(),
        "answer_after": answer_after,
        "server": server.section(options.model),
    }
    print_scores(_measure("generation", options, settings), as_json)


@app.command()
@needs_models
@with_options
def code(
    *,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for scores.jsonl, items/ and samples.jsonl.")],
    replace: Replace = False,
    server: ServerOptions,
    suite: CodeTasks = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe with own code tasks; all of them are run by default.")
    ] = None,
    ask: Ask = "complete",
    samples: Annotated[int, typer.Option(min=1, help="Completions per problem and temperature.")] = 1,
    temperatures: Annotated[
        str, typer.Option(help="Sampling temperatures, such as 0.2,0.6,0.8; 0 is greedy (one sample).")
    ] = "0",
    k: Annotated[str, typer.Option(help="Values of k for pass@k.")] = "1,10,100",
    limit: Annotated[int | None, typer.Option(min=1, help="First N problems per task and language.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens per completion.")] = 256,
    batch_rows: Annotated[int, typer.Option(min=1, help="Completions generated per batch.")] = 32,
    prepend_eos: Annotated[
        bool, typer.Option("--prepend-eos", help="Put an end-of-text token before prompts.")
    ] = False,
    begin_of_inputs: BeginOfInputs = "auto",
    chat: Chat = "auto",
    stops: Annotated[
        str,
        typer.Option(
            metavar="complete|original", help="Where completions end: after the program, or at the first stop text."
        ),
    ] = "complete",
    timeout_s: Annotated[
        float, typer.Option(min=0.1, max=86400, help="CPU time limit per program, in seconds.")
    ] = 10.0,
    modules: Annotated[Path | None, typer.Option(help="Folder of the Go and Rust modules that programs use.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Programs run in parallel.")] = 1,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Run programs without a sandbox.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantize: Quantize = None,
    seed: Seed = 42,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Complete or repair programs and run them in a sandbox: pass@k.

    Programs in Python, JavaScript, Java, Go, C++ and Rust, in the layouts of HumanEval, HumanEvalPack and MBPP.

    Example: xmtf evaluate code --model bigscience/bloomz-560m --samples 20 --temperatures 0.2,0.6 --out results
    """
    from xmtf.evaluation.code.run import evaluate_code
    from xmtf.evaluation.suites.setup import Setup

    settings = CodeSettings(
        samples=samples,
        temperatures=tuple(_numbers(temperatures, float, "--temperatures")),
        ks=tuple(_numbers(k, int, "--k")),
        max_new_tokens=max_new_tokens,
        batch_rows=batch_rows,
        prepend_eos=prepend_eos,
        limit=limit,
        limits=Limits(cpu_s=timeout_s, wall_s=max(60.0, 10 * timeout_s)),
        workers=workers,
        unsafe=unsafe,
        stops=stops,  # type: ignore[arg-type]  # checked
        asks=_names(ask),  # type: ignore[arg-type]  # checked
        modules=None if modules is None else modules.resolve(),
    )
    catalogue, tasks = _code_tasks(suite, recipe)
    tokens = _tokenization(None, begin_of_inputs)
    evaluation = Evaluation(dtype=dtype, chat=chat, quantize=quantize, server=server.section(model))
    setup = Setup(evaluation, catalogue, tokens, device=device, seed=seed, offline=offline)
    label = _label(model, quantize)
    scores = evaluate_code(setup, tasks, settings, model=model, label=label, out=out, replace=replace)
    print_scores(scores, as_json)
    if len(settings.temperatures) > 1 and not as_json:
        for line in best_lines(scores):
            print_text(line)


@app.command()
@needs_models
def loss(
    model: Model,
    mixture: Annotated[Path | None, typer.Option(help="Folder of a mixture, such as runs/demo/mixture.")] = None,
    text: Annotated[list[Path] | None, typer.Option(help="Text or .jsonl file; may be repeated.")] = None,
    parallel: Annotated[
        list[str] | None,
        typer.Option(help="LANGUAGE=FILE of parallel text, one sentence per line; repeat for each language."),
    ] = None,
    relative_to: Annotated[str | None, typer.Option(help="With --parallel: language to compare with.")] = None,
    part: Annotated[
        str, typer.Option(metavar="validation|train|all", help="Part of the mixture to evaluate.")
    ] = "validation",
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of rows per language.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the losses to this JSONL file.")] = None,
    replace: Overwrite = False,
    space: Annotated[
        bool | None, typer.Option("--space/--no-space", help="Put a space before targets; default: by model family.")
    ] = None,
    begin_of_inputs: BeginOfInputs = "auto",
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quantize: Quantize = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Measure loss and perplexity on a mixture or on text.

    On a mixture: loss on its targets, by language; on parallel text: bits per byte. With --out, an interrupted command
    resumes where it stopped.

    Example: xmtf evaluate loss --model runs/demo/model --mixture runs/demo/mixture
    """
    from xmtf.evaluation.loss import loss_lines, mixture_loss, text_loss
    from xmtf.evaluation.suites.setup import Setup

    if part not in ("validation", "train", "all"):
        raise UnknownNameError("part", part, ("validation", "train", "all"), "--part")
    new_file(out, replace=replace)
    setup = Setup(
        Evaluation(batch_tokens=batch_tokens, dtype=dtype, quantize=quantize),
        Catalogue({}),
        _tokenization(space, begin_of_inputs),
        device=device,
        offline=offline,
    )
    if (mixture is not None) + bool(text) + bool(parallel) != 1:
        raise ConfigError("give one of --mixture FOLDER, --text FILE and --parallel LANGUAGE=FILE")
    if parallel:
        _bits(setup, parallel, relative_to, model, out, replace=replace, as_json=as_json)
        return
    if mixture is not None:
        folder = find_mixture(mixture)
        losses = mixture_loss(setup, folder, model=model, part=part, limit=limit, out=out, replace=replace)  # type: ignore[arg-type]  # checked
    else:
        losses = text_loss(setup, text or [], model=model, limit=limit, out=out, replace=replace)
    print_rows(losses, loss_lines, as_json)


def _bits(
    setup: Setup,
    parallel: list[str],
    relative_to: str | None,
    model: str,
    out: Path | None,
    *,
    replace: bool,
    as_json: bool,
) -> None:
    """Measure bits per byte of parallel text."""
    from xmtf.evaluation.parallel_bits import bits_lines, parallel_bits, read_parallel

    sentences = read_parallel(parallel)
    found = parallel_bits(setup, sentences, model=model, relative_to=relative_to, out=out, replace=replace)
    print_rows(found, bits_lines, as_json)


@app.command("suites")
def suites(as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False) -> None:
    """List the suites with short names.

    Catalogues, their sets and tasks can also be given as suites (`xmtf task list`).

    Example: xmtf evaluate suites
    """
    for suite in known_suites().values():
        if as_json:
            print_json({"name": suite.name, "kind": suite.kind, "about": suite.about})
        else:
            heading = f"{suite.name:12} {suite.kind or '-':11} "
            width = terminal_width() or 1000
            print_text(textwrap.fill(heading + suite.about, width, subsequent_indent=" " * len(heading)))


@app.command("run")
@needs_models
def run_suites(
    recipe: Annotated[Path, typer.Argument(help="Recipe with the evaluation suites.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides, such as evaluation.samples=0.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to evaluate; default: the run's trained model.")] = None,
    label: Annotated[str, typer.Option(help="Label of the model in the results.")] = "after",
    out: Annotated[Path | None, typer.Option(help="Results folder; default: results/LABEL of the run.")] = None,
    replace: Replace = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Answer only one of N shares of the requests; --index is the share.")
    ] = None,
    index: Annotated[int, typer.Option(help="With --jobs: which job, from 0.", envvar="SLURM_ARRAY_TASK_ID")] = 0,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on all suites of a recipe.

    Under torchrun, the processes split the rows, and with evaluation.parallel also the model. With --jobs, a job only
    stores the answers to its share of the rows; when all jobs are done, the command without --jobs collects them and
    writes the results.

    Example: xmtf evaluate run recipes/demo.yaml --model runs/demo/model
    """
    from xmtf.evaluation import evaluate, processes_of_torchrun
    from xmtf.evaluation.shares import Share, answer_share

    loaded = load_recipe(recipe, overrides or [])
    folder = out or loaded.run.results(label)
    model = model or str(loaded.run.model)
    if jobs is not None:
        asked = answer_share(loaded, Share(index, jobs), model=model, label=label, out=folder)
        if as_json:
            print_json({"job": index, "jobs": jobs, "requests": asked})
        else:
            print_text(f"job {index} of {jobs}: {asked:,} requests answered")
        return
    processes = processes_of_torchrun()
    evaluate(loaded, model=model, label=label, out=folder, processes=processes, replace=replace)
    if not processes.rank:
        print_scores(_read_scores(folder), as_json)


@app.command()
def rescore(
    folder: Annotated[Path, typer.Argument(help="Results folder, such as runs/demo/results/after.")],
    scoring: Annotated[str | None, typer.Option(metavar=SCORINGS, help="How choices are scored.")] = None,
    metrics: Annotated[str, typer.Option(help="Generation metrics, such as bleu,chrf.")] = "",
    scorer: Annotated[
        list[str] | None,
        typer.Option(help="External metric, as [NAME=]command:PROGRAM ARGS; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the scores to this JSONL file.")] = None,
    replace: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Recompute metrics from stored items, without the model.

    A scorer reads one JSON line per answer (source, answer, reference, language) and writes one number per line.

    Example: xmtf evaluate rescore runs/demo/results/after --scoring characters
    """
    from xmtf.evaluation.scoring.rescore import rescore as compute
    from xmtf.evaluation.scoring.scorer import find_scorer

    new_file(out, replace=replace)
    scorers = [find_scorer(text) for text in scorer or ()]
    print_scores(compute(folder, out, scoring=scoring, metrics=_names(metrics), scorers=scorers), as_json)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="Results folder or address, such as runs/demo/results/before.")],
    second: Annotated[str, typer.Argument(help="Results folder or address of the same items.")],
    as_json: AsJson = False,
) -> None:
    """Compare two models item by item.

    Prints paired differences with intervals, and McNemar's exact test.

    Example: xmtf evaluate compare runs/demo/results/before runs/demo/results/after
    """
    from xmtf.evaluation.scoring.compare import compare_lines, compare_results

    print_rows(compare_results(_local(first), _local(second)), compare_lines, as_json)


def _local(named: str) -> Path:
    """Return a results folder as it is, and for an address its copy."""
    from xmtf.remote.copies import finished_copy
    from xmtf.remote.storage import is_remote

    return finished_copy(named) if is_remote(named) else Path(named)


def _code_tasks(suite: str | None, recipe: Path | None) -> tuple[Catalogue, list[str]]:
    """Return the tasks of suites, by default a recipe's own ones of kind code, and the catalogue that has them."""
    loaded = None if recipe is None else load_recipe(recipe)
    if suite is None:
        own = () if loaded is None else loaded.recipe.own_tasks
        named = (f"{task.id}/*" if task.subsets else task.id for task in own if task.kind == "code")
        suite = ",".join(named) or "humaneval"
    suites, catalogue = find_suites(_names(suite), loaded)
    selections = [part for each in suites for part in each.tasks]
    return catalogue, [part.task.id for part in catalogue.select(selections, role="evaluation", where="--suite")]


def _measure(kind: Literal["rank", "generation"], options: SuiteOptions, settings: Mapping[str, object]) -> list[Score]:
    """Measure a model on suites; ``settings`` are more keys of a recipe's ``evaluation``."""
    from xmtf.evaluation import Setup, evaluate_setup, named_suites, processes_of_torchrun

    suites, catalogue = named_suites(
        options.suite, kind=kind, selection=options.selection(), files=options.catalogue or ()
    )
    if options.pins is not None:
        catalogue = catalogue.pinned_by(options.pins)
    try:
        if (shown := options.shown()) is not None:
            name = f"{{}}, {options.shots} shot{'s' if options.shots > 1 else ''}"
            suites = tuple(
                Suite.model_validate(suite.model_dump() | {"name": name.format(suite.name), "shots": shown})
                for suite in suites
            )
        evaluation = Evaluation(suites=suites, samples=0, **options.section(), **settings)
    except ValidationError as error:
        problem = error.errors()[0]
        of = f"--{str(problem['loc'][0]).replace('_', '-')}: " if problem["loc"] else ""  # or of several together
        raise ConfigError(f"{of}{explain_value(problem)}") from None
    setup = Setup(
        evaluation,
        catalogue,
        _tokenization(options.space, options.begin_of_inputs),
        seed=options.seed,
        mode="legacy" if options.legacy else "fixed",
        offline=options.offline,
        device=options.device,
        templates=options.templates,
    )
    processes = processes_of_torchrun()
    evaluate_setup(
        setup,
        model=options.model,
        label=_label(options.model, options.quantize),
        out=options.out,
        processes=processes,
        replace=options.replace,
    )
    return [] if processes.rank else _read_scores(options.out)


def _tokenization(space: bool | None, begin_of_inputs: str) -> Tokenization:
    begin = begin_choice(begin_of_inputs)
    return Tokenization(space_before_targets="auto" if space is None else space, begin_of_inputs=begin)


def _label(model: str, quantize: str | None) -> str:
    """Return what results call a model: the last part of its name, and what its weights are kept in."""
    if is_served(model):
        return parse_served(model).label
    name = model.rstrip("/").rsplit("/", 1)[-1]
    return name if quantize is None else f"{name}-{quantize}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str, kind: type[Any], option: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is not a list of numbers, such as 1,10") from None


def _read_scores(folder: Path) -> list[Score]:
    return read_scores(folder / SCORES)


add_to(app)
