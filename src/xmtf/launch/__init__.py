"""A recipe on a cluster or in multiple local processes: the commands of a run, and who starts them.

Names are imported on first use: job scripts are written where there is no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.launch.local import run_local, run_node
    from xmtf.launch.meeting import Meeting
    from xmtf.launch.slurm import Cluster, check_scripts, submit, write_scripts

__all__ = ["Cluster", "Meeting", "check_scripts", "run_local", "run_node", "submit", "write_scripts"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Cluster": "slurm",
        "Meeting": "meeting",
        "check_scripts": "slurm",
        "run_local": "local",
        "run_node": "local",
        "submit": "slurm",
        "write_scripts": "slurm",
    },
)
