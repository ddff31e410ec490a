"""Engines of paid services, each by its own package: DeepL (extra ``deepl``), Google (extra ``google``).

Both get marks as tags and text escaped; they read their keys from the environment (``DEEPL_AUTH_KEY``;
``GOOGLE_APPLICATION_CREDENTIALS``). An address after an ``@`` takes the place of the service's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from xmtf.errors import ConfigError, TranslationError, require
from xmtf.translation.marks import StyleName

__all__ = ["DeepLEngine", "GoogleEngine"]

_DEEPL_TEXTS, _GOOGLE_TEXTS = 50, 100
"""Texts that one request may hold."""
_CHARACTERS = 20_000

_DEEPL_TARGETS = {"en": "EN-US", "pt": "PT-PT", "zh": "ZH-HANS", "zh-Hant": "ZH-HANT", "no": "NB"}
_GOOGLE_CODES = {"zh": "zh-CN", "zh-Hant": "zh-TW", "nb": "no"}


class DeepLEngine:
    """``deepl`` or ``deepl@URL``."""

    name = "deepl"
    version = ""
    styles: tuple[StyleName, ...] = ("xml",)

    def __init__(self, url: str = "") -> None:
        """Prepare to ask.

        Raises:
            MissingExtraError: The package deepl is not installed.
            ConfigError: No key is set.
        """
        self._deepl: Any = require("deepl", "deepl")
        key = os.environ.get("DEEPL_AUTH_KEY")
        if not key:
            raise ConfigError("--engine deepl: DEEPL_AUTH_KEY is not set")
        self._client = self._deepl.DeepLClient(key, server_url=url or None, send_platform_info=False)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Ask in batches; see :class:`xmtf.translation.engines.protocol.Engine`."""
        found: list[str] = []
        for batch in _batches(texts, _DEEPL_TEXTS):
            try:
                results = self._client.translate_text(
                    batch,
                    source_lang=source.partition("-")[0].upper(),
                    target_lang=_DEEPL_TARGETS.get(target, target.upper()),
                    tag_handling="xml",
                    preserve_formatting=True,
                )
            except (self._deepl.DeepLException, ValueError, TypeError) as error:
                raise TranslationError(f"deepl: {' '.join(str(error).split())[:300]}") from None
            found += [result.text for result in results]
        return found


class GoogleEngine:
    """``google`` or ``google@URL``: Cloud Translation, basic edition, neural model."""

    name = "google"
    version = "v2 nmt"
    styles: tuple[StyleName, ...] = ("xml",)

    def __init__(self, url: str = "") -> None:
        """Prepare to ask.

        Raises:
            MissingExtraError: The package google-cloud-translate is not installed.
            ConfigError: No credentials are set.
        """
        module: Any = require("google.cloud.translate_v2", "google")
        auth: Any = require("google.auth", "google")
        self._errors = (
            require("google.api_core.exceptions", "google").GoogleAPIError,
            require("google.auth.exceptions", "google").GoogleAuthError,
            ValueError,
            OSError,
        )
        try:
            credentials = require("google.auth.credentials", "google").AnonymousCredentials() if url else None
            options = {"api_endpoint": url} if url else None
            self._client = module.Client(credentials=credentials, client_options=options)
        except auth.exceptions.DefaultCredentialsError:
            raise ConfigError("--engine google: no credentials; set GOOGLE_APPLICATION_CREDENTIALS") from None

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Ask in batches; see :class:`xmtf.translation.engines.protocol.Engine`."""
        first, second = (_GOOGLE_CODES.get(code, code) for code in (source, target))
        found: list[str] = []
        for batch in _batches(texts, _GOOGLE_TEXTS):
            try:
                results = self._client.translate(
                    batch, source_language=first, target_language=second, format_="html", model="nmt"
                )
            except self._errors as error:
                raise TranslationError(f"google: {' '.join(str(error).split())[:300]}") from None
            found += [str(result["translatedText"]) for result in results]
        return found


def _batches(texts: Sequence[str], most: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        if batch and (len(batch) == most or sum(map(len, batch)) + len(text) > _CHARACTERS):
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch
