"""How an expression of a template is named: by the fields that it follows."""

from __future__ import annotations

from jinja2 import nodes

__all__ = ["describe_expression", "field_path", "field_paths"]


def field_path(node: nodes.Node) -> str | None:
    """Return ``answers.text.0`` for an expression that only follows a field, else None."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        inner = field_path(node.node)
        return f"{inner}.{node.attr}" if inner else None
    if isinstance(node, nodes.Getitem):
        inner = field_path(node.node)
        if inner and isinstance(node.arg, nodes.Const):
            return f"{inner}.{node.arg.value}"
        index = field_path(node.arg)
        return f"{inner}[{index}]" if inner and index else None
    return None


def field_paths(node: nodes.Node) -> list[str]:
    """Return the fields that an expression follows, in order.

    >>> from jinja2 import Environment
    >>> field_paths(Environment().parse("{{ a.b[0] | join(c) }}"))
    ['a.b.0', 'c']
    """
    path = field_path(node)
    if path is not None:
        return [path]
    return [path for child in node.iter_child_nodes() for path in field_paths(child)]


def describe_expression(node: nodes.Node) -> str:
    """Return how messages name an expression: its fields, or its place."""
    fields = list(dict.fromkeys(field_paths(node)))
    if not fields:
        return f"an expression in line {node.lineno}"
    more = f" and {len(fields) - 2} more" if len(fields) > 2 else ""
    return ", ".join(repr(field) for field in fields[:2]) + more
