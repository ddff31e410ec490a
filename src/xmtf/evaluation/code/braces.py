"""Where a function ends in a language of braces: outside of comments, texts and characters."""

from __future__ import annotations

import re

__all__ = ["closing_place", "first_closing_place"]

_TEXT = r'"(?:\\.|[^"\\\n])*(?:"|\n|\Z)'
_QUOTED = r"(?<![0-9])'(?:\\.|[^'\\\n])*(?:'|\n|\Z)"
_BACKTICKS = r"`(?:\\.|[^`\\])*(?:`|\Z)"
_COMMENTS = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_PATTERN = r"(?<=[(,=:\[!&|?{;\n])\s*/(?![/*])(?:\\.|\[[^\]\n]*\]|[^/\\\n])+/"
_RUST_TEXT = r'r(?P<hashes>\#*)".*?(?:"(?P=hashes)|\Z)|"(?:\\.|[^"\\])*(?:"|\Z)' + r"|'(?:\\[^'\n]+|[^'\\\n])'"
_NO_CODE = {
    "javascript": rf"{_COMMENTS}|{_TEXT}|{_QUOTED}|{_BACKTICKS}|{_PATTERN}",
    "java": rf'{_COMMENTS}|""".*?(?:"""|\Z)|{_TEXT}|{_QUOTED}',
    "go": rf"{_COMMENTS}|{_TEXT}|{_QUOTED}|`[^`]*(?:`|\Z)",
    "cpp": rf'{_COMMENTS}|R"(?P<raw>[^(\s]*)\(.*?(?:\)(?P=raw)"|\Z)|{_TEXT}|{_QUOTED}',
    "rust": rf"{_COMMENTS}|{_RUST_TEXT}",
}
_TOKENS = {language: re.compile(rf"{no_code}|[{{}}]", re.DOTALL) for language, no_code in _NO_CODE.items()}


def closing_place(language: str, before: str, completion: str) -> int | None:
    """Return where the brace ends that closes all that ``before`` opened, as a place in the completion; else None.

    >>> closing_place("java", "class A { int f() {", ' return "}".length(); } } class B {')
    25
    """
    depth = 0
    for token in _TOKENS[language].finditer(before + completion):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth <= 0 and token[0] == "}" and token.end() > len(before):
            return token.end() - len(before)
    return None


def first_closing_place(completion: str, opened: int) -> int | None:
    """Return where as many braces are closed as there were open, counting every brace; else None.

    >>> first_closing_place(" a { } } b", 1)
    8
    """
    for place, letter in enumerate(completion):
        opened += {"{": 1, "}": -1}.get(letter, 0)
        if opened == 0:
            return place + 1
    return None
