"""What every model of transformers has behind our protocols: a network, a head, dropout, files.

Legend: P chosen positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xmtf.errors import ConfigError
from xmtf.guards.unfinished import temporary_folder
from xmtf.models.files.weights import SHARD_BYTES, file_mode
from xmtf.models.hub.head import HubHead
from xmtf.models.hub.quiet import quiet
from xmtf.models.hub.ragged import while_recomputing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["PREFIX", "HubNetwork", "fitting"]

PREFIX = "network."
"""What our names of parameters and buffers have in front of those of transformers."""

_DROPOUTS = ("attention_dropout", "dropout", "activation_dropout")
"""Probabilities that modules keep as plain numbers (BART's and T5's among them)."""


@contextmanager
def fitting(model: HubNetwork, length: int) -> Iterator[None]:
    """Name what does not fit where a table of positions or of tokens ends before a row does.

    Raises:
        ConfigError: In place of torch's IndexError.
    """
    try:
        yield
    except IndexError as error:
        positions = getattr(model, "max_positions", None)
        raise ConfigError(
            f"model {model.label!r}: {length} new tokens do not fit its {positions} positions and {model.vocab_size} "
            f"tokens ({error}); shorten prompts, answers or rows"
        ) from error


class HubNetwork(nn.Module):
    """A network of transformers.

    Args:
        network: With its language-model head.
        head: That head.
        label: For messages.
    """

    def __init__(self, network: PreTrainedModel, head: HubHead, label: str) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.label = label
        config = network.config.get_text_config(decoder=True)
        self.vocab_size: int = len(head.linear.weight)
        self.hidden_size: int = head.linear.weight.shape[1]
        self.accumulate_in_place = False
        self._dropout = float(getattr(config, "attention_dropout", 0.0) or 0.0)
        self._activation_checkpointing = False
        self.train(network.training)

    @property
    def dropout(self) -> float:
        """Probability in training mode; setting it sets every dropout of the network."""
        return self._dropout

    @dropout.setter
    def dropout(self, value: float) -> None:
        self._dropout = value
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = value
            for name in _DROPOUTS:
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, value)

    @property
    def activation_checkpointing(self) -> bool:
        """Recompute each layer in the backward pass instead of keeping its activations."""
        return self._activation_checkpointing

    @activation_checkpointing.setter
    def activation_checkpointing(self, value: bool) -> None:
        if value and self.cannot_recompute:
            raise ConfigError(self.cannot_recompute)
        self._activation_checkpointing = value
        network = self.network  # transformers 5.23 renamed these two and warns of the old names
        if value:
            enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
            enable({"use_reentrant": False, "context_fn": partial(while_recomputing, network)})
        else:
            disable = getattr(network, "activation_checkpointing_disable", None)
            (disable or network.gradient_checkpointing_disable)()

    @property
    def cannot_recompute(self) -> str:
        """Why activations cannot be recomputed; empty where they can."""
        if self.network.supports_gradient_checkpointing:
            return ""
        return (
            f"model {self.label!r}: {type(self.network).__name__} cannot recompute activations; "
            "set training.activation_checkpointing: false"
        )

    @property
    def has_position_table(self) -> bool:
        """Whether positions are rows of a table (GPT-2, OPT, BART), beyond which there is nothing."""
        positions = getattr(self, "max_positions", None)
        if positions is None:
            return False
        tokens = self.network.get_input_embeddings()
        tables = [module for module in self.network.modules() if isinstance(module, nn.Embedding)]
        return any(table is not tokens and 0 <= len(table.weight) - positions <= 2 for table in tables)

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[..., V]`` of chosen hidden states ``[..., H]``; given ``tokens``, of those only."""
        return self.head.logits(hidden_PH, tokens)

    def head_weight(self) -> Tensor:
        """Return the head ``[V, H]``; logits may be more than the product with it (see :class:`HubHead`)."""
        return self.head.linear.weight

    def save(self, folder: Path) -> None:
        """Write weights and configuration as transformers does; ``config.json`` comes last."""
        names = self._save(folder, None)
        for old in folder.glob("model*.safetensors*"):
            if old.name not in names:
                old.unlink()

    def save_about(self, folder: Path, dtype: torch.dtype) -> None:
        """Write what :meth:`save` writes next to weights in ``dtype``; the model's own are converted in place."""
        self.network.to(dtype)
        self._save(folder, {})

    def _save(self, folder: Path, weights: dict[str, Tensor] | None) -> set[str]:
        """Write weights (default: all) and configuration; return the names of the files."""
        self.network.config.use_cache = True
        with temporary_folder(folder / "weights") as temporary:
            mode = file_mode(temporary)
            with quiet():
                self.network.save_pretrained(temporary, state_dict=weights, max_shard_size=SHARD_BYTES)
            written = sorted(temporary.iterdir(), key=lambda path: path.name == "config.json")
            for path in written:
                path.chmod(mode)
                path.replace(folder / path.name)
        return {path.name for path in written}
