"""Engines that run here: translation models of transformers (extra ``train``) and CTranslate2 (extra ``ctranslate2``).

How a model is told the languages differs by family:

    OPUS-MT (Marian)   one pair, or ``>>fra<<`` before the text where it knows several targets
    NLLB               codes such as ``fra_Latn``: of the source before the text, of the target as first token
    M2M-100            the same with ``fr``
    MADLAD-400         ``<2fr>`` before the text
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import langcodes

from xmtf.errors import ConfigError, require
from xmtf.extras import MODELS, require_extra
from xmtf.languages.codes import get_language
from xmtf.translation.marks import StyleName

__all__ = ["CTranslate2Engine", "TransformersEngine"]

_STYLES: tuple[StyleName, ...] = ("square", "braces", "word")
_BATCH = 16
_BEAMS = 4
_MOST_TOKENS = 256


@dataclass(frozen=True, slots=True)
class _Told:
    """How a model is told: text before the source, language of the tokenizer, first token of the answer."""

    before: str = ""
    source: str = ""
    first: str = ""


class _Languages:
    """What a tokenizer calls the languages."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._kind = type(tokenizer).__name__
        self._vocabulary = tokenizer.get_vocab()
        self._name = name

    def told(self, source: str, target: str) -> _Told:
        """Return how the pair is told.

        Raises:
            ConfigError: The model does not know one of them, or is of no family of translation models.
        """
        if "Nllb" in self._kind:
            return _Told("", self._token(source, _flores), self._token(target, _flores))
        if "M2M100" in self._kind:
            return _Told("", source, self._token(target, lambda code: [f"__{code}__"]))
        if "Marian" in self._kind:
            several = [token for token in self._vocabulary if token.startswith(">>") and token.endswith("<<")]
            return _Told(self._token(target, _marian) + " ") if several else _Told()
        if "<2en>" in self._vocabulary:
            return _Told(self._token(target, lambda code: [f"<2{code}>", f"<2{code.partition('-')[0]}>"]) + " ")
        raise ConfigError(f"{self._name}: is not an OPUS-MT, NLLB, M2M-100 or MADLAD model ({self._kind})")

    def _token(self, code: str, spell: Any) -> str:
        known = [token for token in spell(code) if token in self._vocabulary]
        if not known:
            raise ConfigError(f"{self._name}: does not know the language {code!r} ({', '.join(spell(code))})")
        return str(known[0])


def _flores(code: str) -> list[str]:
    return [get_language(code).xp3x, f"{_three(code)}_{get_language(code).script}"]


def _marian(code: str) -> list[str]:
    return [f">>{spelling}<<" for spelling in (_three(code), code, f"{_three(code)}_{get_language(code).script}")]


def _three(code: str) -> str:
    return langcodes.Language.get(code).to_alpha3()


def _by_length(texts: Sequence[str]) -> list[list[int]]:
    """Return batches of places, longest texts first."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    return [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]


class TransformersEngine:
    """``transformers:ID-OR-FOLDER``: OPUS-MT, NLLB, M2M-100, MADLAD."""

    styles = _STYLES

    def __init__(self, reference: str) -> None:
        """Load the model.

        Raises:
            MissingExtraError: torch or transformers are not installed.
            ConfigError: There is no such model, or it is no translation model.
        """
        if not reference:
            raise ConfigError("--engine transformers: has no model; give transformers:ID-OR-FOLDER")
        require_extra(MODELS)
        transformers: Any = require("transformers", "train")
        self._torch: Any = require("torch", "train")
        self.name = f"transformers:{reference}"
        self.version = str(transformers.__version__)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(reference)
            self._model = transformers.AutoModelForSeq2SeqLM.from_pretrained(reference).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"--engine {self.name}: {' '.join(str(error).split())[:300]}") from None
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        self._languages = _Languages(self._tokenizer, self.name)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Search with beams, in batches of texts about as long; see the protocol."""
        told = self._languages.told(source, target)
        if told.source:
            self._tokenizer.src_lang = told.source
        options = {"forced_bos_token_id": self._tokenizer.convert_tokens_to_ids(told.first)} if told.first else {}
        answers = [""] * len(texts)
        for places in _by_length(texts):
            written = [told.before + texts[place] for place in places]
            batch = self._tokenizer(written, return_tensors="pt", padding=True, truncation=True).to(self._device)
            with self._torch.inference_mode():
                found = self._model.generate(**batch, num_beams=_BEAMS, max_new_tokens=_MOST_TOKENS, **options)
            for place, text in zip(places, self._tokenizer.batch_decode(found, skip_special_tokens=True), strict=True):
                answers[place] = text
        return answers


class CTranslate2Engine:
    """``ctranslate2:FOLDER``: a model converted from transformers, with its tokenizer's files in the same folder."""

    styles = _STYLES

    def __init__(self, folder: str) -> None:
        """Load the model.

        Raises:
            MissingExtraError: ctranslate2 or transformers are not installed.
            ConfigError: The folder is none of CTranslate2, or has no tokenizer.
        """
        if not Path(folder, "model.bin").is_file():
            raise ConfigError(
                f"--engine ctranslate2:{folder}: it has no model.bin; ct2-transformers-converter writes one"
            )
        module: Any = require("ctranslate2", "ctranslate2")
        transformers: Any = require("transformers", "train")
        self.name = f"ctranslate2:{folder}"
        self.version = str(module.__version__)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._translator = module.Translator(folder, device="cuda" if module.get_cuda_device_count() else "cpu")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(f"--engine {self.name}: {' '.join(str(error).split())[:300]}") from None
        self._languages = _Languages(self._tokenizer, self.name)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Search with beams; see the protocol."""
        told = self._languages.told(source, target)
        if told.source:
            self._tokenizer.src_lang = told.source
        tokenizer = self._tokenizer
        tokens = [tokenizer.convert_ids_to_tokens(tokenizer.encode(told.before + text)) for text in texts]
        prefix = [[told.first]] * len(texts) if told.first else None
        results = self._translator.translate_batch(
            tokens, target_prefix=prefix, beam_size=_BEAMS, max_batch_size=_BATCH, max_decoding_length=_MOST_TOKENS
        )
        found = (tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results)
        return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in found]
