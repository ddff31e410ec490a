"""Tasks: sources with their splits, templates and metrics; the catalogue of them; their prompted tables."""

from xmtf.tasks.catalogue import Catalogue, load_catalogue
from xmtf.tasks.fetch import Fetched, fetch_recipe, recipe_sources
from xmtf.tasks.outline import OutlinedSplit
from xmtf.tasks.prompted import PROMPTED_SCHEMA, Prompted, fingerprint_slice, prompted_parts, prompted_table
from xmtf.tasks.suites import NamedSuite, find_suites, known_suites
from xmtf.tasks.task import Slice, Task

__all__ = [
    "PROMPTED_SCHEMA",
    "Catalogue",
    "Fetched",
    "NamedSuite",
    "OutlinedSplit",
    "Prompted",
    "Slice",
    "Task",
    "fetch_recipe",
    "find_suites",
    "fingerprint_slice",
    "known_suites",
    "load_catalogue",
    "prompted_parts",
    "prompted_table",
    "recipe_sources",
]
