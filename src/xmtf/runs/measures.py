"""Evaluation suites as measures that training takes: the one place where the two rooms meet.

Training knows nothing of evaluation, and evaluation nothing of training. Here the suites that a recipe needs watched
are turned into callables that ask the model available.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any, Literal

from xmtf.results.items import About
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import Suite
from xmtf.records import in_percent
from xmtf.run_folder import tokenizer_of

if TYPE_CHECKING:
    from xmtf.evaluation.engine.answer import Answer
    from xmtf.evaluation.suites.jobs import Job
    from xmtf.evaluation.suites.setup import Setup, SuiteSlice
    from xmtf.training import Measured

__all__ = ["SuiteMeasure", "suite_measures"]


def suite_measures(loaded: LoadedRecipe, tokens: Path) -> tuple[SuiteMeasure, ...]:
    """Return a measure for each suite and kind that ``training.validation_suites`` names; none where it is empty.

    Args:
        loaded: The recipe.
        tokens: Folder of token files; its tokenizer is the model's.

    Raises:
        UnknownNameError: No suite has such a name.
        ConfigError: A suite has nothing of its kind.
    """
    patterns = loaded.recipe.training.validation_suites
    if not patterns:
        return ()
    from xmtf.evaluation.suites.setup import setup_of, suite_slices

    setup = setup_of(loaded)
    suites = _chosen(setup.settings.suites, patterns, str(loaded.path))
    most = loaded.recipe.training.validation_examples
    setup = replace(setup, settings=setup.settings.model_copy(update={"suites": suites}))
    parts: dict[tuple[str, str], list[SuiteSlice]] = {}
    for part in suite_slices(setup):
        parts.setdefault((part.suite.name, part.kind), []).append(replace(part, slice=part.slice.capped(most)))
    several = {name for name, kind in parts if (name, "rank") in parts and (name, "generation") in parts}
    return tuple(
        SuiteMeasure(f"{name} ({kind})" if name in several else name, _kind(kind), setup, tuple(slices), tokens)
        for (name, kind), slices in parts.items()
    )


def _kind(text: str) -> Literal["rank", "generation"]:
    return "rank" if text == "rank" else "generation"


def _chosen(suites: Sequence[Suite], patterns: Sequence[str], where: str) -> tuple[Suite, ...]:
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(suite.name, pattern) for suite in suites):
            raise UnknownNameError(
                "suite", pattern, [suite.name for suite in suites], f"{where}: training.validation_suites"
            )
    return tuple(suite for suite in suites if any(fnmatch.fnmatchcase(suite.name, pattern) for pattern in patterns))


@dataclass(slots=True)
class SuiteMeasure:
    """One kind of one suite; follows :class:`xmtf.training.Measure`.

    The value is the mean over tasks of the median over templates of each task's first metric, as BLOOMZ's
    checkpoints were compared.
    """

    name: str
    kind: Literal["rank", "generation"]
    setup: Setup
    slices: Sequence[SuiteSlice]
    tokens: Path
    _jobs: list[Job] = field(default_factory=list, repr=False)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that it asks, and how."""
        from xmtf.evaluation.run import fingerprint_questions

        return fingerprint_questions(self.setup, self.slices)

    @property
    def num_requests(self) -> int:
        """How many requests each measurement asks; prompts are rendered at the first call."""
        return sum(len(job.requests) for job in self._asked())

    def __call__(self, model: object) -> Measured:
        """Measure a model in evaluation mode; prompts are rendered at the first call."""
        from xmtf.training import Measured

        self._asked()
        answers = iter(self._answers(model))
        by_task: dict[str, list[float]] = {}
        for job in self._jobs:
            value = self._value(job, [next(answers) for _ in job.requests])
            by_task.setdefault(job.info.provenance.task, []).append(value)
        medians = {task: median(values) for task, values in by_task.items()}
        return Measured(mean(medians.values()), medians)

    def _asked(self) -> list[Job]:
        from xmtf.evaluation.suites.jobs import jobs

        self._jobs = self._jobs or [job for job in jobs(self.setup, self.slices) if job.requests]
        if not self._jobs:
            raise ConfigError(f"training.validation_suites: suite {self.name!r} leaves nothing to evaluate")
        return self._jobs

    def _answers(self, model: Any) -> list[Answer]:
        from xmtf.evaluation.asking.fit_shots import fit_shots
        from xmtf.evaluation.asking.subject import subject_of
        from xmtf.evaluation.engine.answer import in_order
        from xmtf.tokens import load_tokenizer

        tokenizer: Any = load_tokenizer(tokenizer_of(self.tokens)).reading(self.setup.tokens.special_tokens)
        positions = self.setup.settings.batch_tokens or 8192
        subject = subject_of(self.setup, model, tokenizer, label="training", batch_tokens=positions)
        self._jobs = fit_shots(self._jobs, subject)
        return in_order(subject.ask([request for job in self._jobs for request in job.requests]))

    def _value(self, job: Job, answers: Sequence[Answer]) -> float:
        from xmtf.evaluation.scoring.score import items_table, score_items, versions

        scoring = self.setup.settings.scoring
        about = About(job.info, "training", "", scoring, versions())
        score = score_items(items_table(job, answers, scoring), about)
        if not score.metrics:
            return 0.0
        metric = score.metrics[0]
        return metric.value / (1.0 if in_percent(metric.name) else 100.0)
