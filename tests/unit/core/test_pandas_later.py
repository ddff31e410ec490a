import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import importlib.util
from xmtf.cli.app import main
sys.argv = ["xmtf", "data", "build", "recipe.yaml", "--out", "mixture"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "pandas" not in sys.modules
assert importlib.util.find_spec("pandas").origin.endswith("__init__.py")  # looking for it is not loading it
import pyarrow as pa
if LATER == "imported":
    import pandas
else:
    assert type(pa.table({"a": [1]}).to_pandas()).__name__ == "DataFrame"
    import pandas
assert "Connecting" not in repr((pandas.__loader__, pandas.__spec__)), "pandas has another loader"
assert not [each for each in sys.meta_path if "Pandas" in repr(each)]
assert pa.array(pandas.Series([1.0, float("nan")])).to_pylist() == [1.0, None]
assert pa.table(pandas.DataFrame({"a": [1]})).to_pydict() == {"a": [1]}
assert type(pa.scalar(1, pa.timestamp("ns")).as_py()).__name__ == "Timestamp"
"""
RECIPE = """
name: made
own_tasks: [{id: rows, path: rows.jsonl, templates: prompts.yaml, language: en}]
mixture: {tasks: [{tasks: [rows]}]}
execution: {engine: inline}
model: {architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}
training: {steps: 1}
"""
TEMPLATES = """
dataset: rows
templates:
  00000000-0000-4000-8000-000000000001: !Template
    answer_choices: null
    id: 00000000-0000-4000-8000-000000000001
    jinja: "{{ q }} ||| {{ a }}"
    metadata: !TemplateMetadata {languages: [en], metrics: [], original_task: true}
    name: ask
    reference: ''
"""


def test_a_build_never_loads_pandas_and_what_loads_it_later_finds_it_as_ever(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "one", "a": "two"}\n{"q": "three", "a": "four"}\n')
    (tmp_path / "prompts.yaml").write_text(TEMPLATES)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for later in ("imported", "asked of Arrow"):
        command = [sys.executable, "-c", f"LATER = {later!r}\n{PROGRAM}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
