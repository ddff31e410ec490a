"""Metrics of other programs: one line in, one number out, and nothing is guessed."""

import sys

import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.evaluation.scoring.scorer import Asked, Scorer, find_scorer

LINES = [Asked("Il pleut.\nFort.", "It rains\there.", "It rains.", "en"), Asked("ab", "", "long", "en")]
LENGTHS = "import json, sys\nfor line in sys.stdin: print(len(json.loads(line)['source']))"


def python(code):
    return Scorer("own", (sys.executable, "-c", code))


def test_each_answer_gets_the_number_of_its_line(monkeypatch):
    assert python(LENGTHS).score(LINES) == [15.0, 2.0]
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    paths = "import json, os, sys\nfor line in sys.stdin: print(float('PYTHONPATH' in os.environ))"
    assert python(paths).score(LINES) == [0.0, 0.0]
    assert python("").score([]) == []


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("print(1)", DataError, "was given 2 lines and wrote 1"),
        ("print(1); print(2); print(3)", DataError, "was given 2 lines and wrote 3"),
        ("print(1); print('nan')", DataError, "line 2 of what it wrote is 'nan'"),
        ("print('loading'); print(1)", DataError, "line 1 of what it wrote is 'loading'"),
        ("import sys; sys.exit('no model here')", ConfigError, "ended with code 1: no model here"),
    ],
)
def test_anything_else_is_refused(code, error, said):
    with pytest.raises(error, match=said):
        python(code).score(LINES)


def test_it_is_no_shell_and_has_a_name(tmp_path):
    marker = tmp_path / "marker"
    scorer = find_scorer(f"a=command:echo 1; touch {marker}")
    with pytest.raises(DataError):
        scorer.score(LINES)
    assert not marker.exists()
    with pytest.raises(ConfigError, match="cannot be started"):
        find_scorer("command:/no/such/program").score(LINES)
    for text in ("bleurt", "command:", "=command:x", "name command:x", "command:'open"):
        with pytest.raises(ConfigError, match="--scorer"):
            find_scorer(text)
