"""Prompts and choices as token trees: whatever begins alike is computed once.

A prompt and all its choices are one tree. Prompts that begin alike, as several templates of one row do,
grow one tree together. Each token to be scored is a query at the node that predicts it::

    prompts   p q r,  p q s        tree   p - q - r - a       queries  at r: a, b    at a: x
    choices   a x | b,  c                       `- s                   at s: c

so the last token of a choice is never read. The order of everything depends on the requests alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xmtf.evaluation.engine.batches import PromptGroup, common_length

__all__ = ["Query", "Tree", "TreeGroup", "build_tree", "tree_batches", "tree_groups"]

_MIN_SHARED = 4
"""Shorter common beginnings are computed again; joining prompts over them makes trees without gain."""

_MOST_NODES = 512
"""Attention looks at every pair of nodes of a tree, so a tree_group holds no more than this beside what its prompts
share, or than they share, if that is more; a single prompt may be longer."""

_MOST_JOINED = 3072
"""Larger groups of trees hold no more than ``_MOST_NODES`` beside what they share: our BLOOM has a bias for
every head and pair of nodes, 0.6 GB at 16 heads in fp32."""


@dataclass(frozen=True, slots=True)
class Query:
    """The log-probability of ``token`` after ``node`` belongs to choice ``place`` of the tree_group's ``member``."""

    node: int
    token: int
    member: int
    place: int


@dataclass(slots=True)
class Tree:
    """Tokens in preorder; see :mod:`xmtf.models.layers.trees`.

    Attributes:
        tokens: Id of each node.
        depths: Its distance from the root.
        ends: Position behind its last descendant.
        queries: What is asked of the nodes.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(slots=True)
class _Node:
    children: dict[int, _Node] = field(default_factory=dict)
    queries: list[tuple[int, int, int]] = field(default_factory=list)

    def walk(self, ids: Sequence[int]) -> _Node:
        node = self
        for token in ids:
            node = node.children.setdefault(token, _Node())
        return node


def build_tree(tree_group: Sequence[PromptGroup], start: int | None = None) -> Tree:
    """Return the tree of groups.

    Args:
        tree_group: Groups whose prompts begin alike.
        start: Token that stands for the prompt, which an encoder reads: the decoder's first.
    """
    root = _Node()
    for member, group in enumerate(tree_group):
        stem = root.walk(group.prompt if start is None else (start,))
        for choice, place in group.choices.items():
            node = stem
            for token in choice[:-1]:
                node.queries.append((token, member, place))
                node = node.children.setdefault(token, _Node())
            node.queries.append((choice[-1], member, place))
    return _preorder(root)


def _preorder(root: _Node) -> Tree:
    tree = Tree()
    # (token, node, depth) to be laid out, or the place of a node whose descendants are all laid out
    pending: list[tuple[int, _Node, int] | int] = [(token, node, 0) for token, node in reversed(root.children.items())]
    while pending:
        entry = pending.pop()
        if isinstance(entry, int):
            tree.ends[entry] = len(tree)
            continue
        token, node, depth = entry
        place = len(tree)
        tree.tokens.append(token)
        tree.depths.append(depth)
        tree.ends.append(place + 1)
        tree.queries += [Query(place, *query) for query in node.queries]
        pending.append(place)
        pending += [(child, below, depth + 1) for child, below in reversed(node.children.items())]
    return tree


@dataclass(slots=True)
class TreeGroup:
    """Groups that are read together.

    Attributes:
        groups: In order of their prompts.
        num_nodes: Most positions that the model computes for them.
    """

    groups: list[PromptGroup]
    num_nodes: int

    def divided(self) -> list[TreeGroup]:
        """Return its groups as groups of trees of their own."""
        return [TreeGroup([group], group.num_positions) for group in self.groups]


def tree_groups(groups: Sequence[PromptGroup], *, join: bool) -> list[TreeGroup]:
    """Return groups in groups of trees, most positions first.

    Args:
        groups: In any order.
        join: Whether prompts that begin alike are read together; without, each group stands alone.
    """
    found: list[TreeGroup] = []
    for group in sorted(groups, key=lambda group: group.prompt):
        shared = common_length(found[-1].groups[-1].prompt, group.prompt) if join and found else 0
        more = group.num_positions - shared
        most = max(shared + _MOST_NODES, min(2 * shared, _MOST_JOINED))
        if shared >= _MIN_SHARED and found[-1].num_nodes + more <= most:
            found[-1].groups.append(group)
            found[-1].num_nodes += more
        else:
            found.append(TreeGroup([group], group.num_positions))
    return sorted(found, key=lambda tree_group: (-tree_group.num_nodes, tree_group.groups[0].prompt))


def tree_batches(found: Sequence[TreeGroup], batch_tokens: int) -> Iterator[list[TreeGroup]]:
    """Yield batches of groups of trees, in order: as many as have ``batch_tokens`` positions together, at least one."""
    batch: list[TreeGroup] = []
    size = 0
    for tree_group in found:
        if batch and size + tree_group.num_nodes > batch_tokens:
            yield batch
            batch, size = [], 0
        batch.append(tree_group)
        size += tree_group.num_nodes
    if batch:
        yield batch
