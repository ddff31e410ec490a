"""A recipe on a cluster or in many processes here: the commands of a run, and who starts them."""

from xmtf.launch.local import run_local
from xmtf.launch.slurm import Cluster, submit, write_scripts

__all__ = ["Cluster", "run_local", "submit", "write_scripts"]
