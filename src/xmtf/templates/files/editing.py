"""A template file changed in place: entries added, fields of entries replaced, every other byte as it was."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from xmtf.errors import TemplateError
from xmtf.templates.languages.translated import KEYS
from xmtf.templates.template import Template

__all__ = ["TemplateEditor", "read_editor"]

_PLAIN = re.compile(r"[a-z][a-z_]*(?: [a-z_]+)*|\d{4}-\d\d-\d\d")
_NOT_PLAIN = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_TOP = ("name", "jinja", "answer_choices")
_METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


class TemplateEditor:
    """Changes to one file, written all at once as :meth:`text`."""

    def __init__(self, text: str, where: str) -> None:
        """Read a file.

        Args:
            text: Its content; line ends of any system.
            where: Names it in errors.

        Raises:
            TemplateError: It is no file of templates in block style.
        """
        self._text = text
        self._where = where
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[_Edit] = []
        self._added: list[str] = []
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # the C loader's places are not those of characters
        node = _value(root, "templates") if isinstance(root, yaml.MappingNode) else None
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            raise TemplateError(f"{where}: has no list of templates in block style, one below the other; write it so")
        self._is_keyed = isinstance(node, yaml.MappingNode)
        pairs = node.value if self._is_keyed else [(None, entry) for entry in node.value]
        self._entries: list[yaml.MappingNode] = [entry for _, entry in pairs]
        self._indent = node.start_mark.column
        self._header = " ".join(
            str(value.value) for key in ("dataset", "subset") if (value := _value(root, key)) is not None
        )

    def add(self, template: Template) -> None:
        """Add an entry at the end."""
        self._added.append(self._entry(template))

    def set(self, number: int, values: Mapping[str, str | None]) -> None:
        """Replace fields of an entry: ``name``, ``jinja``, ``answer_choices``, ``state`` and the other metadata.

        Args:
            number: Which entry of the file.
            values: Field -> new value.
        """
        entry = self._entries[number]
        metadata = _value(entry, _METADATA) if self._is_keyed else entry
        new: dict[str, str | None] = {}
        for key, value in values.items():
            holder = entry if key in _TOP else metadata
            node = _value(holder, key) if isinstance(holder, yaml.MappingNode) else None
            if node is None or holder is None:
                new[key] = value
            elif not isinstance(node, yaml.ScalarNode) or node.value != value or _is_null(node) != (value is None):
                column = _key(holder, key).start_mark.column
                self._replace(node, value, column, in_flow=bool(holder.flow_style))
        if new:
            self._insert(entry, metadata, new)

    def text(self) -> str:
        """Return the file with all changes."""
        edits = list(self._edits)
        if self._added:
            end = self._line_end(self._entries[-1])
            gap = "" if self._text[:end].endswith("\n") else self._newline
            edits.append(_Edit(end, end, gap + "".join(self._added)))
        text, at = "", 0
        for edit in sorted(edits, key=lambda each: (each.start, each.end)):
            text, at = text + self._text[at : edit.start] + edit.text, edit.end
        return text + self._text[at:]

    def _replace(self, node: yaml.Node, value: str | None, column: int, *, in_flow: bool) -> None:
        start, end = node.start_mark.index, node.end_mark.index
        was_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        rest = self._text[end:].partition("\n")[0].strip()
        written = self._scalar(value, column, inline=in_flow or (not was_block and bool(rest)))
        is_block = written.endswith(self._newline)
        if was_block and not is_block:
            written += self._newline
        if is_block and not was_block:
            written = written.removesuffix(self._newline)
        self._edits.append(_Edit(start, end, written))

    def _insert(self, entry: yaml.MappingNode, metadata: yaml.Node | None, values: Mapping[str, str | None]) -> None:
        if isinstance(metadata, yaml.MappingNode) and metadata.flow_style:
            written = ", ".join(f"{key}: {self._scalar(value, 0, inline=True)}" for key, value in values.items())
            end = metadata.end_mark.index - 1
            end = len(self._text[:end].rstrip())
            comma = ", " if metadata.value else ""
            self._edits.append(_Edit(end, end, comma + written))
            return
        if isinstance(metadata, yaml.MappingNode) and metadata.value:
            holder, column, head = metadata, metadata.value[0][0].start_mark.column, ""
        else:
            column = entry.value[0][0].start_mark.column
            holder, head = entry, f"{' ' * column}metadata: !TemplateMetadata{self._newline}"
            column += 2
        end = self._line_end(holder)
        gap = "" if self._text[:end].endswith("\n") else self._newline
        self._edits.append(_Edit(end, end, gap + head + self._fields(values, column)))

    def _line_end(self, node: yaml.Node) -> int:
        """Return where the line ends on which the last value of a node stands."""
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        end = node.end_mark.index
        if end and self._text[end - 1] == "\n":
            stripped = len(self._text[:end].rstrip("\r\n \t"))
            found = self._text.find("\n", stripped)
            return end if found < 0 else found + 1
        found = self._text.find("\n", end)
        return len(self._text) if found < 0 else found + 1

    def _entry(self, template: Template) -> str:
        told = template.translated
        fields: dict[str, str | None] = {
            "name": template.name,
            "jinja": template.jinja,
            "answer_choices": template.answer_choices,
        }
        lists = {"languages": [template.language], "metrics": list(template.metrics)}
        flags = {"original_task": template.original_task, "choices_in_prompt": template.choices_in_prompt}
        metadata: dict[str, str | None] = {}
        if told is not None:
            metadata = {"state": told.state}
            metadata |= {key: str(getattr(told, key)) for key in KEYS if getattr(told, key)}
        pad = " " * self._indent
        column = self._indent + 2
        if self._is_keyed:
            name = template.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._header} {template.name}"))
            inner = " " * (column + 2)
            text = f"{pad}{name}: !Template{self._newline}" + self._fields({"id": name, **fields}, column)
            text += f"{' ' * column}metadata: !TemplateMetadata{self._newline}"
            text += self._marked(lists, flags, inner) + self._fields(metadata, column + 2)
            return text + self._fields({"reference": template.reference}, column)
        text = self._fields(fields, column) + self._marked(lists, flags, " " * column) + self._fields(metadata, column)
        return f"{pad}- {text[column:]}"

    def _marked(self, lists: Mapping[str, list[str]], flags: Mapping[str, bool | None], pad: str) -> str:
        lines = [f"{key}: [{', '.join(map(self._word, values))}]" for key, values in lists.items() if values]
        lines += [f"{key}: {str(value).lower()}" for key, value in flags.items() if value is not None]
        return "".join(f"{pad}{line}{self._newline}" for line in lines)

    def _word(self, value: str) -> str:
        return value if re.fullmatch(r"[A-Za-z][\w-]*", value) and value.lower() not in _NOT_PLAIN else _quoted(value)

    def _fields(self, values: Mapping[str, str | None], column: int) -> str:
        text = ""
        for key, value in values.items():
            written = self._scalar(value, column, inline=False)
            text += f"{' ' * column}{key}: {written}" + ("" if written.endswith(self._newline) else self._newline)
        return text

    def _scalar(self, value: str | None, column: int, *, inline: bool) -> str:
        """Return a value as YAML: a literal block, which ends with a line end, or one line."""
        if value is None:
            return "null"
        if "\n" in value and not inline:
            block = "|-\n" + "".join(f"{' ' * (column + 2) if line else ''}{line}\n" for line in value.split("\n"))
            if _reads_as(block.replace("\n" + " " * (column + 2), "\n  "), value):
                return block.replace("\n", self._newline)
        if _PLAIN.fullmatch(value) and value not in _NOT_PLAIN:
            return value
        return _quoted(value)


def _reads_as(block: str, value: str) -> bool:
    try:
        node = yaml.compose(f"k: {block}", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    found = _value(node, "k")
    return found is not None and found.value == value


def _quoted(value: str) -> str:
    return str(yaml.dump(value, default_style='"', allow_unicode=True, width=10**9)).removesuffix("\n")


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _value(node: yaml.Node, key: str) -> yaml.Node | None:
    return next((value for name, value in _pairs(node) if name.value == key), None)


def _key(node: yaml.Node, key: str) -> yaml.Node:
    return next(name for name, _ in _pairs(node) if name.value == key)


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def read_editor(path: Path) -> TemplateEditor:
    """Return an editor of a file as it stands on disk, byte order mark and line ends included.

    Raises:
        TemplateError: As in :class:`TemplateEditor`.
    """
    return TemplateEditor(path.read_bytes().decode("utf-8"), str(path))
