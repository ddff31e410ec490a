"""Random templates: what they render never holds an address, and is the same in every process."""

import hashlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmtf.errors import TemplateError
from xmtf.templates import Template

ROWS = {
    "text": ["a b", None, "c"],
    "n": [1, -1, None],
    "f": [0.5, float("nan"), 1.0],
    "items": [["x", "y"], [], None],
    "d": [{"values": "V", "k": 1, "l": ["z"]}, {"values": None, "k": 2, "l": []}, None],
}
NAMES = ("text", "n", "f", "items", "d", "d.values", "d.k", "d.l", "range", "loop", "self", "absent", "answer_choices")
FILTERS = (
    "upper",
    "trim",
    "string",
    "map('upper')",
    "select",
    "reject('none')",
    "list",
    "join(', ')",
    "first",
    "last",
    "unique",
    "batch(2)",
    "slice(2)",
    "reverse",
    "sort",
    "length",
    "default('-')",
    "int",
    "float",
    "replace('a', 'b')",
    "items",
    "groupby('k')",
    "choice",
    "most_frequent",
)
METHODS = ("keys", "values", "items", "upper", "split", "append", "join", "get", "index", "count", "pop")


def expression(draw: random.Random, depth: int = 3) -> str:
    """Make an expression; many make no sense, and some print what is no text."""
    if depth == 0 or draw.random() < 0.2:
        return draw.choice((*NAMES, "'s'", "1", "[text, n]", "{'a': items}", "none"))
    inner = expression(draw, depth - 1)
    other = expression(draw, depth - 1)
    return draw.choice(
        (
            f"{inner} | {draw.choice(FILTERS)}",
            f"({inner}) | {draw.choice(FILTERS)} | {draw.choice(FILTERS)}",
            f"({inner}).{draw.choice(METHODS)}",
            f"({inner}).{draw.choice(METHODS)}()",
            f"({inner})[{other}]",
            f"({inner})[0]",
            f"({inner}) ~ ({other})",
            f"({inner}) + ({other})",
            f"'%s' % ({inner})",
            f"({inner}) if ({other}) else text",
            f"({inner}) or ({other})",
            f"[{inner}]",
            f"range(2) | {draw.choice(FILTERS)}",
            f"zip({inner}, items)",
            f"namespace(a={inner})",
        )
    )


def source(draw: random.Random) -> str:
    """Make the source of a template."""
    printed = f"{{{{ {expression(draw)} }}}}"
    body = draw.choice(
        (
            printed,
            f"{{% for x in items %}}{printed}{{{{ loop }}}}{{% endfor %}}",
            f"{{% set x = {expression(draw)} %}}{{{{ x }}}}",
            f"{{% macro m(x) %}}{printed}{{% endmacro %}}{{{{ m }}}}{{{{ m(1) }}}}",
            f"{{% if {expression(draw)} %}}{printed}{{% endif %}}",
            f"{{% filter upper %}}{printed}{{% endfilter %}}",
        )
    )
    return draw.choice((f"{body} ? ||| yes", f"a ? ||| {body}", f"{body} ||| {{{{ answer_choices[n] }}}}"))


def texts(draw: random.Random, mode: str) -> list[str]:
    """Render a random template; return all its texts."""
    template = Template("t", source(draw), draw.choice((None, "no ||| yes", "{{ text }} ||| {{ d.values }}")))
    try:
        found = template.render_table(pa.table(ROWS), dataset="d", subset="", split="s", mode=mode)
    except TemplateError:
        return []
    lists = [*found.targets.to_pylist(), *found.choices.to_pylist()]
    parts = [*found.inputs.to_pylist(), *(text for listed in lists for text in listed or ())]
    return [text for text in parts if text is not None]


@pytest.mark.parametrize("mode", ["fixed", "legacy"])
@settings(max_examples=80)
@given(seed=st.integers(0, 2**40))
def test_rendered_text_never_holds_an_address(mode, seed):
    for text in texts(random.Random(seed), mode):
        assert not re.search(r" at 0x[0-9a-f]{6,}", text, re.IGNORECASE)
        assert mode == "legacy" or not re.search(r"<(generator|built-in|bound|function|class|Macro)|Undefined", text)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**40))
def test_a_null_is_never_rendered(seed):
    for text in texts(random.Random(seed), "fixed"):
        assert "None" not in text
        assert "nan" not in text


def digest(mode: str) -> str:
    """Return a hash of what some hundred random templates render."""
    rendered = [texts(random.Random(seed), mode) for seed in range(150)]
    assert sum(map(len, rendered)) > 75
    return hashlib.sha256(repr(rendered).encode()).hexdigest()


def test_two_processes_render_the_same_bytes():
    here = Path(__file__)
    code = (
        f"import sys; sys.path.insert(0, {str(here.parent)!r}); import {here.stem} as t; "
        "print(t.digest('fixed'), t.digest('legacy'))"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": str(number), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in (1, 2)
    )
    assert len(first.split()) == 2
    assert first == second
