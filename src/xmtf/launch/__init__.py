"""A recipe on a cluster or in many processes here: the commands of a run, and who starts them."""

from xmtf.launch.local import run_local
from xmtf.launch.slurm import Cluster, check_scripts, submit, write_scripts

__all__ = ["Cluster", "check_scripts", "run_local", "submit", "write_scripts"]
