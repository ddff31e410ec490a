"""From answers to numbers with their uncertainty: one function a metric, none of which needs a model.

Names are imported on first use: one metric loads what it needs and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.evaluation.metrics.accuracy import rank_metrics
    from xmtf.evaluation.metrics.registry import GENERATION_METRICS, generation_metrics

__all__ = ["GENERATION_METRICS", "generation_metrics", "rank_metrics"]

__getattr__ = lazy_exports(
    __name__,
    {"GENERATION_METRICS": "registry", "generation_metrics": "registry", "rank_metrics": "accuracy"},
)
