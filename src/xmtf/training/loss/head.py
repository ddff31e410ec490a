"""The output layer and its cross entropy, computed at predicted positions only and in chunks.

With a vocabulary of 250,000 the full logits of one row of 2,048 tokens are 2 GB and would be needed
three times over. Here the logits of a chunk of positions are made, turned into losses and gradients
in place, and dropped: because the loss is a weighted sum with weights known beforehand, the gradient
of a chunk is known as soon as its logits are, and nothing is kept or computed twice.

Legend: P predicted positions, C positions of a chunk, H hidden size, V vocabulary, T a tile of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from xmtf.parallel.topology.ranks import ALONE, Ranks

__all__ = ["CHUNK_BYTES", "TILE_SHARE", "Head", "HeadLoss", "tiles"]

CHUNK_BYTES = 256 * 2**20
"""Most bytes of fp32 logits that exist at one time."""
_CPU_TILE_ROWS = 8_192
"""Rows of the head that are computed at one time on a CPU: they stay in its cache (a sixth faster)."""
TILE_SHARE = 128
"""On a GPU a tile's products take at most this part of its memory: 640 MB of 80 GB."""


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """Losses of some positions.

    Attributes:
        nll: Negative log-likelihood of the label, natural log, fp32 ``[P]``.
        gradient: Gradient of the weighted sum with respect to the hidden states, ``[P, H]``, or None.
    """

    nll: Tensor
    gradient: Tensor | None


