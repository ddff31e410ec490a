"""A recipe for one model and one file of rows: what ``xmtf train --model M --data FILE`` writes before it trains.

The recipe is an ordinary one, for people to read and change; the same model, file and overrides give the same recipe, so
the command repeated resumes the run, as ``xmtf run`` on the recipe does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa

from xmtf.conversations.messages import layout_of
from xmtf.errors import ConfigError, MissingExtraError, SourceError
from xmtf.files import MANIFEST, content_hash, write_text
from xmtf.json_types import JsonObject
from xmtf.languages.identifier import shared_identifier
from xmtf.models.files.references import parse_reference, plain_reference
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.load import parse_overrides, resolve_recipe
from xmtf.recipe.yaml_text import yaml_form
from xmtf.sources.files.kinds import stem_of
from xmtf.sources.tables import read_table_file
from xmtf.tokens import load_tokenizer

__all__ = ["Draft", "draft_recipe"]

PAIRS = (("inputs", "targets"), ("prompt", "completion"), ("instruction", "output"), ("question", "answer"))
"""Columns of rows that are a prompt and its answer; the first pair that a file has counts."""
_EPOCHS = 3
_ROWS = 8
"""Packed rows of a step."""
_VALIDATED_FROM = 200
"""Rows from which on some are kept for validation."""
_GUESSED = 200
"""Rows whose language is looked at."""
_SURE = 0.9


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that is not written yet.

    Attributes:
        loaded: The recipe, resolved.
        files: Path -> text: the recipe, and the templates that it names.
        lines: What is there and what is to be made, for people.
    """

    loaded: LoadedRecipe
    files: dict[Path, str]
    lines: tuple[str, ...]

    def write(self) -> None:
        """Write the files that are not there yet.

        Raises:
            ConfigError: One of them says something else already.
        """
        for path, text in self.files.items():
            if path.exists() and path.read_text(encoding="utf-8") != text:
                raise ConfigError(
                    f"{path}: exists and differs; run it (xmtf run {self.loaded.path}), or give this run another name (name=...)"
                )
        for path, text in self.files.items():
            if not path.exists():
                write_text(path, text)


def draft_recipe(
    model: str, data: Path, overrides: Iterable[str] = (), *, language: str | None = None, folder: Path = Path()
) -> Draft:
    """Return a recipe that finetunes a model on a file of rows.

    Rows are conversations (``messages``, ``conversations``) or pairs (:data:`PAIRS`); pairs become conversations where
    the model has a chat template.

    Args:
        model: Folder, GGUF file, ``package:NAME`` or hub id.
        data: File of rows.
        overrides: Keys of the recipe; they become part of it.
        language: Of the answers; default that of the text, where an identifier is sure.
        folder: Where the recipe is to be written.

    Raises:
        SourceError: No such model, or the file cannot be read.
        ConfigError: The file has no such columns; names those that it has.
    """
    overrides = list(overrides)
    table = read_table_file(data)
    if not table.num_rows:
        raise ConfigError(f"{data}: has no rows")
    offline = bool(parse_overrides(overrides).get("offline", False))
    chat = _chat_template(model, offline=offline)
    name = str(parse_overrides(overrides).get("name") or _slug(f"{_short(model)}-{stem_of(data)}"))
    task: JsonObject = {"id": _slug(stem_of(data)), "path": _beside(data, folder)}
    files: dict[Path, str] = {}
    pair = next((pair for pair in PAIRS if set(pair) <= set(table.column_names)), None)
    if "messages" not in table.column_names and pair is not None and _is_text(table, pair):
        templates = folder / f"{name}.templates.yaml"
        files[templates] = _templates(pair)
        task["templates"] = templates.name
        columns: tuple[str, ...] = pair
    elif (layout := layout_of(table.column_names)) is not None:
        task["kind"] = "conversation"
        columns = layout
    else:
        known = ["messages", *(" and ".join(pair) for pair in PAIRS)]
        raise ConfigError(
            f"{data}: no columns to train on: it has {', '.join(table.column_names)}; it takes {', or '.join(known)}. "
            "Other columns need a template: see examples/own-data"
        )
    task["language"], why = (language, "as given") if language else _language(table, columns)
    chatty = chat and "templates" in task
    recipe = _recipe(name, model, task, table.num_rows, chat=chatty)
    path = folder / f"{name}.yaml"
    loaded = resolve_recipe(recipe, path, overrides)
    text = StringIO()
    yaml_form().dump(recipe, text)
    files[path] = f"# Written by `xmtf train --model {model} --data {data}`; every key can be changed.\n{text.getvalue()}"
    asked = "conversations" if "kind" in task else "pairs, as conversations in the model's chat format" if chatty else "pairs"
    lines = (
        f"recipe     {path} ({'exists' if path.exists() else 'new'}); `xmtf run {path}` resumes it",
        f"data       {data}: {table.num_rows:,} rows, {asked} ({' and '.join(columns)}), language {task['language']} ({why})",
        *_stages(loaded),
    )
    return Draft(loaded, files, lines)


