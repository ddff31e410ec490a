"""A Jinja source as pieces in order: text that people read, and code that no translation may change.

    Is {{ "sure" if x else "so" }}, {% if y %}or{% endif %} not?
    text=Is  print=...............  text=,  statement  text=or  statement  text= not?

Constants that are printed (``sure``, ``so``) are text inside a print; those that are compared, used as keys, or given
to a filter, a test or a method are code. Which is which, Jinja's own syntax tree says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import jinja2
from jinja2 import nodes

from xmtf.templates.rendering.compile import PIPES, environment

__all__ = ["BREAK", "Piece", "differing_code", "has_words", "read_pieces", "skeleton"]

Kind = Literal["text", "print", "statement", "hidden"]
"""``text``; ``{{ ... }}``; ``{% ... %}`` and comments; text whose printing code decides (macros, block sets, raw)."""

BREAK = re.compile(r"\|\|\||\r\n|\r|\n|\\n")
"""What parts units of text: the separator of sides, line ends, and ``\\n`` as two characters."""

_ENDS = {"variable_begin": "variable_end", "block_begin": "block_end", "comment_begin": "comment_end"}
_HIDING = ("filter", "call", "macro")
_JOINED = re.compile(r"(\|\s*join\()\s*(?:\"[^\"\\]*\"|'[^'\\]*')\s*\)")
_SENTINEL = re.compile(r"constant-(\d+)-")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a source.

    Attributes:
        kind: What it is.
        start: First character.
        end: One past the last character.
        keyword: Of a statement: ``if``, ``endfor``; ``""`` of a comment and of everything else.
        constants: Of a print: start and end of what is between the quotes of each printed constant.
    """

    kind: Kind
    start: int
    end: int
    keyword: str = ""
    constants: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.value)


@lru_cache(maxsize=4096)
def has_words(source: str) -> bool:
    """Return whether a source holds words of its own, besides what it prints of the row.

    >>> has_words("{{ inputs }} ||| {{ targets }}"), has_words("Q: {{ inputs }} ||| {{ targets }}")
    (False, True)

    Raises:
        jinja2.TemplateSyntaxError: It does not parse.
    """
    texts = [source[piece.start : piece.end] for piece in read_pieces(source) if piece.kind in ("text", "hidden")]
    texts += [source[start:end] for piece in read_pieces(source) for start, end in piece.constants]
    return any(character.isalpha() for text in texts for character in text.replace("\\n", ""))


@lru_cache(maxsize=4096)
def read_pieces(source: str) -> tuple[Piece, ...]:
    """Return the pieces of a source; joined, they are the source.

    Raises:
        jinja2.TemplateSyntaxError: It does not parse.
    """
    environment().parse(source)
    found: list[Piece] = []
    hiding = 0
    at = 0
    tokens = list(_tokens(source))
    number = 0
    while number < len(tokens):
        token = tokens[number]
        if token.kind == "data":
            found.append(Piece("hidden" if hiding else "text", at, token.end))
            number += 1
        elif token.kind == "raw_begin":
            last = next(n for n in range(number, len(tokens)) if tokens[n].kind == "raw_end")
            found.append(Piece("hidden", at, tokens[last].end))
            number = last + 1
        else:
            last = next(n for n in range(number, len(tokens)) if tokens[n].kind == _ENDS[token.kind])
            inner = tokens[number : last + 1]
            piece = _code(source, at, inner)
            hiding += _hides(inner)
            found.append(Piece("hidden", piece.start, piece.end) if hiding and piece.kind == "print" else piece)
            number = last + 1
        at = found[-1].end
    if at < len(source):
        found.append(Piece("text", at, len(source)))  # a last line end, which Jinja drops
    return tuple(found)


def _tokens(source: str) -> Iterator[_Token]:
    """Yield Jinja's tokens with their places; it drops white space alongside ``-`` and rewrites line ends."""
    at = 0
    for _, kind, value in environment().lexer.tokeniter(source, None):
        if not value:
            continue
        pattern = re.compile(r"\s*?" + re.escape(value).replace("\\\n", r"(?:\r\n|\r|\n)"))
        match = pattern.match(source, at)
        if match is None:
            raise jinja2.TemplateSyntaxError("a token that is not in the source", 1)
        skipped = len(match[0]) - len(match[0].lstrip()) if not value[0].isspace() else 0
        yield _Token(kind, source[at + skipped : match.end()], at + skipped)
        at = match.end()


def _code(source: str, at: int, tokens: Sequence[_Token]) -> Piece:
    if tokens[0].kind != "variable_begin":
        names = [token.value for token in tokens if token.kind == "name"]
        return Piece("statement", at, tokens[-1].end, names[0] if names and tokens[0].kind == "block_begin" else "")
    strings = [token for token in tokens if token.kind == "string"]
    printed = _printed(source[tokens[0].start : tokens[-1].end], tokens[0].start, strings) if strings else ()
    spans = tuple((strings[n].start + 1, strings[n].end - 1) for n in printed)
    return Piece("print", at, tokens[-1].end, constants=spans)


