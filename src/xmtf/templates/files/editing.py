"""A template file changed in place: entries added, fields of entries replaced, every other byte as it was."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from xmtf.errors import TemplateError
from xmtf.templates.languages.translated import KEYS
from xmtf.templates.template import Template

__all__ = ["TemplateEditor", "read_editor"]

_PLAIN = re.compile(r"[a-z][a-z_]*(?: [a-z_]+)*|\d{4}-\d\d-\d\d")
_NOT_PLAIN = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_TOP = ("name", "jinja", "answer_choices", "reference")
_METADATA = "metadata"

Value = str | bool | Sequence[str] | None
"""Of a field: a text, a flag, a list of words, or null."""


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
            TemplateError: It is not file of templates in block style.
        """
        self._text = text
        self._where = where
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[_Edit] = []
        self._added: list[str] = []
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # the C loader's places are not those of characters
        node = _value(root, "templates") if isinstance(root, yaml.MappingNode) else None
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            raise TemplateError(f"{where}: has no list of templates in block style (one per line); write it so")
        self._is_keyed = isinstance(node, yaml.MappingNode)
        pairs = node.value if self._is_keyed else [(None, entry) for entry in node.value]
        self._entries: list[yaml.MappingNode] = [entry for _, entry in pairs]
        self._starts: list[yaml.Node] = [key or entry for key, entry in pairs]
        self._ids = {str(key.value) for key, _ in pairs if key is not None}
        self._indent = node.start_mark.column
        self._header = " ".join(
            str(value.value) for key in ("dataset", "subset") if (value := _value(root, key)) is not None
        )

    def add(self, template: Template) -> str:
        """Add an entry at the end; return its id, which depends on its name, or ``""`` in files without ids."""
        name = (template.id or self._new_id(template.name)) if self._is_keyed else ""
        self._ids.add(name)
        self._added.append(self._entry(template, name))
        return name

    def _new_id(self, name: str) -> str:
        """Return an id that no entry has; the same for the same file and name."""
        for more in itertools.count():
            about = f"{self._header} {name}" + (f" {more}" if more else "")
            found = str(uuid.uuid5(uuid.NAMESPACE_URL, about))
            if found not in self._ids:
                break
        return found

    def remove(self, number: int) -> None:
        """Take an entry out, with its lines.

        Args:
            number: Which entry of the file.

        Raises:
            TemplateError: It is the only one: a file of no templates is none.
        """
        if len(self._entries) == 1:
            raise TemplateError(f"{self._where}: would have no templates; delete the file instead")
        start = self._text.rfind("\n", 0, self._starts[number].start_mark.index) + 1
        self._edits.append(_Edit(start, self._line_end(self._entries[number]), ""))

    def set(self, number: int, values: Mapping[str, Value]) -> None:
        """Replace fields of an entry.

        Args:
            number: Which entry of the file.
            values: ``name``, ``jinja``, ``answer_choices``, ``reference``, ``state`` or other metadata -> new value.
        """
        entry = self._entries[number]
        metadata = _value(entry, _METADATA) if self._is_keyed else entry
        new: dict[str, Value] = {}
        new_top: dict[str, Value] = {}
        for key, value in values.items():
            holder = entry if key in _TOP else metadata
            node = _value(holder, key) if isinstance(holder, yaml.MappingNode) else None
            if node is None or holder is None:
                (new_top if key in _TOP else new)[key] = value
            elif not _holds(node, value):
                self._replace(node, value, _key(holder, key), in_flow=bool(holder.flow_style))
        if new_top and not self._is_keyed:
            new, new_top = new_top | new, {}
        if new:
            self._insert_metadata(entry, metadata, new)
        if new_top:  # behind the metadata, should these end the entry
            self._insert(entry, new_top)

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

    def _replace(self, node: yaml.Node, value: Value, key: yaml.Node, *, in_flow: bool) -> None:
        column = key.start_mark.column
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            start, end = self._text.index(":", key.end_mark.index) + 1, self._line_end(node)
            if value and isinstance(value, Sequence) and not isinstance(value, str):
                pad = " " * node.start_mark.column
                items = "".join(f"{pad}- {self._word(each)}{self._newline}" for each in value)
                self._edits.append(_Edit(start, end, self._newline + items))
            else:
                self._edits.append(_Edit(start, end, f" {self._written(value, column, inline=True)}{self._newline}"))
            return
        was_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        rest = self._text[end:].partition("\n")[0].strip()
        written = self._written(value, column, inline=in_flow or (not was_block and bool(rest)))
        is_block = written.endswith(self._newline)
        if was_block and not is_block:
            written += self._newline
        if is_block and not was_block:
            written = written.removesuffix(self._newline)
        if start == end and self._text[start - 1 : start] == ":":  # a key without a value, which is null
            written = f" {written}"
        self._edits.append(_Edit(start, end, written))

    def _insert_metadata(
        self, entry: yaml.MappingNode, metadata: yaml.Node | None, values: Mapping[str, Value]
    ) -> None:
        if isinstance(metadata, yaml.MappingNode) and (metadata.flow_style or metadata.value):
            self._insert(metadata, values)
            return
        column = entry.value[0][0].start_mark.column
        self._insert(entry, values, f"{' ' * column}metadata: !TemplateMetadata{self._newline}", 2)

    def _insert(self, holder: yaml.MappingNode, values: Mapping[str, Value], head: str = "", deeper: int = 0) -> None:
        """Put new keys behind those of a mapping, under a line of their own where one is given."""
        if holder.flow_style:
            written = ", ".join(f"{key}: {self._written(value, 0, inline=True)}" for key, value in values.items())
            end = len(self._text[: holder.end_mark.index - 1].rstrip())
            self._edits.append(_Edit(end, end, (", " if holder.value else "") + written))
            return
        column = holder.value[0][0].start_mark.column + deeper
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

    def _entry(self, template: Template, name: str) -> str:
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
            inner = " " * (column + 2)
            text = f"{pad}{name}: !Template{self._newline}" + self._fields({"id": name, **fields}, column)
            text += f"{' ' * column}metadata: !TemplateMetadata{self._newline}"
            text += self._marked(lists, flags, inner) + self._fields(metadata, column + 2)
            return text + self._fields({"reference": template.reference}, column)
        metadata |= {"reference": template.reference} if template.reference else {}
        text = self._fields(fields, column) + self._marked(lists, flags, " " * column) + self._fields(metadata, column)
        return f"{pad}- {text[column:]}"

    def _marked(self, lists: Mapping[str, list[str]], flags: Mapping[str, bool | None], pad: str) -> str:
        lines = [f"{key}: [{', '.join(map(self._word, values))}]" for key, values in lists.items() if values]
        lines += [f"{key}: {str(value).lower()}" for key, value in flags.items() if value is not None]
        return "".join(f"{pad}{line}{self._newline}" for line in lines)

    def _word(self, value: str) -> str:
        return value if re.fullmatch(r"[A-Za-z][\w-]*", value) and value.lower() not in _NOT_PLAIN else _quoted(value)

    def _fields(self, values: Mapping[str, Value], column: int) -> str:
        text = ""
        for key, value in values.items():
            written = self._written(value, column, inline=False)
            text += f"{' ' * column}{key}: {written}" + ("" if written.endswith(self._newline) else self._newline)
        return text

    def _written(self, value: Value, column: int, *, inline: bool) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if value is None or isinstance(value, str):
            return self._scalar(value, column, inline=inline)
        return f"[{', '.join(map(self._word, value))}]"

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


def _holds(node: yaml.Node, value: Value) -> bool:
    """Whether a node says a value already."""
    if isinstance(node, yaml.SequenceNode):
        return [each.value for each in node.value] == (
            None if value is None or isinstance(value, (str, bool)) else [*value]
        )
    if not isinstance(node, yaml.ScalarNode) or _is_null(node):
        return value is None and isinstance(node, yaml.ScalarNode)
    if isinstance(value, bool):
        return bool(node.tag == "tag:yaml.org,2002:bool" and node.value.lower() == str(value).lower())
    return bool(node.value == value)


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def read_editor(path: Path) -> TemplateEditor:
    """Return an editor of a file as it is on disk, byte order mark and line ends included.

    Raises:
        TemplateError: As in :class:`TemplateEditor`.
    """
    return TemplateEditor(path.read_bytes().decode("utf-8"), str(path))
