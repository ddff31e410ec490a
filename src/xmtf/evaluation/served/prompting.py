"""A model behind a server, or in vllm, asked by hand: one prompt with its answer as it comes, choices, or many prompts.

For whoever has one prompt::

    model = open_prompts("openai:http://localhost:8000/v1#NAME")
    model.stream("Translate to English: Je t'aime.", Decoding(64), show=print)     # shows pieces, returns the whole
    model.scores("Is it so?", ["Yes", "No"])                                       # needs a tokenizer
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from xmtf.errors import ConfigError, ServerError
from xmtf.evaluation.engine.answer import Answer, Known, nothing_known
from xmtf.evaluation.generation.decoding import Decoding, check_samples, of_sample
from xmtf.evaluation.generation.pieces import Pieces
from xmtf.evaluation.served.backend import Asked
from xmtf.evaluation.served.subject import ServedSubject, load_served
from xmtf.evaluation.suites.setup import Setup
from xmtf.files import content_hash
from xmtf.recipe.schema import Evaluation, Tokenization
from xmtf.recipe.sections.served import ServedModel
from xmtf.records import Origin, Request
from xmtf.tasks import Catalogue

__all__ = ["ServedPrompts", "open_prompts"]


@dataclass(frozen=True, slots=True)
class ServedPrompts:
    """A model that answers prompts and is not loaded here.

    Attributes:
        subject: The model, and how it is asked.
        fingerprint: Hash of what decides an answer.
    """

    subject: ServedSubject
    fingerprint: str

    @property
    def in_chat(self) -> bool:
        """Whether prompts are asked in a conversation."""
        return self.subject.backend.in_chat

    @property
    def batch_tokens(self) -> int:
        """Each prompt is by itself."""
        return 1

    def stream(self, prompt: str, decoding: Decoding, show: Callable[[str], None]) -> str:
        """Return the answer to one prompt; ``show`` is given each new piece of it as soon as it stands.

        Raises:
            ServerError: The server does not answer, or refuses the prompt.
        """
        pieces = Pieces(decoding.stops, show)
        return pieces.end(_text(self.subject.backend.stream(Asked(prompt, decoding), pieces.add)))

    def scores(self, prompt: str, choices: Sequence[str]) -> tuple[float, ...]:
        """Return the log-probability of each choice behind a prompt, by the rules that choices are ranked by.

        Raises:
            ConfigError: The model was opened without a tokenizer; or the prompt or a choice is empty.
            ServerError: The server does not answer, or gives no log-probabilities.
        """
        request = Request(prompt, tuple(choices), None, (), Origin("", "", "", 0))
        (((_, answer),),) = self.subject.ask([request])
        if answer.error is not None:
            raise ConfigError(f"{answer.error}: {prompt[:60]!r}, {list(choices)}")
        return answer.scores

    def answers(self, prompts: Sequence[str], decoding: Decoding, samples: int = 1) -> Iterator[tuple[int, str]]:
        """Yield (index of a prompt, one of its answers), as they come: one answer to each prompt, then the next.

        Raises:
            ConfigError: Samples would all be the same.
            ServerError: As of :meth:`stream`.
        """
        check_samples(decoding, samples)
        for sample in range(samples):
            for batch in self.batches(prompts, decoding, sample):
                yield from batch

    def batches(
        self, prompts: Sequence[str], decoding: Decoding, sample: int = 0, known: Known = nothing_known
    ) -> Iterator[list[tuple[int, str]]]:
        """Yield (index of a prompt, one of its answers), each by itself as it comes; what is known is not asked.

        Raises:
            ServerError: As of :meth:`stream`.
        """
        places = [place for place in range(len(prompts)) if known(place) is None]
        drawn = of_sample(decoding, sample)
        for index, answer in self.subject.write([Asked(prompts[place], drawn) for place in places]):
            yield [(places[index], _text(answer, prompts[places[index]]))]


def open_prompts(
    ref: str,
    server: ServedModel | None = None,
    *,
    chat: str = "auto",
    dtype: str = "auto",
    tokens: Tokenization | None = None,
    offline: bool = False,
) -> ServedPrompts:
    """Open a model that is asked and not loaded (``openai:URL#NAME``, ``vllm:ID``), to be prompted.

    Args:
        ref: See :mod:`xmtf.servers.reference`.
        server: How it is asked; with a tokenizer its choices can be scored too.
        chat: ``auto`` asks in conversations where the server answers them; ``on``, ``off``.
        dtype: What vllm computes in.
        tokens: What is at the ends of prompts, where they become ids here.
        offline: Never search for a tokenizer on the network.

    Raises:
        ConfigError: The reference or a setting is wrong.
        ServerError: The server cannot be reached.
    """
    settings = Evaluation.model_validate({"chat": chat, "dtype": dtype, "server": server})
    setup = Setup(settings, Catalogue({}), tokens or Tokenization(), offline=offline)
    subject = load_served(
        setup, ref, ref.rpartition("#")[2] or ref, ranks=server is not None and bool(server.tokenizer)
    )
    return ServedPrompts(subject, content_hash([subject.identity(setup), "prompts"]))


def _text(answer: Answer, prompt: str = "") -> str:
    if answer.text is None:
        raise ServerError(f"the model returned no answer ({answer.error}){f': {prompt[:60]!r}' if prompt else ''}")
    return answer.text.strip()
