"""Prompt a model by hand: one prompt with its answer as it comes, or many prompts in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.answer import Known, nothing_known
from xmtf.evaluation.engine.chat import ChatWish, Wanted, choose_chat, format_of
from xmtf.evaluation.engine.encoding import Encoder, PromptRules, TextTokenizer, prompt_rules
from xmtf.evaluation.generation.decoding import Decoding, check_samples, of_sample
from xmtf.evaluation.generation.generate import Written, continue_prompts
from xmtf.evaluation.generation.pieces import Pieces
from xmtf.execution import say, warn
from xmtf.files import content_hash
from xmtf.models import find_model, load_model
from xmtf.models.device import choose_device
from xmtf.models.dtype import choose_dtype, dtype_name
from xmtf.models.quantise import check_quantise, quantise_model
from xmtf.recipe.schema import QuantizeKind, Tokenization
from xmtf.tokens import load_tokenizer

if TYPE_CHECKING:
    from xmtf.models import Quantised
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Prompter", "Prompts", "load_prompter"]


class Prompts(Protocol):
    """A model that answers prompts, loaded here (:class:`Prompter`) or behind a server."""

    @property
    def fingerprint(self) -> str:
        """Hash of what decides an answer."""

    @property
    def in_chat(self) -> bool:
        """Whether prompts are asked in a conversation."""

    @property
    def batch_tokens(self) -> int:
        """Positions computed together."""

    def answers(self, prompts: Sequence[str], decoding: Decoding, samples: int = 1) -> Iterator[tuple[int, str]]:
        """Yield (index of a prompt, one of its answers)."""

    def batches(
        self, prompts: Sequence[str], decoding: Decoding, sample: int = 0, known: Known = nothing_known
    ) -> Iterator[list[tuple[int, str]]]:
        """Yield, batch by batch, (index of a prompt, one of its answers)."""

    def stream(self, prompt: str, decoding: Decoding, show: Callable[[str], None]) -> str:
        """Return the answer to one prompt, and show it piece by piece."""


@dataclass(frozen=True, slots=True)
class Prompter:
    """A loaded model that answers prompts.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        rules: How prompts become ids.
        fingerprint: Hash of weights, tokenizer and rules.
        quantised: What quantised weights changed, or None.
        batch_tokens: Positions computed together.
    """

    model: CausalModel | EncoderDecoderModel
    tokenizer: TextTokenizer
    rules: PromptRules
    fingerprint: str = ""
    quantised: Quantised | None = None
    batch_tokens: int = 8192

    @property
    def in_chat(self) -> bool:
        """Whether prompts are written in the model's chat format."""
        return self.rules.chat is not None

    def answers(self, prompts: Sequence[str], decoding: Decoding, samples: int = 1) -> Iterator[tuple[int, str]]:
        """Yield (index of a prompt, one of its answers), batch by batch: one answer to each prompt, then the next.

        Raises:
            ConfigError: A prompt is empty, the model gave no finite scores, or samples would all be the same.
        """
        check_samples(decoding, samples)
        for sample in range(samples):
            for batch in self.batches(prompts, decoding, sample):
                yield from batch

    def batches(
        self, prompts: Sequence[str], decoding: Decoding, sample: int = 0, known: Known = nothing_known
    ) -> Iterator[list[tuple[int, str]]]:
        """Yield, batch by batch, (index of a prompt, one of its answers).

        Args:
            prompts: What is asked.
            decoding: How.
            sample: Which of the answers to each prompt, from 0.
            known: Answers that are known already; a batch of which all are is left out.

        Raises:
            ConfigError: A prompt is empty, or the model gave no finite scores.
        """
        return self._write(prompts, of_sample(decoding, sample), known=known)

    def stream(
        self,
        prompt: str,
        decoding: Decoding,
        show: Callable[[str], None],
        count: Callable[[int], None] = lambda tokens: None,
    ) -> str:
        """Return the answer to one prompt.

        Args:
            prompt: The prompt.
            decoding: How it is answered.
            show: Given each new piece of the answer as soon as it stands.
            count: Given the tokens that were written, after each of them. Those of the answer's text may be others:
                bytes that are not a letter are decoded to a sign that has tokens of its own.
        """
        pieces = Pieces(decoding.stops, show)

        def watch(ids: list[int]) -> None:
            count(len(ids))
            pieces.add(self.tokenizer.decode(ids))

        (((_, answer),),) = self._write([prompt], decoding, watch)
        return pieces.end(answer)

    def _write(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        watch: Callable[[list[int]], None] = lambda ids: None,
        known: Known = nothing_known,
    ) -> Iterator[list[tuple[int, str]]]:
        encoder = Encoder(self.tokenizer, self.rules)
        encoder.require_room(decoding.max_new_tokens)
        encoded = encoder.prompts(prompts, [decoding.max_new_tokens] * len(prompts))
        if cut := [prompt for prompt in encoded if prompt.truncated]:
            fewest, budget = min(len(prompt.ids) for prompt in cut), decoding.max_new_tokens
            warn(
                f"{len(cut)} of {len(prompts)} prompts do not fit with {budget} answer tokens: they are truncated at "
                f"the beginning, to at least {fewest} tokens"
            )
        if any(not prompt.ids for prompt in encoded):
            raise ConfigError("a prompt is empty; give a prompt with text")
        found = continue_prompts(
            self.model,
            self.tokenizer,
            [prompt.ids for prompt in encoded],
            decoding,
            prefix_lm=self.rules.prefix_lm,
            batch_tokens=self.batch_tokens,
            watch=watch,
            known=known,
        )
        for batch in found:
            yield [(written.place, _text(written)) for written in batch]


