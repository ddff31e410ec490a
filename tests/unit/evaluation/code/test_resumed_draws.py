"""Completions of an evaluation that was killed are those of one that was not: their batches stay the same."""

import pytest

from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.code import run as room
from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.sample import Draw, draw_key
from xmtf.evaluation.code.settings import CodeSettings
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding


@pytest.fixture
def batches(monkeypatch):
    """Return the batches that are drawn, each as the samples in it."""
    found = []
    real = room.complete

    def watched(model, tokenizer, draws, **options):
        for batch in real(model, tokenizer, draws, **options):
            found.append([draws[place].sample for place, _ in batch])
            yield batch

    monkeypatch.setattr(room, "complete", watched)
    return found


def test_a_killed_drawing_goes_on_in_the_same_batches(tmp_path, causal, tokenizer, batches):
    subject = Subject(causal, tokenizer, PromptRules(), "m", "f", "bloomz", Decoding(5), 64)
    settings = CodeSettings(samples=7, temperatures=(0.8,), batch_rows=3, max_new_tokens=4)
    problem = Problem("p", "def f():\n", "def f():\n", "assert f()", (), ("f",), "")
    draws = [Draw(problem, sample, 0.8) for sample in range(7)]

    def draw(folder, draws=draws):
        batches.clear()
        journal = Journal(tmp_path / folder, "settings")
        room._draw(subject, journal, draws, settings, 1)
        return journal, list(batches)

    whole, asked = draw("whole")
    assert asked == [[0, 1, 2], [3, 4, 5], [6]]
    lines = whole.path.read_bytes().splitlines(keepends=True)
    for kept, left in ((0, asked), (2, asked), (3, asked[1:]), (4, asked[1:]), (6, asked[2:]), (7, [])):
        folder = tmp_path / f"kept-{kept}"
        folder.mkdir()
        (folder / whole.path.name).write_bytes(b"".join(lines[:kept]) + b'{"torn')
        resumed, again = draw(folder.name)
        assert again == left
        assert resumed.path.read_bytes() == whole.path.read_bytes()
    more, again = draw("whole", [*draws, *(Draw(problem, sample, 0.8) for sample in (7, 8))])
    assert again == [[7, 8]]
    assert len(more) == 9
    assert more.get(draw_key(draws[0])) is not None
