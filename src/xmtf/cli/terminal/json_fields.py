"""The fields of what ``--json`` prints, as the page lists them and the tests compare them with what is printed.

The page is made by ``python -m xmtf.cli.terminal.json_fields > docs/json.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from xmtf.cli.terminal.printing import print_text
from xmtf.json_types import JsonObject

__all__ = ["Answer", "answers", "json_page", "problems", "verbs_without"]

Form = Literal["object", "lines", "list"]
_OPTION = re.compile(r"--[a-z-]+(?: [A-Z][A-Z.a-z]+| every-eval-ever)?")
_FORMS: dict[Form, str] = {
    "object": "One object.",
    "lines": "One object per line.",
    "list": "A list of objects.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer of a verb.

    Attributes:
        form: How it is printed.
        fields: Name -> meaning; ``name?`` may be absent, ``*`` is any other name, ``list[].name`` a field of records.
        when: Options under which it is printed, or ``""``.
    """

    form: Form
    fields: Mapping[str, str]
    when: str = ""


@cache
def _registry() -> JsonObject:
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    found: JsonObject = yaml.safe_load(text)
    return found


def answers() -> dict[str, tuple[Answer, ...]]:
    """Return verb, such as ``data build`` -> its kinds of answers."""
    return {verb: tuple(Answer(**answer) for answer in found) for verb, found in _registry()["verbs"].items()}


def verbs_without() -> dict[str, str]:
    """Return the verbs that have no ``--json``, and why."""
    found: dict[str, str] = _registry()["without"]
    return found


def problems(verb: str, printed: object) -> list[str]:
    """Return what of a printed value is not as the page says; nothing where one kind of answer fits whole.

    Args:
        verb: Such as ``data build``.
        printed: What was printed at once: an object, or a list of objects.

    >>> problems("evaluate suites", {"name": "L1", "kind": "rank", "note": ""})
    ["'note' is not documented", "'about' is documented and was not printed"]
    """
    known = answers().get(verb)
    if known is None:
        return [f"{verb}: is not documented"]
    records = printed if isinstance(printed, list) else [printed]
    found = [_differences(answer, records) for answer in known if (answer.form == "list") == isinstance(printed, list)]
    return min(found, key=len) if found else [f"{verb}: is documented in another form"]


def _differences(answer: Answer, records: list[Any]) -> list[str]:
    named = {name.removesuffix("?"): not name.endswith("?") for name in answer.fields}
    lists = {name.partition("[]")[0] for name in named if "[]" in name}
    scalars = [name for record in records for name in lists & set(record) if not isinstance(record[name], list)]
    found = [f"{name!r} is documented as a list" for name in scalars]
    for prefix, record in _nested(records, named):
        here = {name.removeprefix(prefix) for name in named if name.startswith(prefix)}
        here = {name for name in here if "[]." not in name}
        if "*" not in here:
            found += [f"{prefix + name!r} is not documented" for name in record if name not in here]
        lacking = [name for name in sorted(here - {"*"}) if named[prefix + name] and name not in record]
        found += [f"{prefix + name!r} is documented and was not printed" for name in lacking]
    return list(dict.fromkeys(found))


def _nested(records: list[Any], named: Mapping[str, bool]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield objects with what is before the names of their fields: the records, and those in their lists."""
    lists = {name.partition("[].")[0] for name in named if "[]." in name}
    for record in records:
        yield "", record
        for name in lists & set(record):
            if isinstance(record[name], list):
                yield from ((f"{name}[].", each) for each in record[name])


def json_page() -> str:
    """Return ``docs/json.md``."""
    parts = [_INTRODUCTION]
    for verb, kinds in sorted(answers().items()):
        parts.append(f"## xmtf {verb}\n")
        parts += [_section(answer) for answer in kinds]
    parts.append("## Verbs without --json\n\n| verb | why |\n| --- | --- |\n")
    parts.append("".join(f"| `xmtf {verb}` | {why} |\n" for verb, why in verbs_without().items()))
    return "\n".join(parts)


_INTRODUCTION = """\
# JSON output

Every verb that a script reads takes `--json`. Results go to stdout: one object, one object per line, or a list of
objects. Progress and messages stay on stderr, and so do errors, as an object with a stable code
([errors.md](errors.md)). Paths are printed as they were given or as the recipe has them. Fields may be added; none
is renamed or removed within a major version. A field with `?` is not in every answer; `*` stands for names that
depend on the data.

    xmtf run demo --json | jq -r '.results[] | [.suite, .metric, .values.after.value] | @tsv'

This page is generated from the code: `python -m xmtf.cli.terminal.json_fields > docs/json.md`. The tests compare it
with what the verbs print.
"""


def _section(answer: Answer) -> str:
    assert answer.form in get_args(Form)
    when = _OPTION.sub(r"`\g<0>`", answer.when)
    heading = f"With {when}: " if answer.when.startswith("-") else f"{when}: ".lstrip(": ")
    how = _FORMS[answer.form]
    how = f"{heading[:1].upper()}{heading[1:]}{how[:1].lower()}{how[1:]}" if heading else how
    rows = "".join(f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |\n" for name, meaning in answer.fields.items())
    return f"{how}\n\n| field | |\n| --- | --- |\n{rows}"


if __name__ == "__main__":
    print_text(json_page(), end=False)
