"""Two builds of one recipe have the same bytes, whatever its templates do."""

import json
import random

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.templates.test_random_templates import source

from xmtf.errors import TemplateError
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
from xmtf.templates import Template
from xmtf.templates.rendering.fields import absent_fields

RECIPE = """
name: random
own_tasks: [{id: mine, path: rows.jsonl, templates: t.yaml, language: en}]
mixture: {tasks: [{tasks: [mine]}], failing_rows: 1.0}
model: {base: none}
training: {steps: 1}
execution: {engine: inline}
"""


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_two_builds_have_the_same_bytes(tmp_path_factory, seed):
    folder, draw = tmp_path_factory.mktemp("random"), random.Random(seed)
    rows = [
        {"text": f"t{n}", "n": n % 2, "items": ["x", f"y{n}"], "d": {"values": "V", "k": n, "l": ["z"]}}
        for n in range(12)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = (source(draw) for _ in range(40))
    renders = [each for each in sources if _renders(each, pa.Table.from_pylist(rows))][:4]
    drawn = {f"t{number}": each for number, each in enumerate(renders)} | {"plain": "{{ text }} ? ||| {{ n }}"}
    templates = [{"name": name, "jinja": jinja, "answer_choices": "no ||| yes"} for name, jinja in drawn.items()]
    (folder / "t.yaml").write_text(json.dumps({"templates": templates}))
    (folder / "r.yaml").write_text(RECIPE)
    loaded = load_recipe(folder / "r.yaml")
    one, two = (build_mixture(loaded, folder / out) for out in ("one", "two"))
    assert one.outputs == two.outputs
    assert one.counts == two.counts
    assert one.counts["out"] > len(rows)


def _renders(jinja, table):
    """Tell whether a template renders something of most rows, and reads only what they have."""
    template = Template("t", jinja, "no ||| yes")
    try:
        if absent_fields(template.prepared("fixed"), table.schema):
            return False
        return template.render_table(table, dataset="d", subset="", split="s").inputs.null_count <= len(table) / 2
    except TemplateError:
        return False
