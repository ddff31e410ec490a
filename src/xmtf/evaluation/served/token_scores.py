"""Log-probabilities of given tokens, from a server: three ways, each checked token for token.

``prompt_logprobs``   vLLM's: one request per choice; what comes back is keyed by token ids
``echo``              of completions: one request per choice; what comes back are the texts of the tokens
``token by token``    where ``logit_bias`` makes a server take a given token and ``logprobs`` are those from before the
                      bias (llama.cpp's server): one request per token

Which of them a server has is tried out with one text before anything is ranked: a server that has none answers all
requests, and scores made of what it sends would be chance. The third is believed only where a token that the bias
forces has the log-probability that it has without a bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xmtf.errors import ServerError
from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.encoding import TextTokenizer
from xmtf.evaluation.ranking.passes import ChoiceScore
from xmtf.json_types import JsonObject
from xmtf.servers.chat import choice_of
from xmtf.servers.client import ModelServer, RefusedError

__all__ = ["TokenScores", "find_token_scores"]

_PROBE = "The capital of France is Paris, and the capital of Italy is Rome."
_BIAS = 100
_MORE_LIKELY = (64, 4096)
"""Likely tokens that are asked for, before all of the vocabulary, where a server keeps a token back."""
_TOLERANCE = 0.05
_PARTLY = "\ufffd"
_BYTES = "bytes:"
"""In what servers and tokenizers call a token that is no whole character."""

Told = tuple[float, bool]
"""Log-probability of a token, and whether it is the most likely one."""


class _NotOfferedError(ServerError):
    """The server does not send what this way needs."""


class _OtherTokensError(ServerError):
    """What came back belongs to other tokens."""


class TokenScores:
    """Scores choices by one of the ways.

    Args:
        server: The server.
        tokenizer: Of the model.
        way: Name of the way.
    """

    def __init__(self, server: ModelServer, tokenizer: TextTokenizer, way: str) -> None:
        self.way = way
        self._server = server
        self._tokenizer = tokenizer
        self._token: Callable[[Ids, Ids], list[Told]] = {
            "prompt_logprobs": self._by_prompt_logprobs,
            "echo": self._by_echo,
            "token by token": self._token_by_token,
        }[way]

    def score(self, context: Ids, choices: Sequence[Ids]) -> tuple[ChoiceScore, ...]:
        """Return the scores of choices behind a context.

        Raises:
            ServerError: What comes back does not match the tokens; names the prompt and the choice.
        """
        return tuple(self._sum(context, choice) for choice in choices)

    def _sum(self, context: Ids, choice: Ids) -> ChoiceScore:
        try:
            told = self.tokens(context, choice)
        except (_OtherTokensError, _NotOfferedError) as error:
            prompt, text = (self._tokenizer.decode(list(ids)) for ids in (context[-24:], choice))
            raise ServerError(
                f"{self._server.url}: the choice {text!r} after the prompt that ends in {prompt!r}: {error}; choices "
                f"cannot be ranked by such numbers. Is --tokenizer the model's?"
            ) from None
        return ChoiceScore(math.fsum(score for score, _ in told), all(best for _, best in told))

    def tokens(self, context: Ids, choice: Ids) -> list[Told]:
        """Return the log-probability of each token of a choice."""
        told = self._token(context, choice)
        if len(told) != len(choice):
            raise _OtherTokensError(f"{len(told)} log-probabilities were returned for {len(choice)} tokens")
        if wrong := [score for score, _ in told if not score <= 1e-4]:
            raise _OtherTokensError(f"{wrong[0]} is not a log-probability")
        return told

    def check(self) -> None:
        """Try the way out on one text.

        Raises:
            ServerError: The server does not send what it needs, or not as it needs it.
        """
        ids = (*self._tokenizer.begin, *self._tokenizer.encode([_PROBE])[0].tolist())
        if self.way == "token by token":
            self._check_bias(ids[:5])
        self.tokens(ids[:-3], ids[-3:])

    def _complete(self, body: JsonObject) -> JsonObject:
        reply = self._server.ask("/completions", {"max_tokens": 1, "temperature": 0, **body})
        choice = choice_of(reply, self._server.url)
        return choice if "prompt_logprobs" in choice else {**choice, "prompt_logprobs": reply.get("prompt_logprobs")}

    def _by_prompt_logprobs(self, context: Ids, choice: Ids) -> list[Told]:
        ids = [*context, *choice]
        told = self._complete({"prompt": ids, "prompt_logprobs": 1})["prompt_logprobs"]
        if not isinstance(told, list):
            raise _NotOfferedError("no prompt_logprobs were returned")
        if len(told) != len(ids):
            raise _OtherTokensError(f"log-probabilities of {len(told)} tokens were returned for {len(ids)}")
        every = [self._of_id(place, token) for place, token in zip(told[1:], ids[1:], strict=True)]
        return every[len(context) - 1 :]

    def _of_id(self, told: object, token: int) -> Told:
        """Return what one place of ``prompt_logprobs`` says of a token."""
        found = told.get(str(token)) if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(found, dict):
            raise _OtherTokensError(f"no log-probability of {self._name(token)!r} ({token}) was returned")
        self._require_name(token, found.get("decoded_token"))
        score = _number(found.get("logprob"))
        return score, score >= max(_number(each.get("logprob")) for each in told.values())

    def _by_echo(self, context: Ids, choice: Ids) -> list[Told]:
        ids = [*context, *choice]
        told = self._complete({"prompt": ids, "echo": True, "logprobs": 1}).get("logprobs")
        if not isinstance(told, dict) or not isinstance(told.get("tokens"), list):
            raise _NotOfferedError("no log-probabilities of the prompt were returned")
        texts, scores, tops = (told.get(name) or [] for name in ("tokens", "token_logprobs", "top_logprobs"))
        if len(texts) not in (len(ids), len(ids) + 1) or len(scores) != len(texts):
            raise _OtherTokensError(f"log-probabilities of {len(scores)} tokens were returned for {len(ids)}")
        for token, text in zip(ids, texts, strict=False):
            self._require_name(token, text)
        found = []
        for place in range(len(context), len(ids)):
            best = max(tops[place].values(), default=0.0) if place < len(tops) and tops[place] else None
            found.append((_number(scores[place]), best is not None and scores[place] >= best))
        return found

    def _token_by_token(self, context: Ids, choice: Ids) -> list[Told]:
        found = []
        for place, token in enumerate(choice):
            before = [*context, *choice[:place]]
            told = self._next(before, {str(token): _BIAS})
            if told is None:
                found.append(self._among_likely(before, token))
                continue
            if told.get("id", token) != token:
                raise _OtherTokensError(f"the token {told['id']} was returned for {self._name(token)!r} ({token})")
            self._require_name(token, told.get("token"))
            score = _number(told.get("logprob"))
            best = max((_number(top.get("logprob")) for top in told.get("top_logprobs") or ()), default=score)
            found.append((score, score >= best))
        return found

    def _check_bias(self, context: Ids) -> None:
        """See that the log-probability of a token that the bias forces is that from before the bias."""
        plain = self._next(list(context), None) or {}
        tops = [top for top in plain.get("top_logprobs") or () if isinstance(top.get("id"), int)]
        second = next((top for top in tops if top["id"] != plain.get("id")), None)
        if second is None:
            raise _NotOfferedError("no ids of likely tokens were returned")
        ((score, _),) = self._token_by_token(context, (second["id"],))
        if abs(score - _number(second.get("logprob"))) > _TOLERANCE:
            raise _NotOfferedError("log-probabilities are those after logit_bias")

    def _among_likely(self, before: Sequence[int], token: int) -> Told:
        """Return what a server says of a token that it keeps back: one that ends within a character.

        It is asked for the likely tokens in the place of another one that it does not keep back.
        """
        other = int(self._tokenizer.encode(["a"])[0][-1])
        for number in (*_MORE_LIKELY, self._tokenizer.vocab_size):
            told = self._next(before, {str(other): _BIAS}, number=number) or {}
            scores = {top.get("id"): _number(top.get("logprob")) for top in told.get("top_logprobs") or ()}
            if token in scores:
                return scores[token], scores[token] >= max(scores.values())
        raise _OtherTokensError(f"no log-probability of {self._name(token)!r} ({token}) was returned")

    def _next(self, ids: Sequence[int], bias: dict[str, int] | None, *, number: int = 2) -> JsonObject | None:
        """Return what a server says of the token behind some ids; None where it keeps it back."""
        told = self._complete({"prompt": list(ids), "logprobs": number, "logit_bias": bias}).get("logprobs")
        content = told.get("content") if isinstance(told, dict) else None
        if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
            return None
        return dict(content[0])

    def _require_name(self, token: int, text: object) -> None:
        """Refuse what a server calls a token, where that is another one."""
        if text is None:
            return
        name = self._name(token)
        if not isinstance(text, str) or (text.startswith("token_id:") and text != f"token_id:{token}"):
            raise _OtherTokensError(f"{text!r} was returned for {name!r} ({token})")
        unsure = not name or _PARTLY in name or _PARTLY in text or text.startswith((_BYTES, "token_id:"))
        if not unsure and not _same(text, name):
            raise _OtherTokensError(f"the token {text!r} was returned for {name!r}")

    def _name(self, token: int) -> str:
        return self._tokenizer.decode([token])


def find_token_scores(server: ModelServer, tokenizer: TextTokenizer) -> TokenScores:
    """Return the first way that a server has.

    Raises:
        ServerError: It has none: its choices cannot be ranked.
    """
    told = []
    for way in ("prompt_logprobs", "echo", "token by token"):
        scores = TokenScores(server, tokenizer, way)
        try:
            scores.check()
        except RefusedError as error:
            told.append(f"{way}: status {error.status}")
        except (_NotOfferedError, _OtherTokensError) as error:
            told.append(f"{way}: {error}")
        else:
            return scores
    raise ServerError(
        f"{server.url}: provides no log-probabilities of given tokens ({'; '.join(told)}), so choices cannot be "
        f"ranked; "
        "use vLLM or llama.cpp's server, load the model locally, or evaluate generated answers (xmtf evaluate "
        "generation)"
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _OtherTokensError(f"{value!r} is not a log-probability")
    return float(value)


def _same(text: str, name: str) -> bool:
    """Return whether two spellings of a token are one; decoding a token by itself may take the space before it.

    >>> _same("Ġyes", " yes"), _same("▁yes", "yes"), _same("yes", "no"), _same("yes", " yes")
    (True, True, False, False)
    """
    spelt = (text, text.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n"))
    return any(each in (name, f" {name}") for each in spelt)
