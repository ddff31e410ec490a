"""Code evaluation: complete the problems, run every program in the sandbox, estimate pass@k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.asking.journal import Journal, answer_missing, plan_name
from xmtf.evaluation.asking.subject import AnySubject, load_any, say_special_texts
from xmtf.evaluation.code.languages.registry import check_modules, find_toolchains
from xmtf.evaluation.code.languages.toolchain import Toolchain
from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.problems import to_problem
from xmtf.evaluation.code.sample import Draw, complete, draw_key
from xmtf.evaluation.code.sandbox import Verdict, require_sandbox, run_program, run_programs
from xmtf.evaluation.code.scores import Judged, scores_of
from xmtf.evaluation.code.served import complete_served, plainly
from xmtf.evaluation.code.settings import Ask, CodeSettings
from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.evaluation.served.subject import ServedSubject
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import track, warn
from xmtf.files import alone_in
from xmtf.records import Score
from xmtf.results.completions import Completion, write_completions
from xmtf.results.files import SCORES, check_results, claim_results, describe_results, refuse_replacing
from xmtf.results.items import ITEMS
from xmtf.results.scores import write_scores
from xmtf.servers.reference import is_served
from xmtf.sources import read_source

__all__ = ["CodeSettings", "evaluate_code", "judge", "read_problems", "ready_toolchains"]


def evaluate_code(
    setup: Setup,
    task_ids: Sequence[str],
    settings: CodeSettings,
    *,
    model: str,
    label: str,
    out: Path,
    replace: bool = False,
) -> list[Score]:
    """Measure pass@k; writes ``scores.jsonl`` and ``completions.jsonl``.

    Args:
        setup: Where tasks are found and how texts become ids; its suites are not looked at.
        task_ids: Tasks of kind ``code``.
        settings: How.
        model: Folder, GGUF file or hub id.
        label: What results call the model.
        out: Results folder; completions already drawn with the same weights are kept.
        replace: Whether results of other weights that are there are replaced.

    Raises:
        ConfigError: No sandbox or no toolchain here, or a task is not about code; before any model runs.
    """
    check_results(out, never=ITEMS)
    require_sandbox(unsafe=settings.unsafe)
    problems = {(task, ask): _limited(setup, task, ask, settings) for task in task_ids for ask in settings.asks}
    toolchains = ready_toolchains([problem for chosen in problems.values() for problem in chosen], settings)
    for (task, _), chosen in problems.items():
        _name_reachable_tests(task, chosen)
    with alone_in(out, what="results"):
        return _evaluate(setup, problems, toolchains, settings, model, label, out, replace=replace)


def _evaluate(
    setup: Setup,
    problems: Mapping[tuple[str, Ask], list[Problem]],
    toolchains: Mapping[str, Toolchain],
    settings: CodeSettings,
    model: str,
    label: str,
    out: Path,
    *,
    replace: bool,
) -> list[Score]:
    """Draw, judge and write the results; one process works in the folder."""
    if is_served(model):
        setup = plainly(setup, settings)
    subject = load_any(setup, model, label)
    drawing = {
        "top_p": settings.top_p,
        "length": settings.max_new_tokens,
        "eos": settings.prepend_eos,
        "stops": settings.stops,
    }
    journal = Journal(out, {**subject.identity(setup), **drawing, "seed": setup.seed})
    refuse_replacing(out, replace=replace or journal.path.exists())
    claim_results(out)
    scores, lines = [], []
    for (task, ask), chosen in problems.items():
        for temperature in settings.temperatures:
            samples = settings.samples if temperature > 0 else 1
            draws = [Draw(problem, sample, temperature) for problem in chosen for sample in range(samples)]
            _draw(subject, journal, draws, settings, setup.seed)
            found = [journal.get(draw_key(draw)) for draw in draws]
            texts = [answer.text or "" for answer in found if answer is not None]
            about = f"running {task} at {temperature:g}"
            verdicts = judge([draw.problem for draw in draws], texts, settings, about, toolchains)
            judged = Judged(setup.catalogue.tasks[task], ask, temperature, draws, verdicts)
            scores += scores_of(judged, subject, settings, toolchains)
            lines += [_completion(task, ask, *row) for row in zip(draws, texts, verdicts, strict=True)]
    say_special_texts(subject)
    write_completions(out, lines)
    write_scores(out / SCORES, scores)
    served = {"server": subject.tell_spent(journal.usage())} if isinstance(subject, ServedSubject) else {}
    describe_results(out, **served)
    return scores


def read_problems(setup: Setup, task_id: str, *, repair: bool = False) -> list[Problem]:
    """Read the problems of a task of the catalogue.

    Args:
        setup: Where tasks are found.
        task_id: The task.
        repair: Show faulty solutions, and ask for right ones.

    Raises:
        UnknownNameError: No such task.
        ConfigError: Not a code task with a split for evaluation.
    """
    if task_id not in setup.catalogue.tasks:
        known = [task.id for task in setup.catalogue.tasks.values() if task.kind == "code"]
        raise UnknownNameError("code task", task_id, known)
    task = setup.catalogue.tasks[task_id]
    splits = task.splits.get("evaluation", ()) if task.kind == "code" else ()
    if not splits:
        raise ConfigError(f"task {task_id!r} is not evaluated by running programs; try humaneval")
    tables = [read_source(task.source(split), offline=setup.offline).table for split in splits]
    problems = [to_problem(row, task.id, repair=repair) for table in tables for row in table.to_pylist()]
    twice = [name for name, times in Counter((each.language, each.name) for each in problems).items() if times > 1]
    if twice:
        raise ConfigError(f"{task.id}: several problems are called {twice[0][1]!r}; give each a unique id")
    return problems


def _limited(setup: Setup, task_id: str, ask: Ask, settings: CodeSettings) -> list[Problem]:
    """Return the problems of a task that are asked: the first of each language."""
    problems = read_problems(setup, task_id, repair=ask == "repair")
    taken: Counter[str] = Counter()
    chosen = []
    for problem in problems:
        taken[problem.language] += 1
        if settings.limit is None or taken[problem.language] <= settings.limit:
            chosen.append(problem)
    return chosen


def ready_toolchains(problems: Sequence[Problem], settings: CodeSettings) -> dict[str, Toolchain]:
    """Return what the languages of problems need, tried in the sandbox.

    Raises:
        ConfigError: A toolchain is not installed or does not work in the sandbox, or a module is missing.
    """
    toolchains = find_toolchains((problem.language for problem in problems), settings.modules)
    texts: dict[str, list[str]] = {language: [] for language in toolchains}
    for problem in problems:
        texts[problem.language].append("\n".join((problem.setup, problem.before, problem.tests)))
    check_modules(texts, settings.modules)
    for language, toolchain in toolchains.items():
        for program, passes in ((toolchain.right, True), (toolchain.wrong, False)):
            verdict = run_program(toolchain, program, unsafe=settings.unsafe)
            if verdict.passed != passes:
                found = f"{verdict.outcome}: {verdict.detail}" if passes else "a wrong program passes"
                raise ConfigError(f"{language} programs cannot be evaluated here with {toolchain.version} ({found})")
    return toolchains


def judge(
    problems: Sequence[Problem],
    completions: Sequence[str],
    settings: CodeSettings,
    label: str,
    toolchains: Mapping[str, Toolchain] | None = None,
) -> list[Verdict]:
    """Run the program of every completion; equal programs once.

    Args:
        problems: The problem of each completion.
        completions: Texts.
        settings: How programs run.
        label: What progress is called.
        toolchains: By language; None searches for them.

    Raises:
        ConfigError: The sandbox broke down, or there is no toolchain.
    """
    found = toolchains or find_toolchains((problem.language for problem in problems), settings.modules)
    programs = [problem.program(text) for problem, text in zip(problems, completions, strict=True)]
    unique = list(dict.fromkeys(programs))
    with track(label, total=len(unique), unit="programs") as progress:
        verdicts = run_programs(
            [(found[program.language], program) for program in unique],
            settings.limits,
            workers=settings.workers,
            unsafe=settings.unsafe,
            ended=progress.advance,
        )
    for verdict in verdicts:
        if verdict.outcome == "broken":
            raise ConfigError(f"the sandbox failed ({verdict.detail}); the completions are kept: run the command again")
    judged = dict(zip(unique, verdicts, strict=True))
    return [judged[program] for program in programs]


def _name_reachable_tests(task: str, problems: Sequence[Problem]) -> None:
    together = [problem.name for problem in problems if not problem.names]
    if together:
        warn(
            f"  {task}: {len(together)} of {len(problems)} problems run in the same process as their tests, where a "
            f"program could forge its verdict: {', '.join(together[:10])}{', ...' if len(together) > 10 else ''}"
        )


def _draw(subject: AnySubject, journal: Journal, draws: Sequence[Draw], settings: CodeSettings, seed: int) -> None:
    """Draw what the journal does not hold; the same draws always form the same batches, also of a killed evaluation."""
    plan = plan_name([draw_key(draw) for draw in draws], settings.batch_rows)

    if isinstance(subject, ServedSubject) and (spent := journal.usage()):
        subject.backend.resume(spent)

    def ask(asked: Sequence[Draw], known: Known) -> Iterator[list[tuple[int, Answer]]]:
        if isinstance(subject, ServedSubject):
            yield from complete_served(subject, asked, settings, seed, known)
            return
        for batch in complete(
            subject.model,
            subject.tokenizer,
            asked,
            known=known,
            rules=subject.rules,
            seed=seed,
            max_new_tokens=settings.max_new_tokens,
            top_p=settings.top_p,
            batch_rows=settings.batch_rows,
            prepend_eos=settings.prepend_eos,
            stops=settings.stops,
        ):
            yield [(index, Answer(text=text)) for index, text in batch]

    label = f"completing at {draws[0].temperature:g}"
    answer_missing(journal, {draw_key(draw): draw for draw in draws}, plan, ask, label=label, unit="samples")


def _completion(task: str, ask: Ask, draw: Draw, text: str, verdict: Verdict) -> Completion:
    return Completion(
        task=task,
        ask=ask,
        language=draw.problem.language,
        problem=draw.problem.name,
        sample=draw.sample,
        temperature=draw.temperature,
        completion=text,
        passed=verdict.passed,
        outcome=verdict.outcome,
        detail=verdict.detail,
        tests="apart" if verdict.apart else "in one process",
    )
