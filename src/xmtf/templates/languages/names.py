"""What the name of a template says about its language: ``... _frmt`` is French, by machine.

xP3's translated prompts carry ``_<language>mt`` (machine) or ``_<language>ht`` (human) at the end of
their names; ``_htmt`` is Haitian by machine, ``_arht`` Arabic by a person.
"""

from __future__ import annotations

import re

from xmtf.errors import UnknownNameError
from xmtf.languages.codes import normalize_language
from xmtf.records import Translation

__all__ = ["base_name", "language_of_name"]

_SUFFIX = re.compile(r"_(?P<language>zh-Hant|[a-z]{2})(?P<by>mt|ht)$")
_BY: dict[str, Translation] = {"mt": "machine", "ht": "human"}


def language_of_name(name: str) -> tuple[str, Translation] | None:
    """Return language and translation that a name's suffix tells, or None where it has none.

    >>> [language_of_name(name) for name in ("GPT-3 style_frht", "yes_jpmt", "a_htmt", "plain", "top_light")]
    [('fr', 'human'), ('ja', 'machine'), ('ht', 'machine'), None, None]
    """
    found = _SUFFIX.search(name)
    if found is None:
        return None
    try:
        return normalize_language(found["language"]), _BY[found["by"]]
    except UnknownNameError:
        return None


def base_name(name: str) -> str:
    """Return the name without its language suffix: the same for a prompt and its translations."""
    return _SUFFIX.sub("", name) if language_of_name(name) else name
