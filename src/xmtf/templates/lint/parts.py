"""What a source says, side by side: which text and which fields make the inputs, which the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import nodes

from xmtf.templates.rendering.compile import PIPES
from xmtf.templates.rendering.expressions import field_paths

__all__ = ["Sides", "read_sides"]

Piece = str | nodes.Expr


@dataclass(slots=True)
class Sides:
    """The pieces of a source by side.

    Attributes:
        inputs: Text and expressions of the inputs, of all branches.
        targets: The same of the targets.
        ends: What is last in the inputs (space aside, which is stripped), once for every ``|||`` met first.
        separators: Most ``|||`` on one way through the source.
    """

    inputs: list[Piece] = field(default_factory=list)
    targets: list[Piece] = field(default_factory=list)
    ends: list[Piece] = field(default_factory=list)
    separators: int = 0

    @property
    def prompt(self) -> str:
        """All that the inputs say whatever the row is, constants in braces included."""
        constants = (p.value if isinstance(p, nodes.Const) else p for p in self.inputs)
        return " ".join(piece for piece in constants if isinstance(piece, str))

    @property
    def text(self) -> str:
        """All literal text of the source."""
        return " ".join(piece for piece in (*self.inputs, *self.targets) if isinstance(piece, str))

    def fields(self, side: Sequence[Piece]) -> list[str]:
        """Return the fields that one side prints, in order: ``answers.text.0``."""
        return [path for piece in side if not isinstance(piece, str) for path in field_paths(piece)]

    def whole_fields(self, side: Sequence[Piece]) -> list[str]:
        """Return the fields that one side prints without slicing them."""
        return self.fields([piece for piece in side if not isinstance(piece, str) and piece.find(nodes.Slice) is None])


def read_sides(tree: nodes.Template) -> Sides:
    """Return the two sides of a source."""
    sides = Sides()
    sides.separators = _walk(tree.body, sides, 0, [])
    return sides


def _walk(statements: Sequence[nodes.Node], sides: Sides, passed: int, before: list[Piece]) -> int:
    """Sort the pieces of some statements; return how many separators are before what follows them."""
    for statement in statements:
        if isinstance(statement, nodes.Output):
            for node in statement.nodes:
                if isinstance(node, nodes.TemplateData):
                    passed = _read_text(node.data, sides, passed, before)
                else:
                    (sides.targets if passed else sides.inputs).append(node)
                    before.append(node)
        elif isinstance(statement, nodes.If):
            branches = [statement.body, *(other.body for other in statement.elif_), statement.else_]
            passed = max(_walk(branch, sides, passed, list(before)) for branch in branches)
        elif isinstance(statement, nodes.For | nodes.With | nodes.FilterBlock | nodes.Scope):
            passed = _walk(statement.body, sides, passed, before)
    return passed


def _read_text(text: str, sides: Sides, passed: int, before: list[Piece]) -> int:
    for number, part in enumerate(text.split(PIPES)):
        if number:
            if not passed and before:
                sides.ends.append(before[-1])
            passed += 1
        if part:
            (sides.targets if passed else sides.inputs).append(part)
        if part.strip():
            before.append(part)
    return passed
