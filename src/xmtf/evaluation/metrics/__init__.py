"""From answers to numbers with their uncertainty: one function a metric, none of which needs a model."""

from xmtf.evaluation.metrics.accuracy import rank_metrics
from xmtf.evaluation.metrics.registry import GENERATION_METRICS, generation_metrics

__all__ = ["GENERATION_METRICS", "generation_metrics", "rank_metrics"]
