"""The model under evaluation: loaded once, with its tokenizer and the rules of how it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from xmtf.evaluation.engine.answer import Answer, Known, nothing_known
from xmtf.evaluation.engine.chat import choose_chat, format_of
from xmtf.evaluation.engine.encoding import PromptRules, TextTokenizer, prompt_rules
from xmtf.evaluation.engine.memory import fitting_positions
from xmtf.evaluation.engine.processes import ALONE, Processes, processes_of_torchrun
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generation_batches
from xmtf.evaluation.ranking.rank import rank_batches
from xmtf.evaluation.served.subject import ServedSubject, load_served
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import say, warn
from xmtf.files import content_hash
from xmtf.models import find_model, load_model
from xmtf.models.device import choose_device, take_gpu
from xmtf.models.dtype import choose_dtype, dtype_name
from xmtf.models.quantise import check_quantise, quantise_model, quantised_line
from xmtf.recipe.schema import QuantizeKind
from xmtf.records import Request
from xmtf.servers.reference import is_served
from xmtf.tokens import load_tokenizer
from xmtf.tokens.tokenizer.composed import composed_line
from xmtf.tokens.tokenizer.special_texts import special_line
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

_STAGES = ("before", "after", "training")
"""Labels of a run, whose models are all asked alike."""

__all__ = ["AnySubject", "Subject", "load_any", "load_subject", "say_special_texts", "subject_of"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded model and everything that decides how it is asked.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        rules: How texts become ids.
        label: What results call it.
        fingerprint: Hash of weights and tokenizer.
        scoring: How choices are scored.
        decoding: How answers are generated.
        batch_tokens: Positions computed together.
        weights: Hash of configuration and weights alone.
        dtype: What the model is computed in, such as ``bf16``.
        quantize: What its matrices are kept in, or None.
    """

    model: CausalModel | EncoderDecoderModel
    tokenizer: TextTokenizer
    rules: PromptRules
    label: str
    fingerprint: str
    scoring: str
    decoding: Decoding
    batch_tokens: int
    weights: str = ""
    dtype: str = "fp32"
    quantize: QuantizeKind | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """What results name the model by."""
        return {"weights": self.weights, "tokenizer": self.tokenizer.fingerprint}

    def identity(self, setup: Setup) -> dict[str, object]:
        """Return everything that decides an answer."""
        return {
            "model": self.fingerprint,
            "rules": self.rules.to_json(),
            "decoding": asdict(self.decoding),
            "device": setup.device,
            "dtype": self.dtype,
        }

    def ask(
        self, requests: Sequence[Request], processes: Processes = ALONE, known: Known = nothing_known
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Yield, after each batch, the (index of a request, its answer) that it made; choices are ranked first.

        With several ``processes``, the batches of this one. A batch of which all answers are ``known`` is left out.
        """
        ranked = [index for index, request in enumerate(requests) if request.choices]
        generated = [index for index, request in enumerate(requests) if not request.choices]
        if ranked:
            for batch in rank_batches(
                self.model,
                self.tokenizer,
                [requests[index] for index in ranked],
                rules=self.rules,
                batch_tokens=self.batch_tokens,
                processes=processes,
                known=lambda place: known(ranked[place]),
            ):
                yield [(ranked[place], answer) for place, answer in batch]
        if generated:
            for batch in generation_batches(
                self.model,
                self.tokenizer,
                [requests[index] for index in generated],
                decoding=self.decoding,
                rules=self.rules,
                batch_tokens=self.batch_tokens,
                processes=processes,
                known=lambda place: known(generated[place]),
            ):
                yield [(generated[place], answer) for place, answer in batch]


AnySubject = Subject | ServedSubject
"""A model available, or one that is asked elsewhere."""


def load_any(setup: Setup, ref: str, label: str, processes: Processes = ALONE) -> AnySubject:
    """Load a model and its tokenizer, or open what asks one behind a server (``openai:URL#NAME``, ``vllm:ID``).

    Raises:
        UserError: As of :func:`load_subject` and :func:`xmtf.evaluation.served.subject.load_served`.
    """
    return load_served(setup, ref, label) if is_served(ref) else load_subject(setup, ref, label, processes)


def say_special_texts(subject: AnySubject) -> None:
    """Report how many texts seem to contain special tokens, and how many may have other ids than SentencePiece's."""
    if not isinstance(subject.tokenizer, Tokenizer):
        return
    if subject.tokenizer.special_texts:
        say(f"  {special_line(subject.tokenizer.special_texts)}")
    if subject.tokenizer.composed_texts:
        warn(f"  {composed_line(subject.tokenizer.composed_texts)}")


def load_subject(setup: Setup, ref: str, label: str, processes: Processes = ALONE) -> Subject:
    """Load a model and its tokenizer.

    Args:
        setup: How it is asked.
        ref: Folder, GGUF file or hub id.
        label: What results call it.
        processes: Those that ask together; each keeps its part where the model is cut.

    Raises:
        SourceError: Not found.
        ConfigError: Model and tokenizer do not fit, there is no such device, or the model is to be cut and this
            process is alone.
    """
    if setup.threads is not None:
        torch.set_num_threads(setup.threads)
    device = choose_device(setup.device)
    if str(device) == "cuda" and (process := processes_of_torchrun()).size > 1:
        device = take_gpu(process.local)
    dtype = choose_dtype(setup.settings.dtype, ref, device, offline=setup.offline)
    quantize = setup.settings.quantize
    check_quantise(quantize, device)
    if processes.reader is None:
        setup.parallel.copies(processes.size)
        loaded = load_model(ref, device=str(device), dtype=dtype, offline=setup.offline)
        model, weights = loaded.model, loaded.fingerprint
    else:
        model, weights = processes.reader.read(ref, device, dtype, processes.from_first, offline=setup.offline)
    if quantize is not None:
        weights = content_hash([weights, quantize])
        say(quantised_line(quantise_model(model, quantize)))
    where = setup.tokenizer or str(find_model(ref, offline=setup.offline))
    tokenizer = load_tokenizer(where, offline=setup.offline).reading(setup.tokens.special_tokens)
    tokenizer.require_fit(model.vocab_size, f"model {ref!r}")
    positions = setup.settings.batch_tokens or processes.least(fitting_positions(model))
    return subject_of(
        setup,
        model,
        tokenizer,
        label=label,
        weights=weights,
        batch_tokens=positions,
        dtype=dtype_name(dtype),
        quantize=quantize,
    )


def subject_of(
    setup: Setup,
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    *,
    label: str,
    weights: str = "",
    batch_tokens: int = 8192,
    dtype: str = "fp32",
    quantize: QuantizeKind | None = None,
) -> Subject:
    """Return a model available as ``setup`` asks it.

    Args:
        setup: How texts become ids and answers are made.
        model: The model.
        tokenizer: Its tokenizer.
        label: What results call it.
        weights: Hash of configuration and weights.
        batch_tokens: Positions computed together.
        dtype: What the model is computed in.
        quantize: What its matrices are kept in.
    """
    settings = setup.settings
    chat = None
    if isinstance(tokenizer, Tokenizer):
        chat, said = choose_chat(setup.chat, tokenizer.about, "the model" if label in _STAGES else label)
        if said is not None and label != "training":
            say(f"  {said}")
        if chat is not None and (end := format_of(chat, tokenizer).end_of_turn) is not None:
            tokenizer = tokenizer.described({}, (end,)).reading(setup.tokens.special_tokens)
    rules = prompt_rules(
        model,
        tokenizer,
        setup.tokens,
        max_prompt_tokens=settings.max_prompt_tokens,
        truncation_side=settings.truncation_side,
        prefix_lm=setup.prefix_lm,
        also=setup.also,
        chat=chat,
    )
    named = [weights, tokenizer.fingerprint] if chat is None else [weights, tokenizer.fingerprint, chat.fingerprint]
    return Subject(
        model=model,
        tokenizer=tokenizer,
        rules=rules,
        label=label if chat is None or label in _STAGES else f"{label} (chat)",
        fingerprint=content_hash(named),
        scoring=settings.scoring,
        decoding=setup.decoding,
        batch_tokens=batch_tokens,
        weights=weights,
        dtype=dtype,
        quantize=quantize,
    )
