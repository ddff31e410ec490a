"""What a recipe says of conversations: its chat template, and whether anything is written with one."""

from __future__ import annotations

from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.recipe.load import LoadedRecipe
from xmtf.recipe.sections.tokenization import uses_chat
from xmtf.text.files import read_text_file

__all__ = ["read_template", "uses_chat"]


def read_template(loaded: LoadedRecipe) -> str | None:
    """Return the text of the chat template that a recipe names, or None.

    Raises:
        ConfigError: It cannot be read.
    """
    name = loaded.recipe.tokens.chat_template
    if name is None:
        return None
    path: Path = loaded.path.parent / name
    try:
        return read_text_file(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{loaded.path}: tokens.chat_template: {path}: cannot be read ({error})") from None
