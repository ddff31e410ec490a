"""Generation as lm-evaluation-harness asks for it: options by its names, stop texts, greedy or sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from xmtf.errors import ConfigError
from xmtf.evaluation.batches import Ids, batches, group_prompts
from xmtf.evaluation.decoding import Sampling, decode
from xmtf.evaluation.encoding import TextTokenizer
from xmtf.evaluation.forward import in_halves
from xmtf.evaluation.joint import JointEncoder
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Generator"]

_SEED = 1234


class Generator:
    """Continues contexts under the options that the harness gives with each.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        max_length: Most positions of context and answer together (causal), or of the context.
        max_gen_toks: Most tokens of an answer where the options do not say.
        batch_tokens: Positions of contexts and answers held together.
    """

    def __init__(
        self,
        model: CausalModel | EncoderDecoderModel,
        tokenizer: TextTokenizer,
        *,
        max_length: int,
        max_gen_toks: int,
        batch_tokens: int,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_gen_toks = max_gen_toks
        self.batch_tokens = batch_tokens
        self.encoder = JointEncoder(tokenizer, causal=model.family == "causal", max_length=max_length)

    def continuations(self, asked: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Return the text behind each (context, options), up to the first stop text.

        Raises:
            ConfigError: Options ask for what our engine lacks, or leave no room for a context.
        """
        texts = [""] * len(asked)
        order = sorted(range(len(asked)), key=lambda index: repr(asked[index][1]))
        for _, alike in groupby(order, key=lambda index: repr(asked[index][1])):
            members = list(alike)
            contexts = [asked[index][0] for index in members]
            for place, text in self._alike(contexts, dict(asked[members[0]][1])):
                texts[members[place]] = text
        return texts

    def _alike(self, contexts: Sequence[str], options: dict[str, Any]) -> Iterator[tuple[int, str]]:
        """Yield (index of a context, text behind it), all under the same options."""
        told = dict(normalize_gen_kwargs(options, self.max_gen_toks))
        longest = int(told.pop("max_gen_toks"))
        stops = handle_stop_sequences(told.pop("until", None), eos=None)
        sampled = _sampling(told)
        if self.encoder.causal and longest >= self.encoder.max_length:
            raise ConfigError(
                f"{longest} generated tokens leave no room for a context in {self.encoder.max_length} positions: "
                "lower max_gen_toks or raise max_length"
            )
        prompts = [pair.context for pair in self.encoder.contexts(contexts, room=longest)]
        work = partial(self._continue, longest=longest, stops=[stop for stop in stops if stop], sampled=sampled)
        for batch in batches(group_prompts(prompts, (), range(len(prompts))), self.batch_tokens, answer_tokens=longest):
            members = [(group.prompt, member) for group in batch for member in group.members]
            for (_, member), text in zip(members, in_halves(work, members), strict=True):
                yield member, postprocess_generated_text(text, stops, None)

    def _continue(
        self,
        asked: Sequence[tuple[Ids, int]],
        *,
        longest: int,
        stops: Sequence[str],
        sampled: tuple[float, float] | None,
    ) -> list[str]:
        """Return the text behind each (prompt, index); equal prompts are read once."""
        prompts = list(dict.fromkeys(prompt for prompt, _ in asked))
        place = {prompt: index for index, prompt in enumerate(prompts)}
        sampling = None
        if sampled is not None:
            numbers = [np.random.default_rng((_SEED, index)).random(longest) for _, index in asked]
            sampling = Sampling(*sampled, np.stack(numbers))
        tail = 4 + max((len(stop.encode()) for stop in stops), default=0)

        def stop(ids: Sequence[int]) -> bool:
            text = self.tokenizer.decode(list(ids[-tail:]))
            return any(each in text for each in stops)

        found = decode(
            self.model,
            prompts,
            [place[prompt] for prompt, _ in asked],
            eos=self.tokenizer.eos,
            pad=self.tokenizer.pad,
            num_ids=self.tokenizer.vocab_size,
            max_new_tokens=longest,
            sampling=sampling,
            stop=stop,
        )
        broken = next((continuation.error for continuation in found if continuation.error is not None), None)
        if broken is not None:
            raise ConfigError(f"the model's numbers are not finite ({broken}); load it with dtype=float32")
        return [self.tokenizer.decode(list(continuation.ids)) for continuation in found]


def _sampling(options: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return (temperature, top_p), or None for greedy decoding.

    Raises:
        ConfigError: A way of decoding that our engine lacks.
    """
    usual = {"do_sample": None, "temperature": None, "top_p": None, "top_k": 0, "num_beams": 1}
    unknown = [
        f"{key}={value}"
        for key, value in options.items()
        if value is not None and (key not in usual or (usual[key] is not None and value not in (usual[key], 0)))
    ]
    if unknown:
        raise ConfigError(f"generation options that `--model xmtf` does not have: {', '.join(unknown)}")
    if not options.get("do_sample") or not options.get("temperature"):
        return None
    return float(options["temperature"]), float(options.get("top_p") or 1.0)
