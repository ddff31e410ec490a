"""How shard work is run: the same plan inline, in a process pool, on Ray or as array tasks."""

from xmtf.execution.plan import Plan, ShardTask, read_plan, run_task, share_of, write_plan
from xmtf.execution.run import check_engine, num_workers, run_plan, run_shown
from xmtf.progress import say, track, warn

__all__ = [
    "Plan",
    "ShardTask",
    "check_engine",
    "num_workers",
    "read_plan",
    "run_plan",
    "run_shown",
    "run_task",
    "say",
    "share_of",
    "track",
    "warn",
    "write_plan",
]
