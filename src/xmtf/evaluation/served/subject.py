"""A model that is asked and not loaded, under evaluation: what decides its answers, and its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation.engine.answer import Answer, Known, nothing_known
from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.chat import ChatForm, choose_chat, format_of
from xmtf.evaluation.engine.encoding import Encoder, PromptRules, prompt_rules
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.ranking.passes import ChoiceScore
from xmtf.evaluation.ranking.rank import rank_by
from xmtf.evaluation.served.backend import Asked, Backend, Choices
from xmtf.evaluation.served.in_vllm import VllmBackend, load_vllm, positions_of_vllm
from xmtf.evaluation.served.over_http import HttpBackend, positions_of, takes_conversations
from xmtf.evaluation.served.token_scores import find_token_scores
from xmtf.evaluation.suites.setup import Setup, suite_slices
from xmtf.execution import say
from xmtf.files import content_hash
from xmtf.json_types import JsonObject
from xmtf.recipe.sections.served import ServedModel
from xmtf.records import Family, Request
from xmtf.servers.client import Asking, ModelServer
from xmtf.servers.reference import ServedReference, parse_served
from xmtf.servers.spending import Limits, Price
from xmtf.tokens import load_tokenizer

if TYPE_CHECKING:
    from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["ServedSubject", "load_served", "open_server", "served_identity"]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What texts become ids by; see :class:`xmtf.evaluation.engine.encoding.Shape`."""

    max_positions: int | None
    family: Family = "causal"


