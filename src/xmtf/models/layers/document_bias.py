"""What is added to attention scores of documents, group by group: never more than one document's ``[N, t, t]``.

Legend: R rows, T positions, N heads, F positions of all documents, B documents of a group, L positions of its longest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xmtf.models.layers.attention import additive_bias, alibi_bias, slopes_on
from xmtf.models.layers.documents import DocumentPairs, Documents, Group, by_group, chosen, joined

__all__ = [
    "DocumentBias",
    "alibi_document_bias",
    "attend_documents",
    "attend_pairs",
    "causal_bias",
    "two_way_bias",
]

_ALIGNED = 16
"""Rows of a bias begin at multiples of this many numbers, as kernels on GPUs want them."""


@dataclass(frozen=True, slots=True)
class DocumentBias:
    """The bias of all groups; all layers share it.

    Attributes:
        groups: Groups of documents.
        added: Of each group, ``[1 or B, N, L, L]``.
    """

    groups: tuple[Group, ...]
    added: tuple[Tensor, ...]


def alibi_document_bias(
    documents: Documents,
    num_heads: int,
    heads: slice,
    is_input_RT: Tensor | None,
    dtype: torch.dtype,
    *,
    absolute: bool,
) -> DocumentBias:
    """Return ALiBi on earlier positions of the same document.

    Documents of a causal model share one bias: a shorter one takes the corner of the longest one's.

    Args:
        documents: Of packed rows.
        num_heads: Of the model.
        heads: Those that are held here.
        is_input_RT: Given, the inputs of a document see each other in both directions (prefix LM).
        dtype: What queries and keys are computed in.
        absolute: Add ``slope * key`` with positions of the row, as BLOOM was trained.
    """
    device, longest = documents.places.device, documents.longest
    size = -(-longest // _ALIGNED) * _ALIGNED
    later = torch.ones(size, size, dtype=torch.bool, device=device).triu(1)
    if is_input_RT is None and not absolute:
        own = alibi_bias(num_heads, size, size, device, absolute=False, heads=heads)
        whole = own.to(dtype).masked_fill_(later, -math.inf)
        return DocumentBias(
            documents.groups, tuple(whole[None, :, : group.length, : group.length] for group in documents.groups)
        )
    columns = _grouped(documents.places % documents.shape[1], documents.groups)
    inputs = columns if is_input_RT is None else _grouped(documents.take(is_input_RT), documents.groups)
    slopes_N11 = slopes_on(num_heads, device)[heads, None, None]
    added = []
    for group, columns_BL, is_input_BL in zip(documents.groups, columns, inputs, strict=True):
        allowed = ~later[None, : group.length, : group.length]
        if is_input_RT is not None:
            real_BL = group.is_real()
            keys_BL = is_input_BL if real_BL is None else is_input_BL & real_BL
            allowed = allowed | (is_input_BL[:, :, None] & keys_BL[:, None, :])
        columns_BL = columns_BL.float()
        distances = columns_BL[:, None, :] if absolute else columns_BL[:, None, :] - columns_BL[:, :, None]
        alibi = (slopes_N11 * distances[:, None]).to(dtype)
        added.append(torch.where(allowed[:, None], alibi, -math.inf))
    return DocumentBias(documents.groups, tuple(added))


def two_way_bias(documents: Documents, biases_NLL: Sequence[Tensor], dtype: torch.dtype) -> DocumentBias:
    """Return the position bias of each group, where every position of a document sees all of it."""
    added = []
    for group, bias_NLL in zip(documents.groups, biases_NLL, strict=True):
        real_BL = group.is_real()
        bias = additive_bias(None if real_BL is None else real_BL[:, None, :], bias_NLL, dtype)
        assert bias is not None
        added.append(bias)
    return DocumentBias(documents.groups, tuple(added))


def causal_bias(documents: Documents, biases_NLL: Sequence[Tensor], dtype: torch.dtype) -> DocumentBias:
    """Return the position bias of each group, where every position of a document sees itself and earlier ones."""
    longest = torch.ones(documents.longest, documents.longest, dtype=torch.bool, device=documents.places.device).tril()
    added = []
    for bias_NLL in biases_NLL:
        length = bias_NLL.shape[-1]
        bias = additive_bias(longest[None, :length, :length], bias_NLL, dtype)
        assert bias is not None
        added.append(bias)
    return DocumentBias(documents.groups, tuple(added))


def attend_documents(attend_group: Callable[..., Tensor], projected: Sequence[Tensor], bias: DocumentBias) -> Tensor:
    """Return attention's output ``[F, X]``.

    Args:
        attend_group: Takes the padded projections of a group, ``[B, L, X]`` each, and its bias; returns ``[B, L, X]``.
        projected: Flat projections, ``[F, X]``: queries, keys and values, together or apart.
        bias: Of the groups.
    """
    padded = zip(*(by_group(values, bias.groups) for values in projected), strict=True)
    parts = [attend_group(*values, added) for values, added in zip(padded, bias.added, strict=True)]
    return joined(parts, bias.groups)


def attend_pairs(
    attend_group: Callable[..., Tensor], queries_FX: Tensor, keys_values: Sequence[Tensor], pairs: DocumentPairs
) -> Tensor:
    """Return cross attention's output ``[F, X]``.

    Args:
        attend_group: Takes padded queries ``[B, T, X]``, keys and values ``[B, S, X]`` and a mask.
        queries_FX: Of the documents that ask.
        keys_values: Of the documents that are asked.
        pairs: Who asks whom.
    """
    parts = []
    for group in pairs.groups:
        count, length, width = group.shape
        query_BTX = chosen(queries_FX, group.queries, count * length).view(count, length, -1)
        asked = [chosen(values, group.keys, count * width).view(count, width, -1) for values in keys_values]
        parts.append(attend_group(query_BTX, *asked, group.allowed).flatten(0, 1))
    answers = parts[0] if len(parts) == 1 else torch.cat(parts)
    return chosen(answers, pairs.order, len(answers))


def _grouped(values_F: Tensor, groups: Sequence[Group]) -> list[Tensor]:
    return [part_BL1[..., 0] for part_BL1 in by_group(values_F[:, None], groups)]
