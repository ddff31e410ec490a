"""Translations as XLIFF 1.2, for the tools of translators: code of a template is an inline element, text is text.

    <source>Given <x id="1" equiv-text="{{ premise }}"/>, is it so?</source>

States of a translation and of XLIFF:
"""

from __future__ import annotations

import xml.sax
import xml.sax.handler
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr
from xml.sax.xmlreader import AttributesImpl, Locator

from xmtf.errors import ConfigError
from xmtf.languages.codes import normalize_language
from xmtf.templates.languages.pieces import read_pieces
from xmtf.templates.languages.translated import State
from xmtf.translation.exchange.rows import ReadRow, Row

__all__ = ["STATES_OF", "read_xliff", "write_xliff"]

STATES_OF: dict[State | None, tuple[str, str]] = {
    None: ("new", ""),
    "for_person": ("needs-translation", ""),
    "machine": ("needs-review-translation", "leveraged-mt"),
    "fuzzy": ("needs-review-translation", "fuzzy-match"),
    "unreviewed": ("translated", ""),
    "reviewed": ("signed-off", ""),
    "rejected": ("needs-translation", "rejected-inaccurate"),
}
"""State of a translation -> state and state-qualifier of its target."""

_RAISED: dict[str, State] = {"signed-off": "reviewed", "final": "reviewed"}
_APART = " | "


def write_xliff(rows: Sequence[Row], language: str, source: str, name: str) -> bytes:
    """Return the rows of one language as XLIFF.

    Args:
        rows: Of that language.
        language: The language.
        source: Language of the originals.
        name: Of the template file.
    """
    head = f'source-language="{source}" target-language="{language}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">',
        f'<file original={quoteattr(name)} {head} datatype="plaintext">',
        "<body>",
    ]
    for row in rows:
        state, qualifier = STATES_OF[row.state]
        told = f' state="{state}"' + (f' state-qualifier="{qualifier}"' if qualifier else "")
        approved = ' approved="yes"' if row.state == "reviewed" else ""
        unit = quoteattr(f"{row.original}{_APART}{row.part}")
        ids: dict[str, list[int]] = {}
        first = _inline(row.source, ids, is_source=True)
        second = _inline(row.target, {code: list(numbers) for code, numbers in ids.items()}, is_source=False)
        lines += [
            f'<trans-unit id={unit} resname={unit}{approved} xml:space="preserve">',
            f"<source>{first}</source>",
            f"<target{told}>{second}</target>",
        ]
        lines += [f'<note from="context">{escape(row.context)}</note>'] if row.context else []
        lines += [f'<note from="comment">{escape(row.comment)}</note>'] if row.comment else []
        lines.append("</trans-unit>")
    return "\n".join([*lines, "</body>", "</file>", "</xliff>", ""]).encode()


def _inline(text: str, ids: dict[str, list[int]], *, is_source: bool) -> str:
    """Return a text with ``<x/>`` for its code; code of the target gets the number that it has in the source."""
    found = ""
    highest = 0
    for code, is_code in _codes(text):
        if not is_code:
            found += escape(code)
            continue
        numbers = ids.setdefault(code, [])
        if is_source or not numbers:
            highest = max([highest, *(n for some in ids.values() for n in some)]) + 1
            number = highest
            if is_source:
                numbers.append(number)
        else:
            number = numbers.pop(0)
        found += f'<x id="{number}" equiv-text={quoteattr(code, {chr(10): "&#10;", chr(9): "&#9;"})}/>'
    return found


def _codes(text: str) -> Iterable[tuple[str, bool]]:
    """Yield stretches of a text, and whether each is code; printed constants are text."""
    for piece in read_pieces(text):
        if piece.kind == "text":
            yield text[piece.start : piece.end], False
            continue
        at = piece.start
        for start, end in piece.constants:
            yield text[at:start], True
            yield text[start:end], False
            at = end
        yield text[at : piece.end], True


class _Reader(xml.sax.handler.ContentHandler):
    """Collects the units of a file, each with its line."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[ReadRow] = []
        self._locator: Locator | None = None
        self._language = ""
        self._unit: dict[str, str] = {}
        self._line = 0
        self._into = ""

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        element = name.rpartition(":")[2]
        if element == "file":
            self._language = normalize_language(attrs.get("target-language", ""), str(self.path))
        elif element == "trans-unit":
            self._line = (self._locator.getLineNumber() if self._locator is not None else 0) or 0
            self._unit = {"id": attrs.get("id", ""), "approved": attrs.get("approved", "")}
        elif element in ("source", "target"):
            self._into = element
            self._unit.setdefault(element, "")
            self._unit["state"] = attrs.get("state", "") if element == "target" else ""
        elif element == "note" and attrs.get("from", "") == "comment":
            self._into = "comment"
        elif self._into in ("source", "target") and element in ("x", "ph", "bx", "ex"):
            code = attrs.get("equiv-text")
            if code is None:
                raise ConfigError(f"{self.path}: line {self._line}: a placeholder without its equiv-text")
            self._unit[self._into] += code

    def characters(self, content: str) -> None:
        if self._into:
            self._unit[self._into] = self._unit.get(self._into, "") + content

    def endElement(self, name: str) -> None:  # noqa: N802
        element = name.rpartition(":")[2]
        if element in ("source", "target", "note"):
            self._into = ""
        elif element == "trans-unit":
            self._end_unit()

    def _end_unit(self) -> None:
        unit = self._unit
        original, apart, part = unit["id"].rpartition(_APART)
        if not apart:
            raise ConfigError(
                f"{self.path}: line {self._line}: the id names no template and part; keep the ids of the export"
            )
        state = "reviewed" if unit["approved"] == "yes" else _RAISED.get(unit.get("state", ""))
        self.rows.append(
            ReadRow(
                original,
                self._language,
                part,
                unit.get("source", ""),
                unit.get("target", ""),
                state if unit.get("target") else None,
                unit.get("comment", ""),
                self._line,
            )
        )


def read_xliff(path: Path) -> list[ReadRow]:
    """Return the rows of a file.

    Raises:
        ConfigError: It is no XLIFF of ours; names the line.
    """
    reader = _Reader(path)
    parser = xml.sax.make_parser()  # noqa: S317 - no external entity is read by default
    parser.setContentHandler(reader)
    try:
        with path.open("rb") as stream:
            parser.parse(stream)
    except xml.sax.SAXParseException as error:
        raise ConfigError(f"{path}: line {error.getLineNumber()}: {error.getMessage()}") from None
    return reader.rows
