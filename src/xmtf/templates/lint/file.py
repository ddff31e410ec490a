"""Checks between the templates of one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xmtf.templates.files.promptsource import TemplateFile
from xmtf.templates.languages.names import language_of_name
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.template import Template

__all__ = ["check_file", "check_names"]


def check_file(file: TemplateFile, path: Path, key: str) -> Iterator[Finding]:
    """Yield what is wrong with the frame of a file."""
    header = "/".join(part for part in (file.dataset, file.subset) if part)
    if header and header != key:
        yield finding("header", "", f"the header says {header}, the path {key}")
    if path.name == "template.yaml":
        yield finding("file-name", "", f"{path.name} should be templates.yaml")
    for template, entry in zip(file.templates, file.keys, strict=True):
        if entry and template.id != entry:
            yield finding("key", template.name, f"its key is {entry}, its id {template.id}")


def check_names(templates: Sequence[Template]) -> Iterator[Finding]:
    """Yield templates of one file that share a name, or everything else."""
    names: set[str] = set()
    sources: dict[tuple[str, str], str] = {}
    for template in templates:
        of_name = language_of_name(template.name)
        if template.translated and of_name not in (None, (template.language, template.translation)):
            said = f"{template.language}, {template.translated.state}"
            yield finding("name-suffix", template.name, f"the metadata have {said}")
        if template.name in names:
            yield finding("duplicate-name", template.name, "another template of the file has this name")
        names.add(template.name)
        if template.translated and not template.translated.is_used:
            continue
        source = (" ".join(template.jinja.split()), " ".join((template.answer_choices or "").split()))
        if source in sources:
            yield finding("duplicate-template", template.name, f"renders as {sources[source]!r} does")
        else:
            sources[source] = template.name
