"""A whole evaluation: suites rendered, one model asked, results written.

Requests of all jobs are asked together, in batches sorted by length, since a suite is many small jobs.
Answers go to a journal batch by batch; results are a function of requests and answers alone. So a
killed run repeats at most one batch and gives the bytes of one that was not killed, and a request that several suites
or templates make is asked once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from xmtf.artefacts.manifest_parts import DatasetVersion, EvaluationCounts, EvaluationDetails
from xmtf.artefacts.ownership import free_name, refuse_loss
from xmtf.errors import ConfigError
from xmtf.evaluation.asking.fit_shots import fit_shots
from xmtf.evaluation.asking.journal import (
    Journal,
    answer_missing,
    count_lines,
    open_journal,
    plan_name,
    request_key,
)
from xmtf.evaluation.asking.questions import note_questions
from xmtf.evaluation.asking.rounding import largest_difference
from xmtf.evaluation.asking.subject import AnySubject, Subject, load_any, say_special_texts
from xmtf.evaluation.engine.chat import chat_of_model, choose_chat
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.ranking.rank import way_of_scoring
from xmtf.evaluation.scoring.samples import choose_samples, sample_of
from xmtf.evaluation.scoring.score import items_table, score_items, versions, where_computed
from xmtf.evaluation.served.subject import ServedSubject, served_identity
from xmtf.evaluation.suites.jobs import Job, jobs
from xmtf.evaluation.suites.setup import Setup, SuiteSlice, setup_of, suite_slices
from xmtf.evaluation.suites.shots import shots_slice
from xmtf.execution import say, track, warn
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    alone_in,
    file_sha256,
    is_finished,
    read_manifest,
    sweep,
    write_manifest,
)
from xmtf.models.device import choose_device
from xmtf.models.files.identity import model_identity
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import stage_fingerprint
from xmtf.records import Request, Score
from xmtf.results.asked import ASKED
from xmtf.results.files import COMPLETIONS, JOURNALS, SAMPLES, SCORES, check_results, claim_results
from xmtf.results.items import About, item_paths, suite_items
from xmtf.results.samples import write_samples
from xmtf.results.scores import write_scores
from xmtf.servers.reference import is_served
from xmtf.tasks.dataset_versions import slice_versions
from xmtf.tasks.prompting.prompted import fingerprint_slice
from xmtf.tokens import load_tokenizer
from xmtf.versions import source_commit

__all__ = ["answer", "depends_on", "evaluate", "evaluate_setup", "fingerprint_questions"]


def evaluate(
    loaded: LoadedRecipe,
    *,
    model: str,
    label: str,
    out: Path,
    processes: Processes = ALONE,
    replace: bool = False,
) -> Manifest:
    """Measure a model on all suites of a recipe.

    Args:
        loaded: The recipe.
        model: Folder, GGUF file or hub id.
        label: What results call the model, such as ``before``.
        out: Folder for ``scores.jsonl``, ``items/``, ``samples.jsonl`` and ``manifest.json``.
        processes: Several may evaluate together: each calls this, the first writes results. They are joined here.
        replace: Whether results of another model or of other suites that are there are replaced.

    Raises:
        UserError: A suite, a dataset or the model is wrong; found before any model runs.
    """
    setup = setup_of(loaded)
    return evaluate_setup(setup, model=model, label=label, out=out, processes=processes, replace=replace)


def evaluate_setup(
    setup: Setup, *, model: str, label: str, out: Path, processes: Processes = ALONE, replace: bool = False
) -> Manifest:
    """Measure a model; as :func:`evaluate`, from a setup that need not come from a recipe."""
    flight = out.with_name(f".{out.name}.flight")  # the folder of results is not touched before it is checked
    with processes.joined(setup.parallel, setup.device, setup.timeouts, flight) as together:
        return _evaluate(setup, model, label, out, together, replace=replace)


def _evaluate(setup: Setup, model: str, label: str, out: Path, processes: Processes, *, replace: bool) -> Manifest:
    watch = Stopwatch()
    check_results(out, never=COMPLETIONS)
    slices = suite_slices(setup)
    recipe, inputs = processes.from_first(lambda: depends_on(setup, slices, model, label))
    fingerprint = stage_fingerprint("evaluation", recipe, inputs)
    finished = processes.from_first(lambda: is_finished(out, fingerprint))
    if finished:
        sweep(out)
        return read_manifest(out)
    _check_before_rendering(setup, model, processes)
    with alone_in(out, what="results") if processes.rank == 0 else nullcontext():
        if processes.rank == 0 and (out / MANIFEST).exists():
            _give_up(out, replace=replace)
        if processes.rank == 0:
            claim_results(out)
        return _ask_and_write(setup, slices, out, model, label, processes, (fingerprint, recipe, inputs), watch)


def _check_before_rendering(setup: Setup, model: str, processes: Processes) -> None:
    """Refuse a device that is not there, and a layout that the model cannot be read under."""
    choose_device(setup.device)
    setup.parallel.copies(processes.size)
    if is_served(model):
        if setup.parallel.processes > 1:
            raise ConfigError(f"evaluation.parallel: {model} is asked behind a server; leave evaluation.parallel out")
    elif processes.reader is not None:
        processes.reader.check(model, offline=setup.offline)


def _ask_and_write(
    setup: Setup,
    slices: Sequence[SuiteSlice],
    out: Path,
    model: str,
    label: str,
    processes: Processes,
    identity: tuple[str, dict[str, Any], dict[str, str]],
    watch: Stopwatch,
) -> Manifest:
    """Ask what has no answer yet and write the results; one process, or one group of them, works in the folder."""
    fingerprint, recipe, inputs = identity
    all_jobs = list(_rendered(setup, slices))
    subject = load_any(setup, model, label, processes)
    all_jobs = fit_shots(all_jobs, subject)
    journal = open_journal(out, subject.identity(setup), processes)
    samples = choose_samples(all_jobs, setup.settings.samples)
    requests = _requests(all_jobs, samples)
    if processes.rank == 0:
        note_questions(out, all_jobs, samples, subject.scoring)
    _ask_missing(subject, journal, requests, processes)
    _say_cut(journal, requests, subject)
    say_special_texts(subject)
    rounding = largest_difference(setup, subject, model, requests) if processes.size == 1 else None
    way = _way_of_asking(subject, journal, ranks=any(request.choices for request in requests))
    processes.wait("the answers of all")
    if processes.rank:
        processes.wait("the results")
        return read_manifest(out)
    if processes.size > 1:
        journal = Journal(out, subject.identity(setup))  # takes over the answers of all
    if processes.size > 1 and processes.mesh is None:
        _ask_missing(subject, journal, requests)  # nothing, unless unlike devices formed unlike batches
    scores = _write_results(all_jobs, journal, subject, out)
    write_samples(out, [sample_of(job, row, journal.get(request_key(row))) for job, row in samples])
    manifest = Manifest(
        "evaluation",
        fingerprint,
        recipe=recipe,
        inputs=inputs,
        outputs=_outputs(out),
        counts=_counts(all_jobs, scores).to_json(),
        details=EvaluationDetails(
            model=model if isinstance(subject, Subject) else subject.reference.text,
            rules={} if subject.rules is None else subject.rules.to_json(),
            rounding=rounding,
            answers={journal.path.name: count_lines(journal.path).whole},
            commit=source_commit() or None,
            versions=_versions(setup, slices),
            layout=processes.layout,
            **way,
        ).to_json(),
        wall_time_s=watch.seconds,
    )
    (out / ASKED).unlink(missing_ok=True)
    write_manifest(out, manifest)
    for path in set(out.glob(JOURNALS)) - {journal.path}:
        path.unlink()  # of other weights or rules, whose results this folder no longer holds
    processes.wait()
    return manifest


def _versions(setup: Setup, slices: Sequence[SuiteSlice]) -> dict[str, tuple[DatasetVersion, ...]]:
    shown = [shots_slice(setup, part) for part in slices]
    asked = [*(part.slice for part in slices), *(part for part in shown if part is not None)]
    return slice_versions(asked, offline=setup.offline)


def _way_of_asking(subject: AnySubject, journal: Journal, *, ranks: bool) -> dict[str, Any]:
    """Return what only a model available, or only one behind a server, has to say in the manifest; say what it took."""
    if isinstance(subject, Subject):
        way = way_of_scoring(subject.model) if ranks else None
        return {"family": subject.model.family, "dtype": subject.dtype, "ranking": way}
    server = subject.tell_spent(journal.usage())
    return {"family": "causal", "ranking": subject.backend.ranking if ranks else None, "server": server}


def _requests(all_jobs: Sequence[Job], samples: Sequence[tuple[Job, Request]]) -> list[Request]:
    """Return everything that is asked, in an order that decides which requests are computed together."""
    return [*(request for job in all_jobs for request in job.requests), *(request for _, request in samples)]


def _ask_missing(
    subject: AnySubject,
    journal: Journal,
    requests: Sequence[Request],
    processes: Processes = ALONE,
    *,
    takes: Callable[[Request], bool] = lambda request: True,
    share: str | None = None,
) -> None:
    """Ask what the journal has no answer to, each different request once (:func:`answer_missing`).

    Args:
        subject: The model.
        journal: Of its answers.
        requests: All of the evaluation.
        processes: Those that share the batches.
        takes: Tells of a request whether it is of the share that is asked.
        share: Names that share.
    """
    if isinstance(subject, ServedSubject) and (spent := journal.usage()):
        subject.backend.resume(spent)
    plan = plan_name([request_key(request) for request in requests], subject.batch_tokens, share)
    mine = {key: request for request in requests if takes(request) and (key := request_key(request))}
    ranked = {key: request for key, request in mine.items() if request.choices}
    generated = {key: request for key, request in mine.items() if not request.choices}
    for what, chosen in (("ranking", ranked), ("generating", generated)):
        label = f"{what} ({subject.label})"
        answer_missing(
            journal,
            chosen,
            plan,
            lambda asked, known: subject.ask(asked, processes, known),
            label=label,
            unit="requests",
        )


def _say_cut(journal: Journal, requests: Sequence[Request], subject: AnySubject) -> None:
    answers = [journal.get(key) for key in dict.fromkeys(map(request_key, requests))]
    cut = sum(answer is not None and answer.truncated for answer in answers)
    if cut and subject.rules is not None:
        side = subject.rules.truncation_side
        warn(f"  {cut:,} of {len(answers):,} prompts do not fit the model and are truncated on the {side}")


def _give_up(out: Path, *, replace: bool) -> None:
    """Describe which results are about to be replaced, and mark them as unfinished; answers of the same model stay."""
    before = read_manifest(out)
    settings = before.recipe.get("evaluation", before.recipe)  # flat in results of earlier versions
    suites = ", ".join(suite["name"] for suite in settings.get("suites", ())) or before.stage
    asked = EvaluationDetails.of(before, out).model or "another program"
    if not replace:
        what = f"the results of {asked} there ({suites})"
        refuse_loss(out, [what], f"another --out, such as {free_name(out)},")
    say(f"{out}: results of {asked} are replaced ({suites})")
    (out / MANIFEST).unlink(missing_ok=True)


def answer(
    loaded: LoadedRecipe, *, model: str, label: str, out: Path, takes: Callable[[Request], bool], share: str
) -> int:
    """Ask some of the requests of an evaluation and write the answers down, for :func:`evaluate` to find.

    Args:
        loaded: The recipe.
        model: As of :func:`evaluate`.
        label: As of :func:`evaluate`.
        out: As of :func:`evaluate`.
        takes: Tells of a request whether to ask it.
        share: Names the journal, so that others may write theirs at the same time.

    Returns:
        Requests that were asked.
    """
    check_results(out, never=COMPLETIONS)
    setup = setup_of(loaded)
    if setup.parallel.processes > 1:
        raise ConfigError(
            "--jobs: jobs know nothing of one another, and each would hold the whole model; with evaluation.parallel "
            "start the command under torchrun, without --jobs"
        )
    slices = suite_slices(setup)
    recipe, inputs = depends_on(setup, slices, model, label)
    if is_finished(out, stage_fingerprint("evaluation", recipe, inputs)):
        return 0
    with alone_in(out, what="results", with_helpers=True):
        claim_results(out)
        with alone_in(out, what="results", name=f".{share}.lock"):
            all_jobs = list(_rendered(setup, slices))
            subject = load_any(setup, model, label)
            all_jobs = fit_shots(all_jobs, subject)
            journal = Journal(out, subject.identity(setup), share)
            before = len(journal)
            samples = choose_samples(all_jobs, setup.settings.samples)
            requests = _requests(all_jobs, samples)
            note_questions(out, all_jobs, samples, subject.scoring)
            _ask_missing(subject, journal, requests, takes=takes, share=share)
            return len(journal) - before


def depends_on(
    setup: Setup, slices: Sequence[SuiteSlice], model: str, label: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings and the hashes of the inputs that decide the results."""
    served = is_served(model)
    identity = served_identity(setup, model) if served else model_identity(model, offline=setup.offline)
    inputs = {"model": identity, **_slice_hashes(setup, slices)}
    if setup.tokenizer is not None:
        inputs["tokenizer"] = _tokenizer_hash(setup.tokenizer, setup.offline)
    settings = {"label": label} | setup.decisive()
    if served:
        return settings, inputs
    chat, _ = choose_chat(setup.chat, chat_of_model(setup.tokenizer or model, offline=setup.offline), label)
    return settings if chat is None else settings | {"chat": chat.fingerprint}, inputs


