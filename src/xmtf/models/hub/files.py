"""Which tensors transformers stores of a model, and in which files, known from their shapes alone.

It imports transformers: import it where a model of transformers is at hand.
"""

from __future__ import annotations

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import dot_natural_key

from xmtf.models.files.weights import SHARD_BYTES
from xmtf.models.hub.network import PREFIX, HubNetwork

__all__ = ["plan_hub_files", "stored_tensors"]


def stored_tensors(model: HubNetwork) -> dict[str, Tensor] | None:
    """Return name in ``model`` -> tensor, in the order in which ``save_pretrained`` stores those of a loaded model.

    Kept buffers are among them, too, and tied weights once.

    Args:
        model: Its parameters may be on the meta device.

    Returns:
        None where transformers changes names or tensors as it stores them, or ties weights otherwise than they are
        shared here: only the whole model can then be saved.
    """
    network = model.network
    if get_model_conversion_mapping(network, add_legacy=False):
        return None
    shared: dict[int, list[str]] = {}
    state = network.state_dict(keep_vars=True)
    for name in state.keys() - set(network._keys_to_ignore_on_save or ()):
        shared.setdefault(id(state[name]), []).append(name)
    kept = {name for names in shared.values() for name in names}
    for names in shared.values():
        if len(names) == 1:
            continue
        sources = [name for name in names if name not in network.all_tied_weights_keys]
        if len(sources) != 1:
            return None
        kept -= set(names) - set(sources)
    return {PREFIX + name: state[name] for name in sorted(kept, key=dot_natural_key)}


def plan_hub_files(
    tensors: dict[str, Tensor], dtype: torch.dtype, shard_bytes: int = SHARD_BYTES
) -> dict[str, list[str]]:
    """Return the files that ``save_pretrained`` would write, and which tensors would be in each.

    Args:
        tensors: Of :func:`stored_tensors`.
        dtype: What numbers with a fraction are written in.
        shard_bytes: Larger models are written as several files.
    """
    shapes = {
        name: torch.empty(tensor.shape, dtype=dtype if tensor.is_floating_point() else tensor.dtype, device="meta")
        for name, tensor in tensors.items()
    }
    return dict(split_torch_state_dict_into_shards(shapes, max_shard_size=shard_bytes).filename_to_tensors)