def load_prompter(
    ref: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantize: QuantizeKind | None = None,
    tokens: Tokenization | None = None,
    chat: Wanted = "auto",
    offline: bool = False,
) -> Prompter:
    """Load a model to be prompted.

    Args:
        ref: Folder, GGUF file, ``package:NAME`` or hub id.
        device: ``auto`` takes a GPU where there is one.
        dtype: What the model is computed in; see :mod:`xmtf.models.dtype`.
        quantize: What matrices are kept in.
        tokens: What is at the ends of prompts.
        chat: Whether prompts are written in the model's chat format.
        offline: Never touch the network.

    Raises:
        SourceError: The model is nowhere; says what was searched for and where.
        MissingExtraError: Quantised weights without the package bitsandbytes.
        ConfigError: Model and tokenizer do not fit, or there is no such device.
    """
    place = str(choose_device(device))
    check_quantise(quantize, torch.device(place))
    chosen = choose_dtype(dtype, ref, torch.device(place), offline=offline)
    loaded = load_model(ref, device=place, dtype=chosen, offline=offline)
    tokenizer = load_tokenizer(str(find_model(ref, offline=offline)), offline=offline)
    tokenizer.require_fit(loaded.model.vocab_size, f"model {ref!r}")
    form, said = choose_chat(ChatWish(chat), tokenizer.about, ref)
    if said is not None:
        say(said)
    read = (tokens or Tokenization()).model_copy(update={"special_tokens": "parse" if form is None else "text"})
    if form is not None:
        tokenizer = tokenizer.reading("text")
        end = format_of(form, tokenizer).end_of_turn
        tokenizer = tokenizer.described({}, () if end is None else (end,)).reading("text")
    rules = prompt_rules(loaded.model, tokenizer, read, chat=form)
    identity = [loaded.fingerprint, tokenizer.fingerprint, rules.to_json(), quantize, dtype_name(chosen)]
    quantised = None if quantize is None else quantise_model(loaded.model, quantize)
    return Prompter(loaded.model, tokenizer, rules, content_hash(identity), quantised)


def _text(written: Written) -> str:
    if written.text is None:
        raise ConfigError(f"the model returned no answer ({written.error}); try another precision")
    return written.text.strip()
