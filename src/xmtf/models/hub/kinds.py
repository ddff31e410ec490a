"""Which models of transformers are language models, and what to take in place of the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.errors import ConfigError
from xmtf.models.interface import Family

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["check_kind"]

_SENSES = ("vision_config", "audio_config", "speech_encoder_config", "encoder_config")
"""Sections of a configuration that describe a part for images or sound."""


def check_kind(folder: Path, family: Family) -> None:
    """Refuse, by name and before any weight is read, what is not a language model.

    Args:
        folder: Holds ``config.json``.
        family: What the configuration says that it is.

    Raises:
        ConfigError: Names the kind of model and what to take in its place.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        AutoConfig,
    )

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    known = MODEL_FOR_CAUSAL_LM_MAPPING if family == "causal" else MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    reads_masks = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    name = f"model {folder.name!r} is a {config.model_type}"
    if type(config) not in known or (family == "encoder-decoder" and _has_senses(config)):
        if _has_senses(config):
            raise ConfigError(
                f"{name}, which reads images or sound: xmtf supports text models only; use its text model, or the "
                f"family's own (Qwen3 for Qwen3-VL, Llama for LLaVA, T5Gemma for T5Gemma 2)"
            )
        raise ConfigError(
            f"{name}, which generates no text: use a causal model (Qwen, Gemma, Llama, ...) or an encoder-decoder "
            "(mT5, umT5, T5Gemma, mBART, ...)"
        )
    if family == "causal" and reads_masks:
        raise ConfigError(
            f"{name}, a masked-language-model encoder (config.json has no `is_decoder`): use a causal model or an "
            f"encoder-decoder"
        )


def _has_senses(config: PretrainedConfig) -> bool:
    parts = [getattr(config, name, None) for name in (*type(config).sub_configs, "encoder", "decoder")]
    return any(getattr(config, name, None) is not None for name in _SENSES) or any(
        _has_senses(part) for part in parts if hasattr(part, "sub_configs")
    )
