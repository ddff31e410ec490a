"""Engines that translate, by the name that ``--engine`` gives."""

from __future__ import annotations

import re
from collections.abc import Callable

from xmtf.errors import ConfigError
from xmtf.plugins import Plugin, plugins
from xmtf.translation.engines.apertium import ApertiumEngine
from xmtf.translation.engines.chat import ChatEngine
from xmtf.translation.engines.command import CommandEngine
from xmtf.translation.engines.deepl_and_google import DeepLEngine, GoogleEngine
from xmtf.translation.engines.local import CTranslate2Engine, TransformersEngine
from xmtf.translation.engines.protocol import Engine

__all__ = ["BUILT_IN", "ENGINES", "Engine", "open_engine"]

ENGINES = {
    "apertium": "the pairs of Apertium that are installed",
    "transformers:ID-OR-FOLDER": "OPUS-MT, NLLB, M2M-100 or MADLAD, from the hub or a folder",
    "ctranslate2:FOLDER": "one of these, converted for CTranslate2",
    "openai:MODEL or openai:URL#MODEL": "a chat model behind OpenAI's interface",
    "deepl[@URL]": "DeepL (DEEPL_AUTH_KEY)",
    "google[@URL]": "Google Cloud Translation (GOOGLE_APPLICATION_CREDENTIALS)",
    "command:PROGRAM ARGUMENTS": "any program that translates line by line; {source} and {target} are the languages",
}
"""How engines are named, and what they are."""

BUILT_IN = tuple(re.split(r"[:\[]", name)[0] for name in ENGINES)
"""The kinds of them."""


def open_engine(name: str) -> Engine:
    """Return an engine.

    Args:
        name: As :data:`ENGINES` says.

    Raises:
        ConfigError: There is no such engine, or what it needs is not there.
        MissingExtraError: A package that it needs is not installed.
    """
    kind, _, argument = name.partition(":")
    with_argument: dict[str, Callable[[str], Engine]] = {
        "command": CommandEngine,
        "transformers": TransformersEngine,
        "ctranslate2": CTranslate2Engine,
        "openai": ChatEngine,
    }
    if kind in with_argument:
        return with_argument[kind](argument)
    if name == "apertium":
        return ApertiumEngine()
    service, _, url = name.partition("@")
    if service in ("deepl", "google"):
        return DeepLEngine(url) if service == "deepl" else GoogleEngine(url)
    theirs = plugins("engines", frozenset(BUILT_IN))
    if kind in theirs:
        return _of_plugin(theirs[kind], argument)
    about = ENGINES | {each: f"of the plug-in {plugin.package}" for each, plugin in theirs.items()}
    known = "\n".join(f"  {each}: {said}" for each, said in about.items())
    raise ConfigError(f"--engine {name}: there is no such engine; it is one of\n{known}")


def _of_plugin(plugin: Plugin, argument: str) -> Engine:
    """Return the engine of a plug-in, which translations name with its version.

    Raises:
        ConfigError: It cannot be loaded, or lacks something of an engine.
    """
    engine = plugin.load()(argument)
    lacking = [name for name in ("name", "version", "styles", "translate") if not getattr(engine, name, None)]
    if lacking:
        where = f"engine {plugin.name!r} of the plug-in {plugin.package} {plugin.version}"
        raise ConfigError(f"{where}: lacks {', '.join(lacking)}; see xmtf.translation.engines.Engine")
    opened: Engine = engine
    return opened
