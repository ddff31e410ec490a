"""Code evaluation: complete the problems, run every program in the sandbox, estimate pass@k."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.asking.subject import Subject, load_subject
from xmtf.evaluation.code.languages.registry import find_toolchains
from xmtf.evaluation.code.languages.toolchain import Toolchain
from xmtf.evaluation.code.limits import Limits
from xmtf.evaluation.code.passk import pass_metrics
from xmtf.evaluation.code.problems import Problem, to_problem
from xmtf.evaluation.code.sample import Draw, complete, draw_key
from xmtf.evaluation.code.sandbox import Verdict, require_sandbox, run_programs
from xmtf.evaluation.code.stops import StopRule
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.scoring.score import versions
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import say, track
from xmtf.files import content_hash, write_jsonl
from xmtf.records import Score
from xmtf.results.files import COMPLETIONS, SCORES, check_results, claim_results, refuse_replacing
from xmtf.results.items import ITEMS
from xmtf.results.scores import write_scores
from xmtf.sources import read_source

__all__ = ["CodeSettings", "evaluate_code", "judge", "read_problems"]


@dataclass(frozen=True, slots=True)
class CodeSettings:
    """How code is evaluated.

    Attributes:
        samples: Completions of each problem at each temperature.
        temperatures: 0 is greedy, with one sample.
        ks: Values of k.
        top_p: Share of the probability that tokens are drawn from.
        max_new_tokens: Most tokens of a completion.
        batch_rows: Completions generated at a time.
        prepend_eos: End-of-text token before the prompt: for pretrained models, not for finetuned ones.
        limit: Problems of each task, from the first, or None for all.
        limits: What a program may use.
        workers: Programs run side by side.
        unsafe: Run them without a sandbox.
        stops: Where a completion ends.
    """

    samples: int = 1
    temperatures: tuple[float, ...] = (0.0,)
    ks: tuple[int, ...] = (1, 10, 100)
    top_p: float = 0.95
    max_new_tokens: int = 256
    batch_rows: int = 32
    prepend_eos: bool = False
    limit: int | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    workers: int = 1
    unsafe: bool = False
    stops: StopRule = "complete"

    def __post_init__(self) -> None:
        """Refuse values that would measure nothing.

        Raises:
            ConfigError: Names the setting.
        """
        if not self.temperatures or not all(math.isfinite(value) and value >= 0 for value in self.temperatures):
            raise ConfigError("temperatures: give numbers from 0 (greedy), such as 0.2,0.6,0.8")
        if not self.ks or min(self.ks) < 1:
            raise ConfigError("k: give numbers from 1, such as 1,10,100")
        if self.stops not in get_args(StopRule):
            raise UnknownNameError("stop rule", self.stops, get_args(StopRule), "stops")


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
        replace: Whether results of other weights that stand there are replaced.

    Raises:
        ConfigError: No sandbox or no toolchain here, or a task is not about code; before any model runs.
    """
    check_results(out, never=ITEMS)
    require_sandbox(unsafe=settings.unsafe)
    problems = {task: read_problems(setup, task)[: settings.limit] for task in task_ids}
    toolchains = find_toolchains(problem.language for chosen in problems.values() for problem in chosen)
    for task, chosen in problems.items():
        _name_reachable_tests(task, chosen)
    subject = load_subject(setup, model, label)
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
    for task, chosen in problems.items():
        for temperature in settings.temperatures:
            samples = settings.samples if temperature > 0 else 1
            draws = [Draw(problem, sample, temperature) for problem in chosen for sample in range(samples)]
            _draw(subject, journal, draws, settings, setup.seed)
            found = [journal.get(draw_key(draw)) for draw in draws]
            texts = [answer.text or "" for answer in found if answer is not None]
            about = f"running {task} at {temperature:g}"
            verdicts = judge([draw.problem for draw in draws], texts, settings, about, toolchains)
            scores.append(_score(setup, subject, task, temperature, draws, verdicts, settings, toolchains))
            lines += [_line(task, *row) for row in zip(draws, texts, verdicts, strict=True)]
    write_jsonl(out / COMPLETIONS, lines)
    write_scores(out / SCORES, scores)
    return scores


