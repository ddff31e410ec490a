"""Template files: promptsource's YAML, and a plainer form to write by hand.

Both forms are read everywhere. promptsource's::

    dataset: xnli
    subset: fr
    templates:
      0fd68cdf-0488-4a70-a075-74df1883b784: !Template
        id: 0fd68cdf-0488-4a70-a075-74df1883b784
        name: can we infer
        jinja: '{{premise}} ... ||| {{answer_choices[label]}}'
        answer_choices: Yes ||| Maybe ||| No
        metadata: !TemplateMetadata {languages: [en], metrics: [Accuracy], original_task: true, choices_in_prompt: null}
        reference: ''

The plain form is a list, without ids, with the fields of :class:`Template`; ``language`` and
``translation`` at the top are the default for all; what translated entries say more is in
:mod:`xmtf.templates.languages.translated`::

    language: en
    templates:
      - name: can we infer
        answer_choices: Yes ||| Maybe ||| No
        jinja: |-
          {{premise}} ... ||| {{answer_choices[label]}}

Scalars are read as written (``no`` is a text), tags make no objects, and no key is ever code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from xmtf.errors import TemplateError
from xmtf.execution import warn
from xmtf.languages.codes import normalize_language
from xmtf.recipe.yaml_text import check_nesting
from xmtf.records import Translation
from xmtf.templates.languages.names import language_of_name
from xmtf.templates.languages.prompt_language import Guess, literal_text, prompt_language
from xmtf.templates.languages.translated import Translated, read_translated
from xmtf.templates.template import Template
from xmtf.text.files import NotUtf8Error, read_text_file

__all__ = ["TemplateFile", "parse_promptsource", "read_promptsource", "read_template_file"]

_Loader: object = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_TRANSLATIONS: dict[str, Translation] = {"none": "none", "human": "human", "machine": "machine"}


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """One file of templates.

    Attributes:
        dataset: What its header names, or ``""``; the path wins.
        subset: What its header names, or ``""``.
        templates: In the order of the file.
        keys: Key of each template in the file (its UUID in promptsource's form, else ``""``).
        assumed: Names of those that nothing tells the language of, so that English is assumed.
        lines: Line of the file on which each template begins, from 1.
    """

    dataset: str
    subset: str
    templates: tuple[Template, ...]
    keys: tuple[str, ...]
    assumed: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


def read_template_file(path: Path, *, last_counts: bool = False) -> tuple[Template, ...]:
    """Read the templates of a file in either form, in the order of the file.

    Args:
        path: The file.
        last_counts: Whether of templates under one key the last counts, as where promptsource reads the file.

    Raises:
        TemplateError: The file is missing, is no YAML, an entry has no name or no source, or a key occurs twice and
            ``last_counts`` is not set; names the file.
    """
    file = read_promptsource(path)
    last = {key: number for number, key in enumerate(file.keys) if key}
    kept = tuple(
        template
        for number, (key, template) in enumerate(zip(file.keys, file.templates, strict=True))
        if not key or last[key] == number
    )
    if len(kept) < len(file.templates):
        twice = [key for key, count in Counter(filter(None, file.keys)).items() if count > 1]
        if not last_counts:
            raise TemplateError(f"{path}: {file.keys.count(twice[0])} templates have the key {twice[0]!r}")
        _warn_once(
            f"{path}: keys occur more than once, and the last template of each is used, as in promptsource: "
            f"{', '.join(twice)}"
        )
    return kept


@cache
def _warn_once(text: str) -> None:
    warn(text)


def read_promptsource(path: Path) -> TemplateFile:
    """Read a file with its header; see :func:`read_template_file`.

    Raises:
        TemplateError: As in :func:`read_template_file`.
    """
    try:
        text = read_text_file(path)
    except FileNotFoundError:
        raise TemplateError(f"{path}: no such file (looked in {path.parent.resolve()})") from None
    except NotUtf8Error as error:
        raise TemplateError(str(error)) from None
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read ({error})") from None
    return parse_promptsource(text, path)


def parse_promptsource(text: str, path: Path) -> TemplateFile:
    """Return what is in the text of a file; see :func:`read_template_file`.

    Raises:
        TemplateError: As in :func:`read_template_file`.
    """
    try:
        check_nesting(text)
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TemplateError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    header = _mapping(root, f"{path}: a file of templates") if root is not None else {}
    entries = header.get("templates")
    nodes: list[tuple[str, yaml.Node]] = []
    if isinstance(entries, yaml.SequenceNode):
        nodes = [("", node) for node in entries.value]
    elif entries is not None and entries.tag != _NULL:
        nodes = [(str(key.value), node) for key, node in _pairs(entries, f"{path}: templates")]
    dataset, subset = _text(header.get("dataset")) or "", _text(header.get("subset")) or ""
    whole = " ".join(_literal_text(node) for _, node in nodes if not _says_language(node))
    read = [
        _template(node, key, header, f"{path}: template {key or number}", _Frame((dataset, subset), whole))
        for number, (key, node) in enumerate(nodes, start=1)
    ]
    keys = tuple(key for key, _ in nodes)
    assumed = tuple(template.name for template, is_assumed in read if is_assumed)
    lines = tuple(node.start_mark.line + 1 for _, node in nodes)
    return TemplateFile(dataset, subset, tuple(template for template, _ in read), keys, assumed, lines)


class _Frame(NamedTuple):
    """What surrounds a template: dataset and subset of its file, and the literal text of all that name no language."""

    names: tuple[str, str]
    text: str


def _says_language(node: yaml.Node) -> bool:
    """Return whether a template names its own language, so that its text tells nothing of the others."""
    if not isinstance(node, yaml.MappingNode):
        return False
    fields = {str(key.value): value for key, value in node.value}
    metadata = fields.get("metadata")
    told = {str(key.value) for key, _ in metadata.value} if isinstance(metadata, yaml.MappingNode) else fields.keys()
    return not told.isdisjoint(("state", "language")) or language_of_name(_text(fields.get("name")) or "") is not None


def _literal_text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.MappingNode):
        return ""
    fields = {str(key.value): value for key, value in node.value}
    return literal_text(_text(fields.get("jinja")), _text(fields.get("answer_choices")))


def _template(
    node: yaml.Node, key: str, header: dict[str, yaml.Node], where: str, frame: _Frame
) -> tuple[Template, bool]:
    """Return a template, and whether its language is only assumed."""
    fields = _mapping(node, where)
    name = _text(fields.get("name"))
    if not name:
        raise TemplateError(f"{where}: has no name")
    where = f"{where} ({name!r})"
    jinja = _text(fields.get("jinja"))
    if jinja is None:
        raise TemplateError(f"{where}: has no jinja source")
    told = _mapping(fields["metadata"], f"{where}: metadata") if "metadata" in fields else fields
    translated = _translated(told, where)
    if translated is None:
        guess, translation = _language(name, told, header, where, _literal_text(node), frame)
    else:
        guess, translation = Guess(_own_language(told, where)), translated.translation
    template = Template(
        name=name,
        jinja=jinja,
        answer_choices=_text(fields.get("answer_choices")),
        language=guess.code,
        translation=translation,
        metrics=_texts(told.get("metrics"), f"{where}: metrics"),
        id=_text(fields.get("id")) or key,
        reference=_text(fields.get("reference")) or "",
        original_task=_flag(told.get("original_task"), f"{where}: original_task"),
        choices_in_prompt=_flag(told.get("choices_in_prompt"), f"{where}: choices_in_prompt"),
        translated=translated,
        told_by=guess.told_by,
    )
    return template, guess.is_assumed


def _translated(told: dict[str, yaml.Node], where: str) -> Translated | None:
    if "state" not in told:
        return None
    languages = (_text(told.get("language")),) if "language" in told else ()
    listed = _texts(told.get("languages"), f"{where}: languages")
    texts = {key: _text(value) for key, value in told.items()}
    return read_translated(texts, tuple(code for code in languages if code) or listed, where)


def _own_language(told: dict[str, yaml.Node], where: str) -> str:
    code = _text(told.get("language")) or _texts(told.get("languages"), f"{where}: languages")[0]
    return normalize_language(code, where)


def _language(
    name: str, told: dict[str, yaml.Node], header: dict[str, yaml.Node], where: str, text: str, frame: _Frame
) -> tuple[Guess, Translation]:
    """Return language and translation.

    What counts: the entry's own keys, its name's suffix, the file's header, then its text and its metadata: many
    translated prompts still carry the ``languages: [en]`` of their original.
    """
    of_name = language_of_name(name)
    languages = _texts(told.get("languages"), f"{where}: languages")
    given = _text(told.get("language")) or (of_name[0] if of_name else None)
    given = given or (None if languages else _text(header.get("language")))
    if given is None:
        said = normalize_language(languages[0], where) if languages else None
        guess = prompt_language(text, frame.text, said, frame.names)
    else:
        guess = Guess(given)
    translation = _text(told.get("translation")) or (of_name[1] if of_name else None)
    translation = translation or _text(header.get("translation")) or "none"
    if translation not in _TRANSLATIONS:
        raise TemplateError(f"{where}: translation is {translation!r}; it is one of {', '.join(_TRANSLATIONS)}")
    return guess._replace(code=normalize_language(guess.code, where)), _TRANSLATIONS[translation]


def _pairs(node: yaml.Node, where: str) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise TemplateError(f"{where}: line {line}: expected keys and values")
    return list(node.value)


def _mapping(node: yaml.Node, where: str) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in _pairs(node, where)}


def _text(node: yaml.Node | None) -> str | None:
    """Return a scalar as it is written, or None where it is null or absent."""
    if node is None or node.tag == _NULL or not isinstance(node, yaml.ScalarNode):
        return None
    return str(node.value)


def _texts(node: yaml.Node | None, where: str) -> tuple[str, ...]:
    if node is None or node.tag == _NULL:
        return ()
    if not isinstance(node, yaml.SequenceNode):
        raise TemplateError(f"{where}: line {node.start_mark.line + 1}: expected a list")
    return tuple(text for text in map(_text, node.value) if text is not None)


def _flag(node: yaml.Node | None, where: str) -> bool | None:
    text = _text(node)
    if text is None or text == "":
        return None
    if text.lower() not in ("true", "false"):
        raise TemplateError(f"{where}: {text!r} is neither true nor false")
    return text.lower() == "true"
