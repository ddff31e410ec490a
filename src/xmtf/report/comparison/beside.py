"""What is next to a value: what accuracy hides, in which language answers are, how much was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xmtf.records import CALIBRATED, IN_LANGUAGE, Metric, Picks, Score
from xmtf.results.estimates import Estimate, estimate
from xmtf.results.resampling import JobCounts

__all__ = ["Beside", "beside"]

_LONGEST = 20
"""Characters of a choice that tables show."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is next to one model's value.

    Attributes:
        macro_f1: Mean over jobs of macro-F1, weighted by items, 0-1, or None where choices differ by row.
        calibrated: Calibrated accuracy, or None.
        recall: Choice (or its place, where templates word it differently) -> share of its items that were found;
            nothing where choices differ by row or jobs by their number.
        picked: Share of the picks of each place, nothing where jobs differ by the number of choices.
        ties: Items whose highest score several choices share.
        answers: Answers that were written and say why they ended.
        answers_cut: Those of them that the budget of tokens ended.
        prompts: Items.
        prompts_cut: Those of them whose prompt was cut.
        in_language: Share of the judged answers that are in the language asked for, or None.
        judged: Answers whose language was judged.
        gap: Why there is no such share, or ``""``.
    """

    macro_f1: float | None = None
    calibrated: Estimate | None = None
    recall: tuple[tuple[str, float | None], ...] = ()
    picked: tuple[float, ...] = ()
    ties: int = 0
    answers: int = 0
    answers_cut: int = 0
    prompts: int = 0
    prompts_cut: int = 0
    in_language: Estimate | None = None
    judged: int = 0
    gap: str = ""


def beside(members: Sequence[tuple[Score, Metric]], counts: Mapping[str, Mapping[int, JobCounts]]) -> Beside:
    """Return what is next to the value of some results of one model.

    Args:
        members: Result records, and the metric of each.
        counts: Measure -> place in ``members`` -> what the items of that job come to, where they hold it.
    """
    scores = [score for score, _ in members]
    calibrated, in_language = (list(counts.get(name, {}).values()) for name in (CALIBRATED, IN_LANGUAGE))
    gaps = [score.answer_language.gap for score in scores if score.answer_language is not None]
    picks = [score.picks for score in scores if score.picks is not None]
    return Beside(
        macro_f1=_macro_f1(scores),
        calibrated=estimate(CALIBRATED, calibrated) if calibrated and len(calibrated) == len(scores) else None,
        recall=_recall(picks) if len(picks) == len(scores) else (),
        picked=_picked(picks) if len(picks) == len(scores) else (),
        ties=sum(one.ties for one in picks),
        answers=sum(sum(score.endings.values()) for score in scores),
        answers_cut=sum(score.endings.get("budget", 0) for score in scores),
        prompts=sum(entry.num_items for _, entry in members),
        prompts_cut=sum(score.truncated for score in scores),
        in_language=estimate(IN_LANGUAGE, in_language) if in_language else None,
        judged=sum(len(job.rows) for job in in_language),
        gap="" if in_language else next(filter(None, gaps), ""),
    )


def _macro_f1(scores: Sequence[Score]) -> float | None:
    found = [metric for score in scores for metric in score.metrics if metric.name == "macro_f1"]
    total = sum(metric.num_items for metric in found)
    if not total or len(found) != len(scores):
        return None
    return float(sum(metric.value * metric.num_items for metric in found) / total)


def _recall(picks: Sequence[Picks]) -> tuple[tuple[str, float | None], ...]:
    """Return the recall of each choice over jobs that have the same number of fixed choices."""
    if not picks or not all(one.by_choice for one in picks) or len({len(one.labels) for one in picks}) != 1:
        return ()
    labels = picks[0].labels if len({one.labels for one in picks}) == 1 else None
    gold = [sum(one.gold[place] for one in picks) for place in range(len(picks[0].labels))]
    right = [sum(one.right[place] for one in picks) for place in range(len(gold))]
    names = [str(place + 1) if labels is None else _shortened(labels[place]) for place in range(len(gold))]
    return tuple((name, one / all_ if all_ else None) for name, one, all_ in zip(names, right, gold, strict=True))


def _picked(picks: Sequence[Picks]) -> tuple[float, ...]:
    if not picks or len({len(one.picked) for one in picks}) != 1:
        return ()
    counts = [sum(one.picked[place] for one in picks) for place in range(len(picks[0].picked))]
    return tuple(count / max(1, sum(counts)) for count in counts)


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