def read_problems(setup: Setup, task_id: str) -> list[Problem]:
    """Read the problems of a task of the catalogue.

    Raises:
        UnknownNameError: No such task.
        ConfigError: Not a task of code with a split for evaluation.
    """
    if task_id not in setup.catalogue.tasks:
        known = [task.id for task in setup.catalogue.tasks.values() if task.kind == "code"]
        raise UnknownNameError("task of code", task_id, known)
    task = setup.catalogue.tasks[task_id]
    splits = task.splits.get("evaluation", ()) if task.kind == "code" else ()
    if not splits:
        raise ConfigError(f"task {task_id!r} is not evaluated by running programs; try humaneval")
    tables = [read_source(task.source(split), offline=setup.offline).table for split in splits]
    return [to_problem(row, task.dataset) for table in tables for row in table.to_pylist()]


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
        toolchains: By language; None looks for them.

    Raises:
        ConfigError: The sandbox broke down, or there is no toolchain.
    """
    found = toolchains or find_toolchains(problem.language for problem in problems)
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
            raise ConfigError(f"the sandbox broke down ({verdict.detail}); the completions are kept: run it again")
    judged = dict(zip(unique, verdicts, strict=True))
    return [judged[program] for program in programs]


def _name_reachable_tests(task: str, problems: Sequence[Problem]) -> None:
    together = [problem.name for problem in problems if not problem.names]
    if together:
        say(
            f"  {task}: {len(together)} of {len(problems)} problems run in one process with their tests, where a "
            f"program could forge its verdict: {', '.join(together[:10])}{', ...' if len(together) > 10 else ''}"
        )


def _draw(subject: Subject, journal: Journal, draws: Sequence[Draw], settings: CodeSettings, seed: int) -> None:
    to_do = [draw for draw in draws if journal.get(draw_key(draw)) is None]
    if not to_do:
        return
    with track(f"completing at {to_do[0].temperature:g}", total=len(to_do), unit="samples") as progress:
        for batch in complete(
            subject.model,
            subject.tokenizer,
            to_do,
            rules=subject.rules,
            seed=seed,
            max_new_tokens=settings.max_new_tokens,
            top_p=settings.top_p,
            batch_rows=settings.batch_rows,
            prepend_eos=settings.prepend_eos,
            stops=settings.stops,
        ):
            journal.add([(draw_key(to_do[index]), Answer(text=text)) for index, text in batch])
            progress.advance(len(batch))


def _score(
    setup: Setup,
    subject: Subject,
    task_id: str,
    temperature: float,
    draws: Sequence[Draw],
    verdicts: Sequence[Verdict],
    settings: CodeSettings,
    toolchains: Mapping[str, Toolchain],
) -> Score:
    task = setup.catalogue.tasks[task_id]
    passed = Counter({draw.problem.name: 0 for draw in draws})
    for draw, verdict in zip(draws, verdicts, strict=True):
        passed[draw.problem.name] += verdict.passed
    samples = max((draw.sample for draw in draws), default=0) + 1
    languages = {draw.problem.language for draw in draws}
    return Score(
        model=subject.label,
        model_fingerprint=subject.fingerprint,
        suite=task_id,
        axis="none",
        kind="code",
        scoring=f"temperature {temperature:g}, top_p {settings.top_p:g}" if temperature else "greedy",
        provenance=task.provenance("+".join(task.splits["evaluation"]), f"prompt at temperature {temperature:g}"),
        template_hash=content_hash([[draw.problem.prompt, draw.problem.tests] for draw in draws]),
        metrics=tuple(
            replace(metric, signature=_signature(settings, draws))
            for metric in pass_metrics(list(passed.values()), samples, settings.ks)
        ),
        versions={**versions(), **{name: chain.version for name, chain in toolchains.items() if name in languages}},
        revision=task.revision,
        hashes={"weights": subject.weights, "tokenizer": subject.tokenizer.fingerprint},
    )


def _signature(settings: CodeSettings, draws: Sequence[Draw]) -> str:
    """Return what makes the number comparable: where completions end, and what programs may use."""
    together = len({draw.problem.name for draw in draws if not draw.problem.names})
    limits = settings.limits
    parts = (f"stops:{settings.stops}", f"cpu:{limits.cpu_s:g}s", f"memory:{limits.memory >> 20}MiB")
    return "|".join((*parts, f"one_process:{together}", *(["unsafe"] if settings.unsafe else [])))


def _line(task: str, draw: Draw, text: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "task": task,
        "problem": draw.problem.name,
        "sample": draw.sample,
        "temperature": draw.temperature,
        "completion": text,
        "passed": verdict.passed,
        "outcome": verdict.outcome,
        "detail": verdict.detail,
        "tests": "apart" if verdict.apart else "in one process",
    }
