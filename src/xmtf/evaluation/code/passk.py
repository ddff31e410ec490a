"""pass@k: the chance that at least one of k samples passes."""

from __future__ import annotations

from collections.abc import Sequence

from xmtf.intervals import bootstrap_mean, wilson
from xmtf.records import Metric, Score

__all__ = ["best_lines", "pass_at_k", "pass_metrics"]


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate from ``samples`` of which ``correct`` pass.

    >>> pass_at_k(10, 1, 1), round(pass_at_k(10, 1, 5), 6), pass_at_k(3, 0, 2), pass_at_k(3, 2, 2)
    (0.1, 0.5, 0.0, 1.0)

    Source: Chen et al. 2021, 1 - C(n - c, k) / C(n, k), as a product of small factors.
    """
    if not 1 <= k <= samples:
        raise ValueError("k must be between 1 and the number of samples")
    if samples - correct < k:
        return 1.0
    missed = 1.0
    for drawn in range(k):
        missed *= (samples - correct - drawn) / (samples - drawn)
    return round(1.0 - missed, 12)


def pass_metrics(correct: Sequence[int], samples: int, ks: Sequence[int]) -> tuple[Metric, ...]:
    """Return pass@k for every ``k`` up to the number of samples, with intervals over problems.

    The bootstrap over problems, but Wilson's interval where all problems pass or none does.

    Args:
        correct: Passing samples of each problem.
        samples: Samples of each problem.
        ks: Values of k; those above ``samples`` are left out.
    """
    metrics = []
    for k in ks:
        if k <= samples and correct:
            values = [pass_at_k(samples, right, k) for right in correct]
            mean = sum(values) / len(values)
            low, high = wilson(mean, len(values)) if mean in (0.0, 1.0) else bootstrap_mean(values)
            metrics.append(Metric(f"pass@{k}", mean, low, high, None, len(values)))
    return tuple(metrics)


def best_lines(scores: Sequence[Score]) -> list[str]:
    """Return one line for each task, kind of question and k: the best value and where it was reached first.

    Low temperatures suit pass@1 and high ones pass@100, so each k has its own temperature.
    """
    best: dict[tuple[str, str, str], tuple[Metric, str]] = {}
    for score in scores:
        asked = score.provenance.template.partition(" ")[0]
        for metric in score.metrics:
            key = (score.suite, asked, metric.name)
            if key not in best or metric.value > best[key][0].value:
                best[key] = (metric, score.scoring)
    lines = []
    for (task, _, name), (metric, scoring) in best.items():
        interval = f"{100 * (metric.low or 0):.2f}-{100 * (metric.high or 0):.2f}"
        lines.append(f"best of {task}: {name} {100 * metric.value:.2f} ({interval}), {scoring}")
    return lines
