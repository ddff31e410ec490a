"""Templates: Jinja prompts, what they mean, and collections of them."""

from xmtf.templates.collection import Collection, load_templates, open_collection
from xmtf.templates.columns import Failure, RenderedColumns
from xmtf.templates.promptsource import read_template_file
from xmtf.templates.render import Mode, Rendered
from xmtf.templates.template import Template

__all__ = [
    "Collection",
    "Failure",
    "Mode",
    "Rendered",
    "RenderedColumns",
    "Template",
    "load_templates",
    "open_collection",
    "read_template_file",
]
