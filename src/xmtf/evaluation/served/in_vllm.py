"""A model that the package vllm runs in this process: ids in, texts and log-probabilities out.

Written against vllm's documented classes ``LLM`` and ``SamplingParams`` (``generate`` with ``prompt_token_ids``,
``prompt_logprobs``); nothing else of it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from xmtf.errors import ConfigError, ServerError, require
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.encoding import Encoder
from xmtf.evaluation.generation.decoding import Decoding, Ending
from xmtf.evaluation.generation.generate import cut_at_stops
from xmtf.evaluation.ranking.passes import ChoiceScore
from xmtf.evaluation.served.backend import Asked, Choices
from xmtf.json_types import JsonObject
from xmtf.servers.spending import Usage

__all__ = ["VllmBackend", "load_vllm", "positions_of_vllm"]

_TOGETHER = 256
"""Requests given at a time: what is answered is written down after each of these, and kept over a kill."""

_DTYPES = {"auto": "auto", "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def load_vllm(name: str, dtype: str, seed: int) -> Any:
    """Load a model in vllm.

    Raises:
        MissingExtraError: The package is not installed.
        ConfigError: It cannot load the model.
    """
    vllm = require("vllm", "vllm")
    try:
        return vllm.LLM(model=name, dtype=_DTYPES[dtype], seed=seed)
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigError(f"model vllm:{name}: vllm cannot load it: {' '.join(str(error).split())[:300]}") from None


def positions_of_vllm(model: Any) -> int:
    """Return the longest row that a loaded model reads."""
    return int(model.llm_engine.model_config.max_model_len)


class VllmBackend:
    """See :class:`xmtf.evaluation.served.backend.Backend`.

    Args:
        model: A loaded ``vllm.LLM``.
        encoder: Turns prompts into ids, by the rules that hold for loaded models.
    """

    ranking = "prompt_logprobs of vllm"

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self._model = model
        self._encoder = encoder
        self._params: Any = require("vllm", "vllm").SamplingParams
        self._spent = Usage()
        self.in_chat = encoder.rules.chat is not None

    def write(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        """Yield (index of a prompt, its answer), some hundred at a time."""
        room = [each.decoding.max_new_tokens for each in asked]
        self._encoder.require_room(max(room, default=1))
        prompts = self._encoder.prompts([each.prompt for each in asked], room)
        yield from ((place, Answer(error="empty prompt")) for place, prompt in enumerate(prompts) if not prompt.ids)
        places = [place for place, prompt in enumerate(prompts) if prompt.ids]
        for chosen in _parts(places):
            params = [self._sampling(asked[place].decoding) for place in chosen]
            found = self._generate([prompts[place].ids for place in chosen], params)
            for place, output in zip(chosen, found, strict=True):
                yield place, _answer(output.outputs[0], asked[place].decoding, truncated=prompts[place].truncated)

    def stream(self, asked: Asked, show: Callable[[str], None]) -> Answer:
        """Return the answer to one prompt, and show it when it is whole."""
        ((_, answer),) = self.write([asked])
        show(answer.text or "")
        return answer

    def score(self, asked: Sequence[Choices]) -> Iterator[tuple[int, tuple[ChoiceScore, ...]]]:
        """Yield (index of a prompt, the scores of its choices), some hundred choices at a time."""
        params = self._params(max_tokens=1, temperature=0.0, prompt_logprobs=1)
        for chosen in _parts(list(range(len(asked))), weights=[len(each.choices) for each in asked]):
            pairs = [(asked[place].context, choice) for place in chosen for choice in asked[place].choices]
            outputs = self._generate([(*context, *choice) for context, choice in pairs], [params] * len(pairs))
            scores = iter([_sum(output, *pair) for output, pair in zip(outputs, pairs, strict=True)])
            yield from ((place, tuple(next(scores) for _ in asked[place].choices)) for place in chosen)

    def take_usage(self) -> Usage:
        """Return what was computed since this was last called."""
        taken, self._spent = self._spent, Usage()
        return taken

    def resume(self, before: tuple[int, ...]) -> None:
        """Nothing is limited here."""

    def about(self, usage: tuple[int, ...]) -> JsonObject:
        """Return what results say of the work."""
        names = ("requests", "tokens_read", "tokens_written")
        return {"asked": "chat" if self.in_chat else "completions"} | dict(zip(names, usage, strict=False))

    def _generate(self, ids: Sequence[Ids], params: Sequence[object]) -> list[Any]:
        prompts = [{"prompt_token_ids": list(each)} for each in ids]
        found = list(self._model.generate(prompts, list(params), use_tqdm=False))
        if len(found) != len(ids):
            raise ServerError(f"vllm: {len(found)} answers were returned for {len(ids)} requests")
        self._spent += Usage(len(ids), sum(map(len, ids)), sum(len(each.outputs[0].token_ids) for each in found))
        return found

    def _sampling(self, decoding: Decoding) -> object:
        if decoding.beams > 1:
            raise ConfigError("beams: vllm models have no beam search; remove --beams")
        drawn = {"top_p": decoding.top_p, "top_k": decoding.top_k or -1, "seed": decoding.seed}
        return self._params(
            max_tokens=decoding.max_new_tokens,
            min_tokens=decoding.min_new_tokens,
            temperature=decoding.temperature,
            stop=list(decoding.stops) or None,
            stop_token_ids=list(self._encoder.tokenizer.ends),
            **(drawn if decoding.temperature > 0 else {}),
        )


def _parts(places: Sequence[int], weights: Sequence[int] | None = None) -> Iterator[list[int]]:
    """Yield places in parts of some hundred requests."""
    part: list[int] = []
    size = 0
    for place in places:
        weight = 1 if weights is None else weights[place]
        if part and size + weight > _TOGETHER:
            yield part
            part, size = [], 0
        part.append(place)
        size += weight
    if part:
        yield part


def _sum(output: Any, context: Ids, choice: Ids) -> ChoiceScore:
    """Sum what came back for the tokens of a choice, one for one.

    Raises:
        ServerError: It belongs to other tokens.
    """
    told = output.prompt_logprobs
    ids = (*context, *choice)
    if told is None or tuple(output.prompt_token_ids) != ids or len(told) != len(ids):
        raise ServerError(f"vllm: prompt_logprobs do not match the {len(ids)} tokens of a prompt and its choice")
    scores, best = [], True
    for found, token in zip(told[len(context) :], choice, strict=True):
        if not found or token not in found:
            raise ServerError(f"vllm: prompt_logprobs lack token {token} of a choice")
        scores.append(float(found[token].logprob))
        best &= scores[-1] >= max(each.logprob for each in found.values())
    return ChoiceScore(math.fsum(scores), best)


def _answer(completion: Any, decoding: Decoding, *, truncated: bool) -> Answer:
    kept = cut_at_stops(completion.text, decoding.stops)
    ending: Ending = "end of text"
    if kept != completion.text or isinstance(completion.stop_reason, str):
        ending = "stop text"
    elif completion.finish_reason == "length":
        ending = "budget"
    return Answer(text=kept, truncated=truncated, ending=ending)