@dataclass(frozen=True, slots=True)
class ServedSubject:
    """A model that is asked and not loaded, and everything that decides how.

    Attributes:
        reference: What it is.
        backend: Asks it.
        label: What results call it.
        fingerprint: Hash of what it is called and asked by; of its weights nothing is known here.
        scoring: How choices are scored.
        decoding: How answers are generated.
        rules: How texts become ids, where they do here.
        tokenizer: Its tokenizer, where there is one here.
    """

    reference: ServedReference
    backend: Backend
    label: str
    fingerprint: str
    scoring: str
    decoding: Decoding
    rules: PromptRules | None = None
    tokenizer: Tokenizer | None = None

    @property
    def batch_tokens(self) -> int:
        """Each request is by itself."""
        return 1

    def identity(self, setup: Setup) -> dict[str, object]:
        """Return everything that decides an answer."""
        return {
            "model": self.fingerprint,
            "rules": None if self.rules is None else self.rules.to_json(),
            "decoding": asdict(self.decoding),
            "asked": "chat" if self.backend.in_chat else "completions",
            "space": setup.tokens.space_before_targets,
        }

    @property
    def hashes(self) -> dict[str, str]:
        """What results name the model by."""
        tokenizer = {} if self.tokenizer is None else {"tokenizer": self.tokenizer.fingerprint}
        return {"weights": self.fingerprint} | tokenizer

    @property
    def computed(self) -> dict[str, str]:
        """Where answers came from, for each line of results."""
        asked = "chat" if self.backend.in_chat else "completions"
        found = {"server": self.reference.text, "asked": asked}
        found |= {"ranking": self.backend.ranking} if self.backend.ranking else {}
        return found | ({"chat": "of the server"} if self.backend.in_chat else {})

    def ask(
        self, requests: Sequence[Request], processes: Processes = ALONE, known: Known = nothing_known
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Yield (index of a request, its answer), one at a time as they come; those that are known are not asked.

        Raises:
            ConfigError: Choices are to be ranked without a tokenizer, or several processes ask.
            ServerError: The server does not answer, or a limit is reached.
        """
        if processes.size > 1:
            raise ConfigError("a served model is queried by one process with concurrent requests (--concurrency)")
        ranked = [index for index, request in enumerate(requests) if request.choices]
        written = [index for index, request in enumerate(requests) if not request.choices and known(index) is None]
        if ranked:
            chosen = [requests[index] for index in ranked]
            for batch in self._ranked(chosen, lambda place: known(ranked[place])):
                yield [(ranked[place], self._paid(answer)) for place, answer in batch]
        asked = [Asked(requests[index].prompt, self.decoding) for index in written]
        for place, answer in self.write(asked):
            yield [(written[place], replace(answer, text=answer.text and answer.text.strip()))]

    def write(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        """Yield (index of a prompt, its answer), as they come, with the white space at their ends."""
        if asked:
            for place, answer in self.backend.write(asked):
                yield place, self._paid(answer)

    def tell_spent(self, usage: tuple[int, ...]) -> JsonObject:
        """Describe what asking took, and return what results are to say of it.

        Args:
            usage: Requests, tokens read and tokens written that the journal's answers took.
        """
        about = self.backend.about(usage)
        counts = [f"{about[name]:,} {name.replace('_', ' ')}" for name in ("requests", "tokens_read", "tokens_written")]
        cost = f", cost {about['cost']:g}" if "cost" in about else ""
        say(f"  {self.reference.text}, asked by {about['asked']}: {', '.join(counts)}{cost}")
        return about

    def _ranked(self, requests: Sequence[Request], known: Known) -> Iterator[list[tuple[int, Answer]]]:
        if self.tokenizer is None or self.rules is None:
            raise ConfigError(
                f"{self.reference.text}: choices are ranked as token ids; give its tokenizer: {_TOKENIZER}"
            )
        return rank_by(self._score, self.tokenizer, requests, self.rules, causal=True, known=known)

    def _score(
        self,
        prompts: Sequence[Ids],
        choices: Sequence[Sequence[Ids]],
        members: Iterable[int],
        *,
        processes: Processes = ALONE,
        known: Known = nothing_known,
    ) -> Iterator[list[tuple[int, tuple[ChoiceScore, ...]]]]:
        """Score choices one request at a time; see :class:`xmtf.evaluation.ranking.rank.Score`."""
        del processes
        wanted = [member for member in members if known(member) is None]
        for place, scores in self.backend.score([Choices(prompts[member], choices[member]) for member in wanted]):
            yield [(wanted[place], scores)]

    def _paid(self, answer: Answer) -> Answer:
        """Return an answer with what was spent since the one before."""
        spent = self.backend.take_usage()
        return replace(answer, usage=(spent.requests, spent.read, spent.written))


_TOKENIZER = "--tokenizer FOLDER or hub id (evaluation.server.tokenizer of a recipe)"


def served_identity(setup: Setup, ref: str) -> str:
    """Return a hash of what a model behind a server is called and asked by, without asking it."""
    settings = setup.settings.server or ServedModel()
    return content_hash([parse_served(ref).text, settings.extra_body])


def open_server(reference: ServedReference, settings: ServedModel) -> ModelServer:
    """Return the server of a reference, asked as a recipe's ``evaluation.server`` says."""
    price = None if settings.price is None else Price(*settings.price)
    asking = Asking(
        settings.concurrency,
        settings.timeout_s,
        settings.retries,
        settings.extra_body,
        Limits(settings.max_requests, settings.max_cost, price),
    )
    return ModelServer(reference.url, reference.name, asking)


def load_served(setup: Setup, ref: str, label: str, *, ranks: bool | None = None) -> ServedSubject:
    """Return a model that is asked and not loaded; a server is tried out with a request or two.

    Args:
        setup: How it is asked.
        ref: What it is.
        label: What results call it.
        ranks: Whether it is to rank choices; by default whether a suite of the setup has choices.

    Raises:
        ConfigError: It is to rank and has no tokenizer, or a setting is for loaded models.
        ServerError: The server cannot be reached, or cannot do what is asked.
    """
    reference, settings = parse_served(ref), setup.settings.server or ServedModel()
    if setup.settings.quantize is not None or setup.prefix_lm:
        raise ConfigError(f"{reference.text}: --quantize and prefix_lm apply only to models that are loaded locally")
    if ranks is None:
        ranks = bool(setup.settings.suites) and any(part.kind == "rank" for part in suite_slices(setup))
    tokenizer = _tokenizer(setup, reference, settings, needed=ranks or reference.engine == "vllm")
    opened = _open_vllm if reference.engine == "vllm" else _open_server
    backend, rules, tokenizer = opened(setup, reference, settings, tokenizer, label, ranks)
    return ServedSubject(
        reference,
        backend,
        label=f"{label} (chat)" if backend.in_chat else label,
        fingerprint=served_identity(setup, ref),
        scoring=setup.settings.scoring,
        decoding=setup.decoding,
        rules=rules,
        tokenizer=tokenizer,
    )


_Opened = tuple[Backend, PromptRules | None, "Tokenizer | None"]


def _open_server(
    setup: Setup,
    reference: ServedReference,
    settings: ServedModel,
    tokenizer: Tokenizer | None,
    label: str,
    ranks: bool,
) -> _Opened:
    server = open_server(reference, settings)
    form = None if tokenizer is None else choose_chat(setup.chat, tokenizer.about, label)[0]
    in_chat = (tokenizer is None or form is not None) and _wants_conversations(setup, server, label)
    rules = None
    if tokenizer is not None:
        rules, tokenizer = _rules(setup, tokenizer, positions_of(server), form if in_chat else None)
    scores = find_token_scores(server, tokenizer) if ranks and tokenizer is not None else None
    if scores is not None:
        say(f"  choices are ranked by {scores.way}")
    return HttpBackend(server, in_chat=in_chat, scores=scores), rules, tokenizer


def _open_vllm(
    setup: Setup,
    reference: ServedReference,
    settings: ServedModel,
    tokenizer: Tokenizer | None,
    label: str,
    ranks: bool,
) -> _Opened:
    del settings, ranks
    assert tokenizer is not None, "asked for"
    form, said = choose_chat(setup.chat, tokenizer.about, label)
    if said is not None:
        say(f"  {said}")
    model = load_vllm(reference.name, setup.settings.dtype, setup.seed)
    rules, tokenizer = _rules(setup, tokenizer, positions_of_vllm(model), form)
    return VllmBackend(model, Encoder(tokenizer, rules)), rules, tokenizer


def _wants_conversations(setup: Setup, server: ModelServer, label: str) -> bool:
    """Tell, and say, whether a server's model is asked in conversations."""
    wanted = setup.settings.chat
    if wanted == "off":
        return False
    why_not = takes_conversations(server)
    if why_not is None:
        say(f"  {label} is queried in conversations{'' if wanted == 'on' else ' (--chat off prompts without it)'}")
        return True
    if wanted == "on":
        raise ConfigError(f"--chat on: {server.url} does not accept conversations for {server.name}: {why_not}")
    say(f"  {label} is queried by completions: the server does not accept conversations ({why_not[:120]})")
    return False


def _rules(
    setup: Setup, tokenizer: Tokenizer, positions: int | None, form: ChatForm | None
) -> tuple[PromptRules, Tokenizer]:
    """Return how texts become ids, as they do for a model available."""
    tokenizer = tokenizer.reading(setup.tokens.special_tokens)
    if form is not None and (end := format_of(form, tokenizer).end_of_turn) is not None:
        tokenizer = tokenizer.described({}, (end,)).reading(setup.tokens.special_tokens)
    rules = prompt_rules(
        _Shape(None if positions is None else positions - 1),  # one token is always written
        tokenizer,
        setup.tokens,
        max_prompt_tokens=setup.settings.max_prompt_tokens,
        truncation_side=setup.settings.truncation_side,
        also=setup.also,
        chat=form,
    )
    return rules, tokenizer


def _tokenizer(setup: Setup, reference: ServedReference, settings: ServedModel, *, needed: bool) -> Tokenizer | None:
    """Load the tokenizer that is named; where one is needed and none is named, that which the model's name names."""
    named = settings.tokenizer or setup.tokenizer
    if named is None and not needed:
        return None
    try:
        return load_tokenizer(named or reference.name, offline=setup.offline)
    except SourceError as error:
        if named is not None:
            raise
        raise ConfigError(
            f"{reference.text}: choices are ranked as token ids, and no tokenizer is found for {reference.name!r} "
            f"({error}); give it: {_TOKENIZER}"
        ) from None
