"""Checkpoints of other programs, read and written as our model folder (which is Hugging Face's format).

=============  =====================================================================================
``megatron``   Megatron-DeepSpeed's BLOOM, one file per layer and tensor-parallel rank
``universal``  DeepSpeed's universal checkpoint of a BLOOM: fp32 weights and Adam's moments by name
``t5x``        T5X's mT5: a msgpack file and zarr arrays
``model``      whatever :func:`xmtf.models.load_model` reads: safetensors, ``.bin`` files, GGUF, hub ids
=============  =====================================================================================

Nothing is unpickled but tensors, by torch with ``weights_only=True``.
"""

from xmtf.models.convert.convert import convert_model, detect_format, inspect_foreign
from xmtf.models.convert.integrity import Integrity

__all__ = ["Integrity", "convert_model", "detect_format", "inspect_foreign"]