@dataclass(slots=True)
class Head:
    """Computes losses from hidden states, and adds the head's own gradient to its weight.

    Attributes:
        model: Model of :mod:`xmtf.models.interface`.
        z_loss: Weight of ``log(Z) ** 2``, added to each position's loss (T5X).
        chunk_bytes: Most bytes of fp32 logits at one time.
        compute_dtype: What the matrix products are computed in; losses are always fp32.
        tensor: Processes that each hold a slice of the vocabulary. Of every position they exchange its greatest
            logit, the sum of exponentials, the label's logit and the gradient; logits are never gathered.
        first: Token of the first row of the slice held here.
    """

    model: Any
    z_loss: float = 0.0
    chunk_bytes: int = CHUNK_BYTES
    compute_dtype: torch.dtype = torch.float32
    tensor: Ranks = ALONE
    first: int = 0
    _cast: Tensor | None = field(default=None, repr=False)
    _plain: bool | None = field(default=None, repr=False)
    _buffer: Tensor | None = field(default=None, repr=False)
    _room_for_tile: int | None = field(default=None, repr=False)

    def forget_casts(self) -> None:
        """Drop the low-precision copy of the weight; call when the weight has changed."""
        self._cast = None

    def loss(self, hidden_PH: Tensor, labels_P: Tensor, weights_P: Tensor, *, backward: bool = True) -> HeadLoss:
        """Return the losses of chosen positions, and the gradient of their weighted sum.

        Args:
            hidden_PH: Hidden states; not followed by autograd here.
            labels_P: int64 token ids.
            weights_P: fp32 factor of each position in the sum that is minimised.
            backward: Also compute gradients; the weight's is added to its ``.grad``.
        """
        hidden_PH = hidden_PH.detach()
        if backward and not self._is_plain():
            return self._loss_by_autograd(hidden_PH, labels_P, weights_P)
        nll_P = torch.empty(len(labels_P), dtype=torch.float32, device=hidden_PH.device)
        gradient_PH = torch.empty_like(hidden_PH) if backward else None
        with torch.no_grad(), torch.autocast(hidden_PH.device.type, enabled=False):
            for part in self._chunks(len(labels_P)):
                logits_CV = self._logits(hidden_PH[part])
                nll_P[part] = self._losses(logits_CV, labels_P[part], weights_P[part])
                if gradient_PH is not None:
                    gradient_PH[part] = self._backward(logits_CV, hidden_PH[part])
        return HeadLoss(nll_P, gradient_PH)

    def _chunks(self, num_positions: int) -> list[slice]:
        rows = max(1, self.chunk_bytes // (4 * len(self.model.head_weight())))
        return [slice(start, start + rows) for start in range(0, num_positions, rows)]

    def _logits(self, hidden_CH: Tensor) -> Tensor:
        if not self._is_plain():
            logits_CV: Tensor = self.model.logits(hidden_CH.to(self.model.head_weight().dtype))
            return logits_CV.float()
        buffer_CV, weight_VH = self._room(len(hidden_CH), hidden_CH.device), self._cast_weight()
        if self.compute_dtype == torch.float32:
            return torch.mm(hidden_CH.float(), weight_VH.T, out=buffer_CV)
        low_CH = hidden_CH.to(self.compute_dtype)
        for tile in self._tiles(weight_VH, len(hidden_CH)):
            buffer_CV[:, tile] = low_CH @ weight_VH[tile].T
        return buffer_CV

    def _room(self, num_rows: int, device: torch.device) -> Tensor:
        """Return memory for the logits of a chunk, kept between chunks: fresh pages cost as much as filling them."""
        if self._buffer is None or len(self._buffer) < num_rows:
            self._buffer = None
            self._buffer = torch.empty(num_rows, len(self.model.head_weight()), device=device)
        return self._buffer[:num_rows]

    def _backward(self, dlogits_CV: Tensor, hidden_CH: Tensor) -> Tensor:
        weight: nn.Parameter = self.model.head_weight()
        if weight.requires_grad and weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        cast_VH, low_CH = self._cast_weight(), hidden_CH.to(self.compute_dtype)
        whole = self.compute_dtype == torch.float32  # nothing to cast, and one product is faster than its tiles
        gradient_CH = dlogits_CV @ cast_VH if whole else torch.zeros_like(hidden_CH, dtype=torch.float32)
        # Tiles bound the low-precision copy of the logits' gradient, and the product that is added to the weight's.
        for tile in self._tiles(cast_VH, len(hidden_CH)):
            low_CT = dlogits_CV[:, tile].to(self.compute_dtype)
            if not whole:
                gradient_CH += low_CT @ cast_VH[tile]
            if weight.grad is not None:
                _add_product(weight.grad[tile], low_CT.T, low_CH)
        return self.tensor.add(gradient_CH.to(self.compute_dtype))

    def _tiles(self, weight_VH: Tensor, positions: int) -> list[slice]:
        """Return pieces of the vocabulary that are computed one after the other."""
        if self._room_for_tile is None:
            self._room_for_tile = tile_room(weight_VH.device)
        return tiles(weight_VH.shape, positions, self.compute_dtype, self._room_for_tile)

    def _cast_weight(self) -> Tensor:
        weight: nn.Parameter = self.model.head_weight()
        if weight.dtype == self.compute_dtype:
            return weight.detach()
        if self._cast is None:
            self._cast = weight.detach().to(self.compute_dtype)
        return self._cast

    def _is_plain(self) -> bool:
        """Return whether logits are just ``hidden @ weight.T`` of a weight of the model (no scale, cap or bias)."""
        if self._plain is None:
            self._plain = _is_plain_product(self.model)
        return self._plain

    def _losses(self, logits_CV: Tensor, labels_C: Tensor, weights_C: Tensor) -> Tensor:
        """Return negative log-likelihoods; leave in ``logits_CV`` the gradient of the weighted sum.

        The loss of a position is ``nll + z_loss * log(Z) ** 2``, so its gradient is
        ``w * (softmax * (1 + 2 * z_loss * log(Z)) - onehot)``.
        """
        # Taken before the logits are overwritten: from here on their memory holds exponentials, then gradients.
        index_C1, here_C = self._rows(labels_C, logits_CV.shape[1])
        gold_C = self.tensor.add(logits_CV.gather(1, index_C1)[:, 0] * here_C)
        # Shared over the slices of the vocabulary, so that every process subtracts the same number.
        top_C1 = self.tensor.most(logits_CV.amax(dim=1, keepdim=True))
        total_C1 = self.tensor.add(logits_CV.sub_(top_C1).exp_().sum(dim=1, keepdim=True))
        log_z_C = (total_C1.log() + top_C1)[:, 0]
        factor_C = weights_C * (1 + 2 * self.z_loss * log_z_C)
        logits_CV.mul_(factor_C[:, None] / total_C1)
        logits_CV.scatter_add_(1, index_C1, -(weights_C * here_C)[:, None])
        return log_z_C - gold_C

    def _rows(self, labels_C: Tensor, num_rows: int) -> tuple[Tensor, Tensor | float]:
        """Return each label's row of the slice held here ``[C, 1]`` (any, where it is not here), and 1 where it is."""
        if self.tensor.size == 1:
            return labels_C[:, None], 1.0
        rows_C = labels_C - self.first
        here_C = (rows_C >= 0) & (rows_C < num_rows)
        return rows_C.clamp(0, num_rows - 1)[:, None], here_C.float()

    def _loss_by_autograd(self, hidden_PH: Tensor, labels_P: Tensor, weights_P: Tensor) -> HeadLoss:
        parts: list[Tensor] = []
        gradient_PH = torch.empty_like(hidden_PH)
        for part in self._chunks(len(labels_P)):
            leaf_CH = hidden_PH[part].requires_grad_()
            logits_CV = self.model.logits(leaf_CH).float()
            log_z_C = logits_CV.logsumexp(dim=-1)
            nll_C = log_z_C - logits_CV.gather(1, labels_P[part, None])[:, 0]
            (weights_P[part] * (nll_C + self.z_loss * log_z_C.square())).sum().backward()
            assert leaf_CH.grad is not None
            gradient_PH[part] = leaf_CH.grad
            parts.append(nll_C.detach())
        nll_P = torch.cat(parts) if parts else torch.empty(0, device=hidden_PH.device)
        return HeadLoss(nll_P, gradient_PH)


def tile_room(device: torch.device) -> int:
    """Return the most bytes that the products of a tile of the vocabulary may take on a GPU; 0 for a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory // TILE_SHARE)
    return 0 if device.type == "cpu" else CHUNK_BYTES


def tiles(shape: tuple[int, ...], positions: int, dtype: torch.dtype, room: int) -> list[slice]:
    """Return pieces of a head ``[V, H]``, as large as a GPU has room for, or as a CPU's cache.

    A tile of T rows has products of T numbers a position, and T x H that are added to its gradient; those of fp32 are
    added where they belong. An A100 takes BLOOM's 250,880 tokens at once in fp32; in bf16 those of the 560m in one
    tile, of the 7b1 in 4, of the 176B in 12, where a CPU takes 31.

    >>> len(tiles((250_880, 4_096), 268, torch.bfloat16, 80 * 10**9 // 128))
    4
    >>> len(tiles((250_880, 4_096), 268, torch.bfloat16, 0))
    31
    """
    tokens, hidden = shape
    if room == 0:
        each = _CPU_TILE_ROWS
    else:
        each = tokens if dtype == torch.float32 else max(1, room // (dtype.itemsize * max(positions, hidden)))
    return [slice(start, start + each) for start in range(0, tokens, each)]


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product to a sum, in place; a product in lower precision is added in that of the sum."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _is_plain_product(model: Any) -> bool:
    weight = model.head_weight()
    if not (isinstance(weight, nn.Parameter) and weight.is_leaf):
        return False
    generator = torch.Generator(weight.device).manual_seed(0)
    hidden = torch.randn(2, weight.shape[1], generator=generator, device=weight.device).to(weight.dtype)
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        logits: Callable[[Tensor], Tensor] = model.logits
        return torch.allclose(logits(hidden).float(), (hidden @ weight.T).float(), rtol=1e-2, atol=1e-3)
