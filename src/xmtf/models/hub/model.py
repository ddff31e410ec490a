"""A causal model of transformers as a :class:`xmtf.models.CausalModel`.

Legend: R rows, T new positions, S all positions (those in the cache first), H hidden size, P chosen
positions, V vocabulary.

Packed rows get positions that begin again in every segment and a four-dimensional block mask, token trees their depths
and a tree mask. Whether a model's code obeys them is not for us to believe: :func:`xmtf.models.check_packing` and
:mod:`xmtf.models.hub.self_tests` find out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from xmtf.errors import ConfigError
from xmtf.models.hub.caches import HubCache, TokenCache
from xmtf.models.hub.head import HubHead, body, compare_head
from xmtf.models.hub.network import HubNetwork, fitting
from xmtf.models.hub.positions import index_distances, segment_positions
from xmtf.models.hub.ragged import DocumentPass, attending_to
from xmtf.models.hub.self_tests import find_cache_fault, find_ragged_fault, find_tree_fault
from xmtf.models.hub.stages import Elsewhere, find_stage_fault, stage_of
from xmtf.models.interface import Cache
from xmtf.models.layers.attention import additive_bias, compute_dtype, self_attention_mask
from xmtf.models.layers.documents import Documents
from xmtf.models.layers.host_copies import on_host
from xmtf.models.layers.ragged import RaggedCache, RaggedPass, ragged_reader, read_rows
from xmtf.models.layers.shares import UNSHARED, PositionShares
from xmtf.models.layers.slicing import planned
from xmtf.models.layers.staged import twin_of
from xmtf.models.layers.tied import SlicedEmbedding, lookup
from xmtf.models.layers.trees import Trees, padded_together

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["HubModel"]

_PLAIN_STYLES = {"colwise", "rowwise", "replicated_with_grad_allreduce"}
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


class HubModel(HubNetwork):
    """A causal model of transformers.

    Args:
        network: ``...ForCausalLM`` of transformers.
        head: Its head.
        label: For messages.
    """

    family: Literal["causal"] = "causal"

    def __init__(self, network: PreTrainedModel, head: HubHead, label: str) -> None:
        super().__init__(network, head, label)
        config = network.config.get_text_config(decoder=True)
        self.max_positions: int | None = getattr(config, "max_position_embeddings", None)
        self.window: int | None = _window(config)
        self.by_document = False
        """Read packed rows as documents, without a mask of a whole row; only where :attr:`ragged_fault` is None."""
        self.shares: PositionShares = UNSHARED
        self.first, self.last = True, True
        self.tied: bool = head.linear.weight is network.get_input_embeddings().weight
        """Whether the head is the embedding."""
        self.layer_types: list[str] = sorted(set(getattr(config, "layer_types", None) or ()))

    def hidden_states(
        self,
        tokens_RT: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        is_input_RT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, ``[R, T, H]``; see :class:`xmtf.models.CausalModel`.

        Of a part that is not the first, ``tokens_RT`` are the hidden states of the part before.

        Raises:
            ConfigError: Packed rows or prefix LM with layers that take no mask.
        """
        if isinstance(cache, TokenCache):
            return self._read_again(tokens_RT, segment_ids_RT, is_input_RT, cache)
        if isinstance(cache, RaggedCache):
            real_RT = None if segment_ids_RT is None else segment_ids_RT != 0
            return read_rows(self, tokens_RT, real_RT, cache, both_ways=is_input_RT is not None)
        if self.by_document and cache is None and segment_ids_RT is not None and is_input_RT is None:
            documents = Documents.of(segment_ids_RT)
            if documents is not None:
                return self._read_documents(tokens_RT, segment_ids_RT, documents)
        assert cache is None or isinstance(cache, HubCache)
        shares = self.shares if self.training else UNSHARED
        past, length = 0, (tokens_RT if segment_ids_RT is None else segment_ids_RT).shape[1]
        segment_ids_RT, is_input_RT = (
            ids if ids is None else shares.padded(ids) for ids in (segment_ids_RT, is_input_RT)
        )
        tokens_RT = shares.padded(tokens_RT) if self.first else tokens_RT
        num_queries = tokens_RT.shape[1] * (1 if self.first else shares.num)
        if cache is not None:
            past = cache.past.get_seq_length()
            # a part that is not the first is given hidden states
            cache.extend(tokens_RT if self.first else tokens_RT[..., 0], segment_ids_RT, is_input_RT)
            segment_ids_RT, is_input_RT = cache.segment_ids, cache.is_input
        arguments = self._positions_and_mask(num_queries, past, segment_ids_RT, is_input_RT)
        hidden_RTH = self._run(tokens_RT, arguments, None if cache is None else cache.past)
        return shares.whole(hidden_RTH, length) if self.last else hidden_RTH

    def forward(
        self, tokens_RT: Tensor, segment_ids_RT: Tensor | None = None, is_input_RT: Tensor | None = None
    ) -> Tensor:
        """Return hidden states, as :meth:`hidden_states` does."""
        return self.hidden_states(tokens_RT, segment_ids_RT=segment_ids_RT, is_input_RT=is_input_RT)

    def part(self, first_block: int, end_block: int, *, first: bool, last: bool) -> HubModel:
        """Return some consecutive blocks as its own model that shares parameters, under the same names.

        See :mod:`xmtf.models.hub.stages`; the model has no :attr:`stage_fault`.
        """
        part, held = twin_of(self), range(first_block, end_block)
        part._modules["network"] = stage_of(
            self.network, body(self.network), self._stages, held, first=first, last=last
        )
        part.first, part.last = first, last
        if not last:
            del part.head
        return part

    def read_forest(self, blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return hidden states ``[P, H]`` of chosen nodes; see :class:`xmtf.models.layers.trees.ForestReader`.

        The trees of all blocks are padded to the largest and go through the network together.
        """
        rows = padded_together(blocks)
        masks = self._block_masks(rows.allowed(), rows.distances)
        hidden_RTH = self._run(rows.tokens, {"position_ids": rows.depths, "attention_mask": masks}, None)
        shapes = [block.tokens.shape for block in blocks]
        parts = torch.split(hidden_RTH, [num_rows for num_rows, _ in shapes])
        nodes = [part_RTH[:, :length].flatten(0, 1) for part_RTH, (_, length) in zip(parts, shapes, strict=True)]
        return torch.cat(nodes)[wanted_P]

    def read_pieces(self, tokens_F: Tensor, read: RaggedPass) -> Tensor:
        """Return hidden states ``[F, H]``; see :class:`xmtf.models.layers.ragged.RaggedReader`."""
        with attending_to(self.network, read):
            hidden_1FH = self._run(tokens_F[None], {"position_ids": read.positions()[None]}, None)
        return hidden_1FH[0]

    def _read_documents(self, tokens_RT: Tensor, segment_ids_RT: Tensor, documents: Documents) -> Tensor:
        places_1F = documents.take(segment_positions(segment_ids_RT))[None]
        with attending_to(self.network, DocumentPass(documents)):
            hidden_1FH = self._run(documents.take(tokens_RT)[None], {"position_ids": places_1F}, None)
        return documents.put_back(hidden_1FH[0])

    @cached_property
    def tree_fault(self) -> str | None:
        """Why token trees are not to be read with it, or None; the first question tries it out."""
        return find_tree_fault(self)

    @cached_property
    def cache_fault(self) -> str | None:
        """Why the network's own cache is not to be used, or None; the first question tries it out."""
        return find_cache_fault(self)

    @cached_property
    def ragged_fault(self) -> str | None:
        """Why rows are not to be read without padding, or None; the first question tries it out."""
        return find_ragged_fault(self)

    def _read_again(
        self, tokens_RT: Tensor, segment_ids_RT: Tensor | None, is_input_RT: Tensor | None, cache: TokenCache
    ) -> Tensor:
        """Read whole rows; return the hidden states of the new positions.

        All padding goes to the end of a row, where no causal model sees it::

            remembered  0 0 a b   new  c 0   is read as  a b c 0 0 0
        """
        if is_input_RT is not None:
            raise ConfigError(f"model {self.label!r} does not support a prefix-LM mask; set training.prefix_lm: false")
        tokens_RS, segment_ids_RS = cache.extend(tokens_RT, segment_ids_RT)
        order_RS = (segment_ids_RS == 0).long().argsort(dim=1, stable=True)
        width = int((segment_ids_RS != 0).sum(dim=1).max())
        hidden_RWH = self._run(tokens_RS.gather(1, order_RS)[:, :width], {}, None)
        places_RT = order_RS.argsort(dim=1)[:, -tokens_RT.shape[1] :].clamp(max=width - 1)
        return hidden_RWH.gather(1, places_RT[:, :, None].expand(-1, -1, hidden_RWH.shape[2]))

    def _run(self, tokens_RT: Tensor, arguments: dict[str, Any], past: Any) -> Tensor:
        if not self.first:
            arguments["inputs_embeds"] = tokens_RT
        elif self._embeds_apart():
            arguments["inputs_embeds"] = self._embed(tokens_RT)
        else:
            arguments["input_ids"] = tokens_RT
        with fitting(self, tokens_RT.shape[1]):
            output = body(self.network)(**arguments, past_key_values=past, use_cache=past is not None)
        hidden_RTH: Tensor = output.last_hidden_state
        return hidden_RTH

    def check_head(self) -> None:
        """Compare the head with the network's own logits, where its weights came after it was built.

        Raises:
            ConfigError: The network computes logits in a way that is not known here.
        """
        inputs = None
        if not self.last:
            return
        if not self.first:
            weight = self.head.linear.weight
            drawn = torch.randn(1, 5, self.hidden_size, generator=torch.Generator().manual_seed(0))
            inputs = {"inputs_embeds": drawn.to(weight.device, weight.dtype)}
        elif isinstance(self.network.get_input_embeddings(), SlicedEmbedding):
            tokens = torch.arange(1, min(6, self.vocab_size), device=self.head.linear.weight.device)
            inputs = {"inputs_embeds": self._embed(tokens[None])}
        training = self.training
        self.eval()  # where processes share no positions
        try:
            compare_head(self.network, self.head, self.label, inputs)
        finally:
            self.train(training)

    @property
    def tp_plan(self) -> dict[str, str]:
        """Transformers' own plan of slices, see :mod:`xmtf.models.layers.slicing`; empty where there is none."""
        plan = getattr(self.network.config.get_text_config(decoder=True), "base_model_tp_plan", None) or {}
        inside = body(self.network)
        name = next(name for name, module in self.named_modules() if module is inside)
        return {f"{name}.{pattern}": style for pattern, style in plan.items()}

    @property
    def shares_positions(self) -> bool:
        """Whether tensor-parallel processes can share positions: a network of an embedding, blocks and a norm alone.

        All matrices of a block have to be sliced, in pairs, and read what their module is given.
        """
        plan, stages = self.tp_plan, self._stages
        if len(stages) != 3 or not set(plan.values()) <= _PLAIN_STYLES:
            return False
        sliced = {id(each) for _, module, _ in planned(self, plan) for each in module.parameters()}
        pairs: dict[str, set[str]] = {}
        for name, _, style in planned(self, plan):
            pairs.setdefault(name.rpartition(".")[0], set()).add(style)
        paired = all({"colwise", "rowwise"} <= styles for styles in pairs.values())
        return paired and all(each.ndim == 1 or id(each) in sliced for each in self.blocks.parameters())

    @property
    def blocks(self) -> nn.ModuleList:
        """The network's blocks in order, as its own plan of pipeline stages names them."""
        blocks = getattr(body(self.network), list(self._stages)[1])
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    @property
    def num_blocks(self) -> int:
        """How many blocks are held here."""
        return sum(not isinstance(block, Elsewhere) for block in self.blocks)

    @property
    def stage_fault(self) -> str | None:
        """Why its blocks cannot be pipeline stages, or None; takes no weights."""
        return find_stage_fault(self.network, body(self.network), self._stages, self.hidden_size)

    def tables(self) -> list[Tensor]:
        """Return embedding and head, those that are held here, each once."""
        tables = [self.network.get_input_embeddings()] if self.first else []
        tables += [self.head.linear] if self.last and not (self.first and self.tied) else []
        return [table.weight for table in tables]

    @property
    def _stages(self) -> dict[str, Any]:
        config = self.network.config.get_text_config(decoder=True)
        return getattr(config, "base_model_pp_plan", None) or {}

    def slicing_parts(self) -> list[nn.Module]:
        """Return the modules of the blocks that contain sliced matrices: attentions and feed-forwards."""
        names = {name.rpartition(".")[0] for name, _, _ in planned(self, self.tp_plan)}
        return [self.get_submodule(name) for name in sorted(names)]

    @property
    def plain_table(self) -> bool:
        """Whether the embedding is a lookup and no more."""
        return type(self.network.get_input_embeddings()) is nn.Embedding

    def _embed(self, tokens: Tensor) -> Tensor:
        return lookup(tokens, self.network.get_input_embeddings(), in_place=self.accumulate_in_place)

    def _embeds_apart(self) -> bool:
        sliced = isinstance(self.network.get_input_embeddings(), SlicedEmbedding)
        return sliced or (self.accumulate_in_place and self.plain_table)

    def _positions_and_mask(
        self, num_queries: int, past: int, segment_ids_RS: Tensor | None, is_input_RS: Tensor | None
    ) -> dict[str, Any]:
        if segment_ids_RS is None and is_input_RS is None:
            return {}
        if segment_ids_RS is None:
            assert is_input_RS is not None
            known = torch.ones_like(is_input_RS, dtype=torch.long)
        else:
            known = segment_ids_RS
        positions_RT = segment_positions(known)[:, past:]
        shared = self.training and self.shares.num > 1 and not self.first  # hidden states are not all positions
        if is_input_RS is None and not shared and int(on_host(known).max()) <= 1:
            # padding alone: the mask that every model of transformers understands
            return {"position_ids": positions_RT, "attention_mask": (known != 0).long()}
        num_keys = past + num_queries
        allowed_RTS = self_attention_mask(num_queries, segment_ids_RS, is_input_RS, num_keys, known.device)
        masks = self._block_masks(allowed_RTS, lambda: index_distances(num_queries, num_keys, known.device))
        return {"position_ids": positions_RT, "attention_mask": masks}

    def _block_masks(self, allowed_RTS: Tensor, distances_RTS: Callable[[], Tensor]) -> object:
        """Return what is added to attention scores, as the network takes it: one mask, or one for each kind of layer.

        Args:
            allowed_RTS: Where attention is allowed.
            distances_RTS: Gives how many positions the key is behind the query (less than zero: before it); asked where
                some layers see a window only.
        """
        unknown = set(self.layer_types) - _KNOWN_LAYERS
        if unknown:
            raise ConfigError(
                f"model {self.label!r}: layers of kind {', '.join(sorted(unknown))} cannot keep packed examples "
                "apart; set tokens.packing.policy: pad (and training.prefix_lm: false)"
            )
        dtype = compute_dtype(next(self.parameters()))
        full = additive_bias(allowed_RTS, None, dtype)
        if self.window is None:
            sliding = full
        else:
            sliding = additive_bias(allowed_RTS & (distances_RTS() > -self.window), None, dtype)
        if "sliding_attention" in self.layer_types and "full_attention" in self.layer_types:
            return {"full_attention": full, "sliding_attention": sliding}
        if self.layer_types == ["full_attention"]:
            return full
        return sliding

    def new_cache(self) -> RaggedCache | HubCache | TokenCache:
        """Return an empty cache of rows without padding; where the network does not bear those, its own, or of tokens.

        Of tokens it is where the network's own is found to be wrong too.
        """
        if not (self.first and self.last):
            return self.network_cache()
        if ragged_reader(self) is not None:
            return RaggedCache()
        return self.network_cache() if self.cache_fault is None else TokenCache()

    def network_cache(self) -> HubCache:
        """Return an empty cache of the network's own kind."""
        from transformers import DynamicCache

        return HubCache(DynamicCache())


def _window(config: object) -> int | None:
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        return None
    return None if window is None else int(window)
