"""An engine that is a chat model behind OpenAI's interface; told the text's role, a glossary and an example."""

from __future__ import annotations

from collections.abc import Sequence

from xmtf.errors import ConfigError, ServerError, TranslationError
from xmtf.files import content_hash
from xmtf.languages.codes import get_language
from xmtf.servers.chat import ChatServer
from xmtf.templates.languages.segments import Role
from xmtf.translation.engines.protocol import Brief
from xmtf.translation.marks import StyleName

__all__ = ["ChatEngine"]

_SYSTEM = """\
You translate parts of prompts for language models from {source} into {target}.
The text is {role}{task}. Translate it as a native speaker would write it, in the same register.
Keep every placeholder such as <x id="0"/> or {{0}} exactly once and unchanged; you may move it to where it belongs.
Keep numbers, letters that name options, quotation marks and the final punctuation. Do not answer the prompt.
Reply with the translation alone, in one line.{glossary}"""
_ROLES: dict[Role, str] = {
    "inputs": "part of an instruction or question to the model",
    "target": "part of the answer that the model shall give",
    "choice": "one of the answers among which the model chooses; write it as it stands alone, lower case if it is",
    "constant": "a word that is put into the prompt",
}
_EXAMPLE = ('Is "<x id="0"/>" about <x id="1"/>?', 'Handelt "<x id="0"/>" von <x id="1"/>?')
_NO_BRIEF = Brief("inputs")


class ChatEngine:
    """``openai:MODEL``, or of another server ``openai:URL#MODEL`` or ``openai:MODEL@URL``."""

    styles: tuple[StyleName, ...] = ("xml", "braces")
    version = ""

    def __init__(self, argument: str, brief: Brief = _NO_BRIEF, server: ChatServer | None = None) -> None:
        """Prepare to ask a model.

        Args:
            argument: Model, the address of its server before ``#`` or after ``@``.
            brief: What it is told alongside the texts.
            server: The server, where it is open already.

        Raises:
            ConfigError: No model is named.
        """
        if argument.startswith(("http://", "https://")):
            url, _, model = argument.partition("#")
        else:
            model, _, url = argument.partition("@")
        if not model:
            raise ConfigError("--engine openai: has no model; give openai:MODEL or openai:http://HOST:PORT/v1#MODEL")
        self.name = f"openai:{model}"
        self._argument = argument
        self._brief = brief
        self._server = server or ChatServer(model, url or None)

    @property
    def prompt(self) -> str:
        """Hash of the words in which it is told."""
        return content_hash([_SYSTEM, _ROLES, _EXAMPLE])[:16]

    def briefed(self, brief: Brief) -> ChatEngine:
        """Return the engine that has been told."""
        return ChatEngine(self._argument, brief, self._server)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Ask for each text by itself; see :class:`xmtf.translation.engines.protocol.Engine`."""
        system = self._system(source, target)
        example = [
            {"role": "user", "content": f"From English into German: {_EXAMPLE[0]}"},
            {"role": "assistant", "content": _EXAMPLE[1]},
        ]
        names = f"From {get_language(source).name} into {get_language(target).name}"
        conversations = [
            [{"role": "system", "content": system}, *example, {"role": "user", "content": f"{names}: {text}"}]
            for text in texts
        ]
        try:
            answers = self._server.answers(conversations, temperature=0, max_tokens=1024)
        except ServerError as error:
            raise TranslationError(str(error)) from None
        return [answer.text if answer.finish == "stop" else "" for answer in answers]

    def _system(self, source: str, target: str) -> str:
        terms = "".join(f"\n{term} = {translation}" for term, translation in self._brief.glossary.items())
        return _SYSTEM.format(
            source=get_language(source).name,
            target=get_language(target).name,
            role=_ROLES[self._brief.role],
            task=f", from a prompt of the dataset {self._brief.task}" if self._brief.task else "",
            glossary=f"\nUse these translations of terms:{terms}" if terms else "",
        )
