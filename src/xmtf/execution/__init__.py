"""How shard work is run: the same plan inline, in a process pool or as array tasks."""

from xmtf.execution.plan import Plan, ShardTask, read_plan, run_task, write_plan
from xmtf.execution.progress import say, track
from xmtf.execution.run import num_workers, run_plan

__all__ = ["Plan", "ShardTask", "num_workers", "read_plan", "run_plan", "run_task", "say", "track", "write_plan"]
