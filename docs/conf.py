"""The documentation site: `make docs` builds it from these pages, and its reference from the code."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "scripts")]

from docs_pages import __version__  # noqa: E402

project = "xmtf"
author = "The xmtf authors"
copyright = author
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs_pages.extension"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "notebooks/*.ipynb"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"xmtf {release}"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": False, "top_of_page_buttons": []}