def _recipe(name: str, model: str, task: JsonObject, rows: int, *, chat: bool) -> JsonObject:
    return {
        "name": name,
        "own_tasks": [task],
        "mixture": {
            "tasks": [{"tasks": [task["id"]]}],
            "validation_fraction": 0.05 if rows >= _VALIDATED_FROM else 0.0,
        },
        "tokens": {"packing": {"sequence_length": 1024}} | ({"chat": "all"} if chat else {}),
        "model": {"base": model, "lora": {"rank": 16, "alpha": 32.0}},
        "training": {
            "steps": max(10, min(1000, _EPOCHS * rows // _ROWS)),
            "global_batch_rows": _ROWS,
            "micro_batch_rows": 1,
            "optimizer": {"learning_rate": 2e-4},
            "log_every": 1 if rows < _VALIDATED_FROM else 10,
        },
    }


def _stages(loaded: LoadedRecipe) -> Iterable[str]:
    """Yield what of the run stands and what is to be made."""
    recipe, run = loaded.recipe, loaded.run
    for stage, folder in (("mixture", run.mixture), ("tokens", run.tokens), ("model", run.model)):
        yield f"{stage:<10} {folder} ({'exists' if (folder / MANIFEST).is_file() else 'to be made'})"
    trained = "all weights" if recipe.model.lora is None else f"adapters of rank {recipe.model.lora.rank}"
    if recipe.model.quantize is not None:
        trained = f"{trained} on weights in {recipe.model.quantize}"
    length = recipe.tokens.packing.sequence_length
    training = recipe.training
    much = f"{training.steps:,} steps" if training.steps is not None else f"{training.tokens:,} tokens"
    yield (
        f"training   {trained}, {much} of {training.global_batch_rows} rows of {length:,} tokens, learning rate "
        f"{training.optimizer.learning_rate:g}"
    )


def _chat_template(model: str, *, offline: bool) -> bool:
    return bool(load_tokenizer(plain_reference(model), offline=offline).about.get("chat_template"))


def _is_text(table: pa.Table, columns: Iterable[str]) -> bool:
    kinds = [table.schema.field(column).type for column in columns]
    return all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds)


def _templates(pair: tuple[str, str]) -> str:
    inputs, targets = pair
    number = content_hash(pair)
    identity = "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:32]))
    return f"""\
# promptsource's format: the part before ||| is the input, the part after it the target.
dataset: own
templates:
  {identity}: !Template
    id: {identity}
    name: as it is
    jinja: '{{{{ {inputs} }}}} ||| {{{{ {targets} }}}}'
    answer_choices: null
    reference: ''
    metadata: !TemplateMetadata
      choices_in_prompt: false
      languages: [en]
      metrics: []
      original_task: true
"""


def _language(table: pa.Table, columns: Iterable[str]) -> tuple[str, str]:
    """Return the language of the text of some columns together, and how it was found."""
    try:
        identify = shared_identifier()
    except MissingExtraError:
        return "en", "assumed; --language sets another"
    rows = table.select(list(columns)).slice(0, _GUESSED).to_pylist()
    found = identify(" ".join(_text(value) for row in rows for value in row.values()))
    if found.confidence < _SURE or not found.in_its_script:
        return "en", "assumed: not detectable from the text; --language sets another"
    return found.language, "detected; --language sets another"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(turn.get("content") or turn.get("value") or "") for turn in value if isinstance(turn, dict))
    return str(value or "")


def _beside(path: Path, folder: Path) -> str:
    """Return a path as a recipe in a folder names it: relative where it lies under the folder."""
    whole, start = path.resolve(), folder.resolve()
    return whole.relative_to(start).as_posix() if whole.is_relative_to(start) else str(whole)


def _short(model: str) -> str:
    return parse_reference(model).label.rstrip(os.sep).rsplit("/", 1)[-1]


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "own"
