"""From verdicts to scores: pass@k of all problems, and of each language where there are several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xmtf.evaluation.asking.subject import AnySubject, Subject
from xmtf.evaluation.code.languages.toolchain import Toolchain
from xmtf.evaluation.code.passk import pass_metrics
from xmtf.evaluation.code.sample import Draw
from xmtf.evaluation.code.sandbox import Verdict
from xmtf.evaluation.code.settings import Ask, CodeSettings
from xmtf.evaluation.scoring.score import versions
from xmtf.files import content_hash
from xmtf.records import Score
from xmtf.tasks import Task

__all__ = ["Judged", "scores_of"]


@dataclass(frozen=True, slots=True)
class Judged:
    """The completions of one task, asked in one way at one temperature.

    Attributes:
        task: The task.
        ask: What was asked for.
        temperature: How they were drawn.
        draws: What was drawn.
        verdicts: How each program ended.
        part: The language where these are only a part, or ``""``.
    """

    task: Task
    ask: Ask
    temperature: float
    draws: Sequence[Draw]
    verdicts: Sequence[Verdict]
    part: str = ""

    def only(self, language: str) -> Judged:
        """Return the part in one language; its subset is named so."""
        kept = [
            (draw, verdict)
            for draw, verdict in zip(self.draws, self.verdicts, strict=True)
            if draw.problem.language == language
        ]
        draws, verdicts = zip(*kept, strict=True)
        task = replace(self.task, subset=language)
        return replace(self, task=task, draws=draws, verdicts=verdicts, part=language)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the problems, in order."""
        return tuple(dict.fromkeys(draw.problem.language for draw in self.draws))


def scores_of(
    judged: Judged, subject: AnySubject, settings: CodeSettings, toolchains: Mapping[str, Toolchain]
) -> list[Score]:
    """Return the score of all problems, and that of each language where there are several."""
    parts = [judged.only(language) for language in judged.languages] if len(judged.languages) > 1 else []
    return [_score(part, subject, settings, toolchains) for part in (judged, *parts)]


def _score(judged: Judged, subject: AnySubject, settings: CodeSettings, toolchains: Mapping[str, Toolchain]) -> Score:
    task, temperature = judged.task, judged.temperature
    passed = Counter({draw.problem: 0 for draw in judged.draws})
    for draw, verdict in zip(judged.draws, judged.verdicts, strict=True):
        passed[draw.problem] += verdict.passed
    samples = max((draw.sample for draw in judged.draws), default=0) + 1
    asked = "prompt" if judged.ask == "complete" else judged.ask
    drawn = f"temperature {temperature:g}, top_p {settings.top_p:g}" if temperature else "greedy"
    return Score(
        model=subject.label,
        model_fingerprint=subject.fingerprint,
        suite=" ".join(filter(None, (task.id, judged.part))),
        axis="none",
        kind="code",
        scoring=drawn if judged.ask == "complete" else f"{judged.ask}, {drawn}",
        provenance=task.provenance("+".join(task.splits["evaluation"]), f"{asked} at temperature {temperature:g}"),
        template_hash=content_hash([[draw.problem.prompt, draw.problem.tests] for draw in judged.draws]),
        metrics=tuple(
            replace(metric, signature=_signature(settings, judged.draws))
            for metric in pass_metrics(list(passed.values()), samples, settings.ks)
        ),
        versions={**versions(), **{name: toolchains[name].version for name in judged.languages}},
        revision=task.commit or task.revision,
        hashes=subject.hashes,
        computed=_computed(subject),
        limited=settings.limit in Counter(problem.language for problem in passed).values(),
    )


def _computed(subject: AnySubject) -> dict[str, str]:
    if not isinstance(subject, Subject):
        return subject.computed
    return {} if subject.rules.chat is None else {"chat": subject.rules.chat.fingerprint}


def _signature(settings: CodeSettings, draws: Sequence[Draw]) -> str:
    """Return what makes the number comparable: where completions end, and what programs may use."""
    together = len({draw.problem for draw in draws if not draw.problem.names})
    limits = settings.limits
    parts = (f"stops:{settings.stops}", f"cpu:{limits.cpu_s:g}s", f"memory:{limits.memory >> 20}MiB")
    return "|".join((*parts, f"one_process:{together}", *(["unsafe"] if settings.unsafe else [])))