def _hides(tokens: Sequence[_Token]) -> int:
    """Return 1 where a statement begins a block whose text code receives, -1 where it ends one."""
    names = [token.value for token in tokens if token.kind == "name"]
    if tokens[0].kind != "block_begin" or not names:
        return 0
    is_assignment = any(token.kind == "operator" and token.value == "=" for token in tokens)
    if names[0] in _HIDING or (names[0] == "set" and not is_assignment):
        return 1
    return -1 if names[0] in ("endset", *(f"end{name}" for name in _HIDING)) else 0


def _printed(code: str, start: int, strings: Sequence[_Token]) -> tuple[int, ...]:
    """Return which of the string tokens of ``{{ ... }}`` are printed as they are."""
    marked, last = "", 0
    for number, token in enumerate(strings):
        marked += f"{code[last : token.start - start]}'constant-{number}-'"
        last = token.end - start
    tree = environment().parse(marked + code[last:])
    texts = [
        constant.value
        for output in tree.find_all(nodes.Output)
        for expression in output.nodes
        for constant in _printed_constants(expression)
    ]
    numbers = [_SENTINEL.findall(text) for text in texts]
    return tuple(sorted(int(found[0]) for found in numbers if len(found) == 1))


def _printed_constants(node: nodes.Node) -> Iterator[nodes.Const]:
    if isinstance(node, nodes.Const):
        if isinstance(node.value, str):
            yield node
        return
    parts: Sequence[nodes.Node] = ()
    if isinstance(node, nodes.CondExpr):
        parts = [part for part in (node.expr1, node.expr2) if part is not None]
    elif isinstance(node, nodes.Concat):
        parts = node.nodes
    elif isinstance(node, nodes.Add | nodes.Or | nodes.And):
        parts = (node.left, node.right)
    elif isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.List | nodes.Tuple):
        parts = node.node.items
    elif isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Dict):
        parts = [pair.value for pair in node.node.items]
    for part in parts:
        yield from _printed_constants(part)


def skeleton(source: str, keep_lines: bool = True) -> tuple[tuple[str, ...], ...]:
    """Return what a translation must have in common with its original.

    Statements, separators and line ends are in their order; the prints between two of them are sorted, since another
    language may name them in another order. Text and printed constants are left out.

    >>> skeleton("{{ a }} und {{ b }} ||| x") == skeleton("{{b}} and {{a}} ||| y")
    True

    Args:
        source: Jinja source.
        keep_lines: Whether line ends count.
    """
    found: list[tuple[str, ...]] = []
    prints: list[str] = []

    def put(code: str) -> None:
        found.append(tuple(sorted(prints)))
        prints.clear()
        found.append((code,))

    for piece in read_pieces(source):
        text = source[piece.start : piece.end]
        if piece.kind == "print":
            prints.append(_blank(source, piece))
        elif piece.kind == "text":
            for code in BREAK.findall(text):
                if code == PIPES or keep_lines:
                    put(code)
        else:
            put(text.strip() if piece.kind == "statement" else text)
    found.append(tuple(sorted(prints)))
    return tuple(found)


def _blank(source: str, piece: Piece) -> str:
    """Return the code of a print without its printed constants and without spaces that say nothing."""
    text, at = "", piece.start
    for start, end in piece.constants:
        text, at = text + source[at:start], end
    inner = (text + source[at : piece.end]).strip()
    return re.sub(r"^(\{\{[-+]?)\s*(.*?)\s*([-+]?\}\})$", r"\1\2\3", inner, flags=re.DOTALL)


def differing_code(original: str, translation: str) -> str:
    """Return what a translation by a person does to the code of its original, or ``""``.

    Prints may move within a source, line ends and what joins a list may change; statements stay in their order.

    >>> differing_code("Is {{ a }} {{ b }}?", "{{ b }}? {{ c }}")
    'lost {{a}}; new {{c}}'

    Raises:
        jinja2.TemplateSyntaxError: One of them does not parse.
    """
    expected, found = (_all_code(source) for source in (original, translation))
    lost, new = expected[0] - found[0], found[0] - expected[0]
    if lost or new:
        some = [
            f"{word} {', '.join(sorted(codes.elements()))}" for word, codes in (("lost", lost), ("new", new)) if codes
        ]
        return "; ".join(some)
    return "" if expected[1] == found[1] else "statements are in a different order"


def _all_code(source: str) -> tuple[Counter[str], tuple[str, ...]]:
    """Return all code with its counts, and statements in their order."""
    codes: Counter[str] = Counter()
    ordered = []
    for piece in read_pieces(source):
        text = source[piece.start : piece.end]
        if piece.kind == "text":
            codes[PIPES] += text.count(PIPES)
        elif piece.kind == "print":
            codes[_JOINED.sub(r"\1 ... )", _blank(source, piece))] += 1
        else:
            codes[text.strip()] += 1
            ordered.append(text.strip())
    return +codes, tuple(ordered)
