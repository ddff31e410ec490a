"""Templates: Jinja prompts, what they mean, and collections of them."""

from xmtf.templates.files.collection import Collection, load_templates, open_collection
from xmtf.templates.files.promptsource import read_template_file
from xmtf.templates.rendering.columns import Failure, RenderedColumns
from xmtf.templates.rendering.render import Mode, Rendered
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
