"""The tables of the published work, from its own numbers and a user's next to them."""

from xmtf.report.published.catalogue import gather, published_tables
from xmtf.report.published.task_means import PANELS, task_mean

__all__ = ["PANELS", "gather", "published_tables", "task_mean"]
