"""``samples.jsonl`` and ``completions.jsonl``."""

import orjson
import pytest

from xmtf.errors import DataError
from xmtf.results.completions import read_completions
from xmtf.results.samples import read_samples

SAMPLE = {
    "suite": "s", "language": "fr", "prompt_language": "en", "translation": "none", "task": "t", "cluster": "c",
    "dataset": "d", "subset": "", "split": "test", "template": "p", "row": 0, "prompt": "q", "references": ["r"],
    "text": "a",
}  # fmt: skip
COMPLETION = {
    "task": "humaneval", "problem": "HumanEval/0", "sample": 0, "temperature": 0, "completion": "pass",
    "passed": False, "outcome": "failed", "detail": "",
}  # fmt: skip


def test_lines_that_lack_a_field_or_hold_another_type_are_named(tmp_path):
    assert read_samples(tmp_path) == read_completions(tmp_path) == []
    for name, read, line, field in (
        ("samples.jsonl", read_samples, SAMPLE, "prompt"),
        ("completions.jsonl", read_completions, COMPLETION, "passed"),
    ):
        path = tmp_path / name
        path.write_bytes(orjson.dumps(line) + b"\n" + orjson.dumps(line | {field: 7}))
        with pytest.raises(DataError, match=rf"{name}, line 2: {field} is 7"):
            read(tmp_path)
        path.write_bytes(orjson.dumps({key: value for key, value in line.items() if key != field}))
        with pytest.raises(DataError, match=rf"{name}, line 1: .*lacks {field}"):
            read(tmp_path)
        path.write_bytes(orjson.dumps(line))
        assert len(read(tmp_path)) == 1
    assert read_completions(tmp_path)[0].ask == "complete"  # as earlier versions wrote
