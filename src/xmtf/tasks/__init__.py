"""Tasks: sources with their splits, templates and metrics; the catalogue of them; their prompted tables."""

from xmtf.tasks.catalogue import Catalogue, load_catalogue
from xmtf.tasks.outline import OutlinedSplit
from xmtf.tasks.prompting.drop_report import DropReport
from xmtf.tasks.prompting.prompted import PROMPTED_SCHEMA, Prompted, fingerprint_slice, prompted_parts
from xmtf.tasks.recipe_sources import lacking_suites, recipe_sources
from xmtf.tasks.suites import NamedSuite, find_suites, known_suites
from xmtf.tasks.task import Slice, Task

__all__ = [
    "PROMPTED_SCHEMA",
    "Catalogue",
    "DropReport",
    "NamedSuite",
    "OutlinedSplit",
    "Prompted",
    "Slice",
    "Task",
    "find_suites",
    "fingerprint_slice",
    "known_suites",
    "lacking_suites",
    "load_catalogue",
    "prompted_parts",
    "recipe_sources",
]