def fingerprint_questions(setup: Setup, slices: Sequence[SuiteSlice]) -> str:
    """Return a hash of everything that decides the results of some slices, but the model."""
    return stage_fingerprint("evaluation", setup.decisive(), _slice_hashes(setup, slices))


def _tokenizer_hash(reference: str, offline: bool) -> str:

    return load_tokenizer(reference, offline=offline).fingerprint


def _slice_hashes(setup: Setup, slices: Iterable[SuiteSlice]) -> dict[str, str]:

    hashes: dict[str, str] = {}
    for part in slices:
        name = f"{part.suite.name}: {part.slice.task.id} [{part.slice.split}]"
        hashes[name] = fingerprint_slice(
            part.slice, mode=setup.mode, seed=setup.seed, offline=setup.offline, judged=True
        )
        shots = shots_slice(setup, part)
        if shots is not None:
            hashes[f"{name}: shots of {shots.task.id} [{shots.split}]"] = fingerprint_slice(
                shots, mode=setup.mode, seed=setup.seed, offline=setup.offline
            )
    return hashes


def _rendered(setup: Setup, slices: Sequence[SuiteSlice]) -> Iterator[Job]:
    """Render all slices, and report why rows are dropped; a suite that leaves nothing to evaluate is an error."""
    from xmtf.tasks import DropReport

    asked: dict[str, int] = {part.suite.name: 0 for part in slices}
    reasons: dict[str, set[str]] = {name: set() for name in asked}
    report, dropped = DropReport(), Counter[str]()
    with track("rendering evaluation prompts", total=len(slices), unit="tasks") as progress:
        for part in slices:
            for job in jobs(setup, [part], report):
                asked[job.info.suite] += len(job.requests)
                dropped.update(job.info.dropped)
                reasons[job.info.suite].update(f"{reason} ({count})" for reason, count in job.info.dropped.items())
                yield job
            progress.advance()
    for name, count in asked.items():
        if not count:
            why = "; ".join(sorted(reasons[name])) or "its splits have no rows"
            raise ConfigError(f"evaluation suite {name!r}: there is nothing to evaluate: {why}")
    for line in report.lines(dropped):
        warn(f"  {line}")


