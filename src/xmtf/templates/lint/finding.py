"""What lint finds, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CHECKS", "Finding", "Severity", "finding"]

Severity = Literal["error", "warning", "info"]

CHECKS: dict[str, tuple[Severity, str]] = {
    # one source
    "does-not-compile": ("error", "the source does not parse, or uses what templates may not use"),
    "no-target": ("error", "no ||| separates inputs and target"),
    "several-targets": ("info", "more than one |||: the rest are additional correct answers"),
    "undefined-name": ("error", "a name is not a column of the data; it would render as nothing"),
    "no-choices": ("error", "answer_choices is used but not given"),
    "choice-out-of-range": ("error", "an index beyond the answer choices renders as nothing"),
    "unused-choices": ("info", "the source does not read the answer choices; they are only ranked over"),
    "odd-choices": ("warning", "an answer choice is empty, or occurs twice"),
    "backslash-n": ("warning", "the two characters \\n instead of a line end, from single-quoted YAML"),
    "html-entity": ("warning", "an HTML entity such as &quot; in the text"),
    "unbraced-name": ("warning", "the name of a column in the text without double braces"),
    "quoted-constant": ("warning", "a constant inside braces, which translation leaves untouched"),
    "no-clear-end": ("warning", "nothing marks the end of the inputs for the model"),
    "answer-visible": ("warning", "the inputs show the field that is the target"),
    "choices-not-in-prompt": ("warning", "the metadata claims that the inputs name the choices; they do not"),
    "wrong-script": ("warning", "the text is not in the script of the template's language"),
    "assumed-language": ("info", "English is assumed as its language; set `language` in the file or the entry"),
    "random": ("info", "draws at random (seeded by row)"),
    "changes-rows": ("info", "changes lists of the row in place; the row is copied for it"),
    "legacy-differs": ("info", "legacy mode cuts the last operand of an expression only, or fails on it"),
    # one file, or a prompt and its translations
    "duplicate-name": ("error", "two templates of a file share a name; only one of them can be chosen"),
    "duplicate-template": ("warning", "two templates of a file render the same"),
    "header": ("warning", "the header names another dataset or subset than the path"),
    "key": ("warning", "the key of an entry differs from its id"),
    "file-name": ("warning", "the file is not called templates.yaml, so promptsource does not find it"),
    "placeholders-differ": ("warning", "a translation reads other fields than its original"),
    "placeholder-order": ("info", "a translation names the fields in a different order than its original"),
    "lines-differ": ("warning", "a translation has a different number of line ends than its original"),
    "space-lost": ("warning", "a placeholder of a translation touches a letter, but has a space in the original"),
    "not-translated": ("warning", "a printed constant or a sentence of a translation is still the original's"),
    "choices-unequal": ("warning", "templates of a dataset translate an answer choice differently"),
    "target-stays": ("warning", "the choices are translated, but the target is a column that is not"),
    "choice-not-named": ("warning", "the original's inputs name an answer choice, the translation's do not"),
    "wrong-language": ("warning", "the text of a translation reads as another language"),
    "length": ("warning", "a translation is much shorter or longer than its original"),
    "end-differs": (
        "warning",
        "the original's inputs end with punctuation, the translation's with none of its language",
    ),
    "glossary": ("warning", "a translation does not hold a term of the glossary that its original holds"),
    "plural": ("info", "a count is printed, but the language has several plural forms"),
    "name-suffix": ("warning", "the suffix of a translation's name differs from the language or state in its metadata"),
    "no-original": ("warning", "a translation names an original that its dataset does not have"),
    "original-changed": ("warning", "the original changed since a translation was made"),
    "choices-differ": ("warning", "a translation has a different number of answer choices than its original"),
    # real rows
    "fails-on-rows": ("error", "rendering fails on rows"),
    "never-applies": ("error", "renders nothing on every row"),
    "empty-target": ("warning", "the target is empty on rows"),
    "empty-input": ("warning", "the inputs are empty on rows"),
    "constant-target": ("warning", "the target is the same on every row"),
    "hidden-label": (
        "error",
        "a negative label picks no answer choice: such rows are dropped (legacy mode trains the last)",
    ),
    "labels-from-one": (
        "error",
        "labels are counted from 1, answer choices from 0: each row would be trained with the next choice",
    ),
    "wrong-label": (
        "error",
        "a label that is missing or not a whole number picks no answer choice: such rows are dropped",
    ),
    "prints-none": ("warning", "a missing value is printed: such rows are dropped (legacy mode prints None)"),
    "not-text": ("error", "a function, a generator, an object or bytes are printed, which are not text"),
    "not-plain": ("warning", "a list or mapping is printed as Python syntax, or labels are whole floats"),
    "target-in-inputs": ("info", "the inputs hold the whole target on almost every row"),
}
"""Check -> its severity and what it means."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that lint found.

    Attributes:
        check: One of :data:`CHECKS`.
        severity: ``error``: examples are lost or wrong; ``warning``: probably not meant; ``info``: worth knowing.
        template: Name of the template, or ``""`` for the file.
        where: Key of the collection, task id or file.
        message: What exactly, with the words of the template.
    """

    check: str
    severity: Severity
    template: str
    where: str
    message: str


def finding(check: str, template: str, message: str, where: str = "") -> Finding:
    """Return a finding with the severity of its check."""
    return Finding(check, CHECKS[check][0], template, where, message)
