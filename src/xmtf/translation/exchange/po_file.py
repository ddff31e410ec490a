"""Translations as a PO file of gettext, by babel: for Poedit, Weblate, Lokalize.

What nobody has reviewed is ``fuzzy``; whoever takes the flag off says that a text is right. ``msgctxt`` names template
and part, so that each text stands alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.core import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po, write_po

from xmtf import __version__
from xmtf.errors import ConfigError
from xmtf.languages.codes import normalize_language
from xmtf.templates.languages.translated import State
from xmtf.translation.exchange.rows import ReadRow, Row

__all__ = ["read_po_file", "write_po_file"]

_APART = " | "
_FORMATS = {"python-format", "python-brace-format"}
_NO_FORMATS = {f"no-{name}" for name in ("c-format", "python-format", "python-brace-format")}


def write_po_file(rows: Sequence[Row], language: str, source: str) -> bytes:
    """Return the rows of one language as a PO file.

    Args:
        rows: Of that language.
        language: The language.
        source: Language of the originals.
    """
    now = datetime.now(UTC)
    catalog = Catalog(
        locale=_locale(language),
        project="templates",
        version=__version__,
        creation_date=now,
        revision_date=now,
        last_translator="nobody yet",
        language_team=language,
        charset="utf-8",
        fuzzy=False,
        header_comment=f"# Translations of templates, {source} to {language}. Remove the fuzzy flag from correct ones.",
        msgid_bugs_address="nobody",
    )
    for row in rows:
        flags = {"fuzzy"} if row.target and row.state != "reviewed" else set()
        message = Message(
            row.source,
            row.target,
            flags=flags,
            auto_comments=[f"state: {row.state or 'none'}", *row.context.splitlines()],
            user_comments=row.comment.splitlines(),
            context=f"{row.original}{_APART}{row.part}",
        )
        message.flags = (message.flags - _FORMATS) | _NO_FORMATS  # Jinja is none of their formats
        catalog[row.source] = message
    stream = io.BytesIO()
    write_po(stream, catalog, width=0)
    text = stream.getvalue().decode()
    return text.replace(f'"Language: {catalog.locale_identifier or ""}\\n"', f'"Language: {language}\\n"', 1).encode()


def _locale(language: str) -> Locale | None:
    """Return what babel knows of a language: its plural forms; None where it does not know it."""
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return None


def read_po_file(path: Path) -> list[ReadRow]:
    """Return the rows of a file.

    Raises:
        ConfigError: It is no PO file of ours; names the line.
    """
    try:
        with path.open("rb") as stream:
            catalog = read_po(stream, abort_invalid=True, charset="utf-8")
        language = normalize_language(_language(path), str(path))
    except PoFileError as error:
        raise ConfigError(f"{path}: line {error.lineno}: {error}") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not a PO file in UTF-8 ({error})") from None
    found = []
    for message in catalog:
        if not message.id:
            continue
        original, apart, part = (message.context or "").rpartition(_APART)
        if not apart or not isinstance(message.id, str) or not isinstance(message.string, str):
            raise ConfigError(
                f"{path}: line {message.lineno}: msgctxt names no template and part; keep the values of the export"
            )
        state: State | None = "reviewed" if message.string and not message.fuzzy else None
        comment = "\n".join(message.user_comments)
        found.append(ReadRow(original, language, part, message.id, message.string, state, comment, message.lineno or 0))
    return found


def _language(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith('"Language: '):
            return line.removeprefix('"Language: ').removesuffix('"').removesuffix("\\n").strip()
    raise ConfigError(f"{path}: its header has no Language")
