"""Units of text of a template, and the source put together again around their translations.

A unit is the text of one line between two statements, with a mark for each ``{{ ... }}`` in it:

    Given {{ premise }}, is it {{ "true" }}?
    parts     "Given ", 0, ", is it ", 1, "?"       marks may move, each must come back once
    constant  "true"                                  a unit of its own, inside mark 1

White space at the edges, line ends, ``|||`` and all code stay where they are. A sentence that a statement cuts, and
text that code receives, are units with a problem: for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from xmtf.languages.codes import SENTENCE_MARKS
from xmtf.templates.languages.pieces import BREAK, Piece, read_pieces
from xmtf.templates.rendering.compile import PIPES

__all__ = ["CUT", "HIDDEN", "QUOTED", "Part", "Role", "Segmented", "Unit", "segment"]

Role = Literal["inputs", "target", "choice", "constant"]
Part = str | int
"""Text, or the number of a mark in its unit."""

CUT = "a statement cuts the sentence"
HIDDEN = "the text is given to code (a macro, a filter, a block set, raw)"
QUOTED = "a printed constant with an escape, a line end or |||"

_CLOSING = "\"')]}»”’」』 "
_FIRST_IDEOGRAPH = "\u2e80"
_CLOSED = SENTENCE_MARKS + ":;"


@dataclass(frozen=True, slots=True)
class Unit:
    """What is translated at once.

    Attributes:
        role: Where it stands.
        start: First character of the source that its translation replaces.
        end: One past the last.
        parts: Text and marks, in order.
        marks: Start and end of the code of each mark.
        problem: Why it is for a person, or ``""``.
    """

    role: Role
    start: int
    end: int
    parts: tuple[Part, ...]
    marks: tuple[tuple[int, int], ...] = ()
    problem: str = ""

    @property
    def text(self) -> str:
        """Its text alone, a space for each mark."""
        return "".join(part if isinstance(part, str) else " " for part in self.parts)


@dataclass(frozen=True, slots=True)
class Segmented:
    """A source and its units, in the order of the source; constants are before the unit that surrounds them."""

    source: str
    units: tuple[Unit, ...]

    def rebuild(self, translations: Mapping[int, tuple[Part, ...]]) -> str:
        """Return the source with units replaced; those not named stay.

        Args:
            translations: Number of a unit -> its new parts.
        """
        edits: list[tuple[int, int, str]] = []
        for number, parts in translations.items():
            unit = self.units[number]
            if unit.role == "constant":
                edits.append((unit.start, unit.end, _quoted(parts, self.source[unit.start - 1])))
        constants = list(edits)
        for number, parts in translations.items():
            unit = self.units[number]
            if unit.role == "constant":
                continue
            inner = [edit for edit in constants if unit.start <= edit[0] and edit[1] <= unit.end]
            text = "".join(
                part if isinstance(part, str) else _edited(self.source, *unit.marks[part], inner) for part in parts
            )
            edits = [edit for edit in edits if edit not in inner]
            edits.append((unit.start, unit.end, text))
        return _edited(self.source, 0, len(self.source), edits)


def _quoted(parts: tuple[Part, ...], quote: str) -> str:
    return "".join(map(str, parts)).replace(quote, f"\\{quote}")


def _edited(source: str, start: int, end: int, edits: list[tuple[int, int, str]]) -> str:
    found, at = "", start
    for first, last, text in sorted(edit for edit in edits if start <= edit[0] and edit[1] <= end):
        found, at = found + source[at:first] + text, last
    return found + source[at:end]


def segment(source: str, *, are_choices: bool = False) -> Segmented:
    """Return the units of a Jinja source.

    Args:
        source: The source.
        are_choices: Whether it is that of answer choices.

    Raises:
        jinja2.TemplateSyntaxError: It does not parse.
    """
    walk = _Walk(source, are_choices)
    for piece in read_pieces(source):
        walk.take(piece)
    walk.end_line()
    return Segmented(source, tuple(walk.units))


@dataclass(slots=True)
class _Frame:
    """What stood open before an ``if`` or ``for``, and after each of its branches so far."""

    opened: frozenset[int]
    passed: int
    ends: list[frozenset[int]] = field(default_factory=list)
    most: int = 0
    has_else: bool = False


class _Walk:
    """Collects units piece by piece; ``opened`` are units before a statement whose sentence is not over."""

    def __init__(self, source: str, are_choices: bool) -> None:
        self.source = source
        self.are_choices = are_choices
        self.units: list[Unit] = []
        self.opened: frozenset[int] = frozenset()
        self._line: list[Piece] = []
        self._passed = 0
        self._frames: list[_Frame] = []

    def take(self, piece: Piece) -> None:
        """Add the next piece of the source."""
        if piece.kind == "text":
            self._take_text(piece)
        elif piece.kind == "print":
            self._line.append(piece)
        elif piece.kind == "hidden":
            self.opened = self._end_unit()
            if _is_language(self.source[piece.start : piece.end]):
                self.units.append(Unit(self._role, piece.start, piece.end, ("",), problem=HIDDEN))
        else:
            self.opened = self._end_unit()
            self._branch(piece.keyword)

    def end_line(self) -> None:
        """End the unit and the sentence."""
        self._end_unit()
        self.opened = frozenset()

    @property
    def _role(self) -> Role:
        return "choice" if self.are_choices else "target" if self._passed else "inputs"

    def _take_text(self, piece: Piece) -> None:
        at = piece.start
        for match in BREAK.finditer(self.source, piece.start, piece.end):
            self._line.append(Piece("text", at, match.start()))
            self.end_line()
            self._passed += match[0] == PIPES
            at = match.end()
        self._line.append(Piece("text", at, piece.end))

    def _branch(self, keyword: str) -> None:
        if keyword in ("if", "for"):
            self._frames.append(_Frame(self.opened, self._passed, most=self._passed))
        elif keyword in ("elif", "else", "endif", "endfor") and self._frames:
            frame = self._frames[-1]
            frame.ends.append(self.opened)
            frame.most = max(frame.most, self._passed)
            if keyword in ("elif", "else"):
                frame.has_else |= keyword == "else"
                self.opened, self._passed = frame.opened, frame.passed
                return
            self._frames.pop()
            ends = frame.ends if frame.has_else and keyword == "endif" else [*frame.ends, frame.opened]
            self.opened, self._passed = frozenset[int]().union(*ends), frame.most

    def _end_unit(self) -> frozenset[int]:
        """Add the unit of the pieces since the last boundary; return what stands open after it."""
        pieces, self._line = [piece for piece in self._line if piece.end > piece.start], []
        if not pieces:
            return self.opened
        self._add_constants(pieces)
        pieces = self._trimmed(pieces)
        text = "".join(self.source[piece.start : piece.end] if piece.kind == "text" else " " for piece in pieces)
        closed = pieces and pieces[-1].kind == "text" and text.rstrip(_CLOSING)[-1:] in tuple(_CLOSED)
        if not _is_language(text):
            return frozenset() if closed else self.opened
        number = len(self.units)
        problem = CUT if self.opened else ""
        for other in self.opened:
            self.units[other] = replace(self.units[other], problem=CUT)
        self.units.append(self._unit(pieces, problem))
        return frozenset() if closed else frozenset([number])

    def _unit(self, pieces: list[Piece], problem: str) -> Unit:
        parts: list[Part] = []
        marks: list[tuple[int, int]] = []
        for piece in pieces:
            if piece.kind == "print":
                parts.append(len(marks))
                marks.append((piece.start, piece.end))
            else:
                parts.append(self.source[piece.start : piece.end])
        return Unit(self._role, pieces[0].start, pieces[-1].end, tuple(parts), tuple(marks), problem)

    def _trimmed(self, pieces: list[Piece]) -> list[Piece]:
        """Leave white space at both edges out."""
        while pieces and pieces[0].kind == "text":
            first = pieces[0]
            text = self.source[first.start : first.end]
            first = replace(first, start=first.end - len(text.lstrip()))
            if first.start < first.end:
                pieces[0] = first
                break
            pieces = pieces[1:]
        while pieces and pieces[-1].kind == "text":
            last = pieces[-1]
            text = self.source[last.start : last.end]
            last = replace(last, end=last.start + len(text.rstrip()))
            if last.start < last.end:
                pieces[-1] = last
                break
            pieces = pieces[:-1]
        return pieces

    def _add_constants(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            for start, end in piece.constants:
                text = self.source[start:end]
                if not _is_language(text):
                    continue
                inner = text.strip()
                first = start + len(text) - len(text.lstrip())
                problem = QUOTED if "\\" in text or "|||" in text or "\n" in text else ""
                self.units.append(Unit("constant", first, first + len(inner), (inner,), problem=problem))


def _is_language(text: str) -> bool:
    """Whether there is something to translate: more than numbers, signs, and single letters that name options."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) > 1 or any(character >= _FIRST_IDEOGRAPH for character in letters)
