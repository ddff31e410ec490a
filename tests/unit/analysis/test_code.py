import json

import pytest

from xmtf.analysis.code import body, code_statistics, read_programs
from xmtf.errors import DataError

PROMPT = 'def f(x):\n    """Double x."""\n'


def test_only_what_stands_after_the_docstring_counts():
    assert body(PROMPT + "    return 2 * x  # twice\n") == "return 2 * x  # twice"
    assert body("x = 1\n") == "x = 1"
    assert body(PROMPT + '    """no"""\n    return x\n') == '"""no"""\n    return x'


def test_length_and_comments_are_averaged_over_all_samples(tmp_path):
    path = tmp_path / "generations.json"
    path.write_text(
        json.dumps([[PROMPT + "    return 2 * x  # twice\n", PROMPT + "    pass\n"], [PROMPT + "    # a # b\n"]])
    )
    found = code_statistics("model", read_programs(path))
    assert found["programs"] == 3
    assert found["mean_characters"] == pytest.approx((21 + 4 + 7) / 3, abs=1e-4)
    assert found["mean_comments"] == 1.0
    assert found["percent_commented"] == pytest.approx(66.667)


def test_our_completions_are_read_from_the_results_folder(tmp_path):
    lines = [{"task": "humaneval", "completion": "    return 1\n"}, {"task": "humaneval", "completion": " # no\n"}]
    (tmp_path / "completions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_programs(tmp_path)) == ["return 1", "# no"]


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", "[[1]]"])
def test_other_forms_are_refused(tmp_path, text):
    path = tmp_path / "generations.json"
    path.write_text(text)
    with pytest.raises(DataError, match="generations"):
        list(read_programs(path))
