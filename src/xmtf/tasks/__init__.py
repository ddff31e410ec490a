"""Tasks: sources with their splits, templates and metrics; the catalogue of them; their prompted tables."""

from xmtf.tasks.catalogue import Catalogue, load_catalogue
from xmtf.tasks.prompted import PROMPTED_SCHEMA, Prompted, fingerprint_slice, prompted_parts, prompted_table
from xmtf.tasks.task import Slice, Task

__all__ = [
    "PROMPTED_SCHEMA",
    "Catalogue",
    "Prompted",
    "Slice",
    "Task",
    "fingerprint_slice",
    "load_catalogue",
    "prompted_parts",
    "prompted_table",
]
