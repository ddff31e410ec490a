"""Models: our own BLOOM and mT5, any other causal model of transformers, loading and saving.

Names are imported on first use, so that asking for a model's family loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.lazy import lazy_exports

if TYPE_CHECKING:
    from xmtf.models.build import build_model
    from xmtf.models.family import model_family
    from xmtf.models.files.references import find_model
    from xmtf.models.interface import (
        Cache,
        CausalModel,
        EncoderDecoderModel,
        Family,
        LoadedModel,
        Model,
        SpecialTokens,
    )
    from xmtf.models.load import load_model
    from xmtf.models.packing_check import check_packing
    from xmtf.models.parameters import ModelSize, model_size
    from xmtf.models.quantise import Quantised, quantise_model
    from xmtf.models.save import save_model

_WHERE = {
    "Cache": "interface",
    "CausalModel": "interface",
    "EncoderDecoderModel": "interface",
    "Family": "interface",
    "LoadedModel": "interface",
    "Model": "interface",
    "ModelSize": "parameters",
    "Quantised": "quantise",
    "SpecialTokens": "interface",
    "build_model": "build",
    "check_packing": "packing_check",
    "find_model": "files.references",
    "load_model": "load",
    "model_family": "family",
    "model_size": "parameters",
    "quantise_model": "quantise",
    "save_model": "save",
}

__all__ = [
    "Cache",
    "CausalModel",
    "EncoderDecoderModel",
    "Family",
    "LoadedModel",
    "Model",
    "ModelSize",
    "Quantised",
    "SpecialTokens",
    "build_model",
    "check_packing",
    "find_model",
    "load_model",
    "model_family",
    "model_size",
    "quantise_model",
    "save_model",
]


__getattr__ = lazy_exports(__name__, _WHERE)
