"""Checks between templates: of one file, and of a prompt and its translations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from xmtf.errors import TemplateError
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.lint.parts import read_sides
from xmtf.templates.names import base_name, language_of_name
from xmtf.templates.promptsource import TemplateFile
from xmtf.templates.template import Template
from xmtf.templates.translated import source_hash

__all__ = ["check_file", "check_names", "check_translations", "original_name"]


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
            yield finding("name-suffix", template.name, f"the metadata say {said}")
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


def check_translations(files: dict[str, Sequence[Template]]) -> Iterator[Finding]:
    """Yield translations that do not agree with their originals.

    A translation carries its original's name with a language suffix; the original is looked for in the same
    file, then in other files of the same dataset.

    Args:
        files: Key of each file of one dataset -> its templates.
    """
    originals: dict[str, list[tuple[str, Template]]] = defaultdict(list)
    for key, templates in files.items():
        for template in templates:
            if template.translated is None and base_name(template.name) == template.name:
                originals[template.name].append((key, template))
    for key, templates in files.items():
        for template in templates:
            base = original_name(template)
            candidates = originals.get(base, []) if base != template.name else []
            original = next((o for k, o in candidates if k == key), candidates[0][1] if candidates else None)
            if original is not None:
                yield from _compare(original, template, key)
            elif template.translated is not None:
                yield finding("no-original", template.name, f"there is no {base!r} to compare it with", key)


def original_name(template: Template) -> str:
    """Return the name of the template that another one is a translation of; its own where it is none."""
    told = template.translated.original if template.translated is not None else ""
    return told or base_name(template.name)


def _compare(original: Template, translation: Template, key: str) -> Iterator[Finding]:
    try:
        first, second = original.prepared(), translation.prepared()
    except TemplateError:
        return
    told = translation.translated
    if (
        told is not None
        and told.source_hash
        and told.source_hash != source_hash(original.jinja, original.answer_choices)
    ):
        yield finding("original-changed", translation.name, f"{original.name!r} is no longer what was translated", key)
    sides = read_sides(first.main.tree), read_sides(second.main.tree)
    expected, found = (side.fields(side.inputs) for side in sides)
    if sorted(set(expected)) != sorted(set(found)):
        message = f"the inputs read {', '.join(found) or 'nothing'}; the original's {', '.join(expected) or 'nothing'}"
        yield finding("placeholders-differ", translation.name, message, key)
    elif expected != found:
        message = f"{', '.join(found)}; in the original {', '.join(expected)}"
        yield finding("placeholder-order", translation.name, message, key)
    if first.fixed_choices is not None and second.fixed_choices is not None:
        counts = len(first.fixed_choices), len(second.fixed_choices)
        if counts[0] != counts[1]:
            message = f"{counts[1]} answer choices; the original has {counts[0]}"
            yield finding("choices-differ", translation.name, message, key)