def _write_results(all_jobs: Sequence[Job], journal: Journal, subject: AnySubject, out: Path) -> list[Score]:
    scores = []
    computed = _computed(subject)
    with suite_items(out) as items, track(f"scoring ({subject.label})", total=len(all_jobs), unit="jobs") as progress:
        for job in all_jobs:
            answers = [journal.answer(request_key(request)) for request in job.requests]
            table = items_table(job, answers, subject.scoring)
            about = About(
                job.info,
                subject.label,
                subject.fingerprint,
                subject.scoring,
                versions(),
                subject.decoding.label,
                subject.hashes,
                computed,
            )
            items.add(table, about)
            if job.requests:
                scores.append(score_items(table, about))
            progress.advance()
    write_scores(out / SCORES, scores)
    errors = sum(score.dropped.get("non-finite score", 0) for score in scores)
    if errors:
        warn(f"  {errors} requests have a non-finite score; they are counted as neither right nor wrong")
    return scores


def _computed(subject: AnySubject) -> dict[str, str]:
    """Return where answers were computed, as each line of scores has it."""
    if not isinstance(subject, Subject):
        return subject.computed
    chat = {} if subject.rules.chat is None else {"chat": subject.rules.chat.fingerprint}
    return where_computed(subject.model, subject.dtype, subject.quantize) | chat


def _outputs(out: Path) -> dict[str, str]:
    files = [out / SCORES, out / SAMPLES, *item_paths(out)]
    return {str(path.relative_to(out)): file_sha256(path) for path in files}


def _counts(all_jobs: Sequence[Job], scores: Sequence[Score]) -> EvaluationCounts:
    dropped: dict[str, int] = {}
    for job in all_jobs:
        for reason, count in job.info.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    asked = sum(len(job.requests) for job in all_jobs)
    return EvaluationCounts(jobs=len(all_jobs), scores=len(scores), items=asked, dropped=dropped)
