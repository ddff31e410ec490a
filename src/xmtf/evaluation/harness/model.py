"""Our engine as a model of lm-evaluation-harness: its three kinds of request, answered by our passes.

:class:`xmtf.evaluation.harness.requests.ModelRequests` does the work and follows the harness's own ``hf`` model in
how texts become ids, so the same requests get the same scores; requests that share a context share its
pass, and the head runs at the positions of continuations only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.model import LM

from xmtf.conversations.template import TemplateRefusesError
from xmtf.errors import ConfigError
from xmtf.evaluation.harness.requests import ModelRequests
from xmtf.models import find_model, load_model, model_size
from xmtf.models.dtype import DTYPES, choose_dtype
from xmtf.models.quantise import check_quantise, quantise_model
from xmtf.recipe.schema import QuantizeKind
from xmtf.tokens import load_tokenizer
from xmtf.tokens.tokenizer.chat import chat_format, template_of

__all__ = ["HarnessModel"]

_DTYPES = {"auto": "auto", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_DTYPES |= {name: name for name in DTYPES}


class HarnessModel(LM):  # type: ignore[misc]  # the harness has no types
    """A model that lm-evaluation-harness can ask.

    Args:
        pretrained: Folder, GGUF file, ``package:NAME`` or hub id.
        tokenizer: Where its tokenizer is, if not with the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``. Where there is no GPU, ``cuda`` is the CPU, as for the
            harness's own models: it is what the harness says where nobody did.
        dtype: Of the weights: ``auto`` (what they are stored in), ``float32``, ``bfloat16`` or ``float16``.
        quantize: What matrices are kept in: ``nf4`` or ``int8``.
        max_length: Most tokens of a row; default the model's own length, else 2,048.
        max_gen_toks: Most tokens of an answer where a task does not say.
        batch_tokens: Positions computed together.
        batch_size: Of the harness; batches are made by positions here, so it is not used.
        max_batch_size: As ``batch_size``.
        offline: Never touch the network.

    Raises:
        SourceError: The model is not found.
        ConfigError: No model is named, model and tokenizer do not fit, or an unknown dtype.
    """

    def __init__(
        self,
        pretrained: str = "",
        tokenizer: str | None = None,
        device: str | None = "auto",
        dtype: str = "auto",
        quantize: str | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        batch_tokens: int = 8192,
        batch_size: object = None,
        max_batch_size: object = None,
        offline: bool = False,
    ) -> None:
        super().__init__()
        if not pretrained:
            raise ConfigError("--model_args: give the model, such as --model_args pretrained=runs/demo/model")
        if dtype not in _DTYPES:
            raise ConfigError(f"--model_args dtype={dtype}: known: {', '.join(_DTYPES)}")
        kinds: dict[str | None, QuantizeKind | None] = {None: None, "nf4": "nf4", "int8": "int8"}
        if quantize not in kinds:
            raise ConfigError(f"--model_args quantize={quantize}: known: nf4, int8")
        if not torch.cuda.is_available():
            device = "cpu"
        self._device = torch.device("cuda" if device in (None, "auto") else device)
        chosen = choose_dtype(_DTYPES[dtype], pretrained, self._device, offline=offline)
        check_quantise(kinds[quantize], self._device)
        loaded = load_model(pretrained, device=str(self._device), dtype=chosen, offline=offline)
        found = load_tokenizer(tokenizer or str(find_model(pretrained, offline=offline)), offline=offline)
        self._tokenizer = found
        found.require_fit(loaded.model.vocab_size, f"model {pretrained!r}")
        self._fingerprint = loaded.fingerprint if quantize is None else f"{loaded.fingerprint}-{quantize}"
        self._num_parameters = model_size(loaded.model).total
        if (kind := kinds[quantize]) is not None:
            quantise_model(loaded.model, kind)
        self._requests = ModelRequests(
            loaded.model,
            found,
            max_length=max_length,
            batch_tokens=batch_tokens,
            defaults={"max_gen_toks": max_gen_toks},
        )

    @property
    def tokenizer_name(self) -> str:
        """Hash of the tokenizer: the harness keeps rendered requests by it."""
        return self._requests.tokenizer.fingerprint

    def apply_chat_template(self, chat_history: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the text of turns in the model's chat format, as the harness asks with ``--apply_chat_template``.

        Raises:
            ConfigError: The model has no chat template, or it does not take these turns.
        """
        format_ = chat_format(self._tokenizer)
        turns = [dict(turn) for turn in chat_history]
        try:
            return format_.template.render(turns, generation_prompt=add_generation_prompt)
        except TemplateRefusesError as error:
            raise ConfigError(f"{format_.template.label} rejects the prompt: {error}") from None

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the template that ``--apply_chat_template`` means, for the harness's results."""
        return template_of(self._tokenizer) if chat_template else None

    def get_model_info(self) -> dict[str, object]:
        """Return what the harness writes into its results."""
        parameters = list(self._requests.model.parameters())  # type: ignore[union-attr]  # a torch module
        return {
            "model_num_parameters": self._num_parameters,
            "model_dtype": str(parameters[0].dtype),
            "model_revision": "main",
            "model_sha": self._fingerprint,
        }

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of the continuation of each (context, continuation)."""
        return self._requests.loglikelihood([request.args for request in requests])

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the log-probability of each whole text."""
        return self._requests.loglikelihood_rolling([request.args[0] for request in requests])

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continue each (context, options) until one of its stop texts."""
        return self._requests.generate_until([request.args for request in requests])
