import json

import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompt_file import answer_file
from xmtf.evaluation.prompting.prompter import Prompter


@pytest.fixture
def prompter(model, tokenizer):
    return Prompter(model, tokenizer, PromptRules(), fingerprint="tiny")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")


def answers(prompter, prompts, decoding, samples=1):
    found = [[] for _ in prompts]
    for index, text in prompter.answers(prompts, decoding, samples):
        found[index].append(text)
    return found


def test_what_is_streamed_is_the_answer(prompter):
    pieces = []
    decoding = Decoding(max_new_tokens=20)
    answer = prompter.stream("hello there.", decoding, pieces.append)
    assert "".join(pieces) == answer
    assert len(pieces) > 2
    assert answers(prompter, ["hello there."], decoding) == [[answer]]


def test_an_answer_ends_before_a_stop_text_and_shows_nothing_of_it(prompter):
    whole = prompter.stream("hello there.", Decoding(max_new_tokens=20), lambda piece: None)
    stop = whole[5:8]
    pieces = []
    answer = prompter.stream("hello there.", Decoding(max_new_tokens=20, stops=(stop,)), pieces.append)
    assert answer == whole[: whole.find(stop)].rstrip()
    assert "".join(pieces) == answer


def test_draws_depend_on_the_prompt_and_not_on_the_batch(prompter):
    decoding = Decoding(max_new_tokens=8, temperature=1.0)
    together = answers(prompter, ["one.", "a longer one.", "two!"], decoding, 2)
    assert answers(prompter, ["two!"], decoding, 2) == [together[2]]
    assert len({text for texts in together for text in texts}) > 3
    other = Decoding(max_new_tokens=8, temperature=1.0, seed=1)
    assert answers(prompter, ["one."], other) != [together[0][:1]]


def test_samples_need_a_temperature(prompter):
    with pytest.raises(ConfigError, match="temperature"):
        answers(prompter, ["one."], Decoding(), 2)


def test_a_file_of_prompts_keeps_its_fields(prompter, tmp_path):
    file, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    file.write_text('{"prompt": "one.", "id": 7}\n{"inputs": "two."}\n"one."\n')
    answer_file(prompter, Decoding(max_new_tokens=4), file, out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [set(line) for line in lines] == [{"prompt", "id", "output"}, {"inputs", "output"}, {"prompt", "output"}]
    assert lines[0]["output"] == lines[2]["output"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "prompts.jsonl"]


def test_an_interrupted_file_goes_on_where_it_stopped(prompter, tmp_path, monkeypatch):
    file, out, decoding = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl", Decoding(max_new_tokens=4)
    file.write_text("".join(f'"{"x" * n}."\n' for n in range(1, 41)))
    real, asked = Prompter.answers, []

    def stopping(self, prompts, decoding, samples):
        for number, found in enumerate(real(self, prompts, decoding, samples)):
            if number == 20:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Prompter, "answers", stopping)
    with pytest.raises(KeyboardInterrupt):
        answer_file(prompter, decoding, file, out)
    assert not out.exists()

    def recording(self, prompts, decoding, samples):
        asked.extend(prompts)
        return real(self, prompts, decoding, samples)

    monkeypatch.setattr(Prompter, "answers", recording)
    rows = answer_file(prompter, decoding, file, out)
    assert len(asked) == 20
    monkeypatch.setattr(Prompter, "answers", real)
    assert [[row.line["output"]] for row in rows] == answers(prompter, [row.prompt for row in rows], decoding)


@pytest.mark.parametrize("line", ['{"text": "a"}', "7", '{"prompt": " "}'])
def test_a_line_without_a_prompt_is_named(prompter, tmp_path, line):
    file = tmp_path / "prompts.jsonl"
    file.write_text(f'"fine."\n{line}\n')
    with pytest.raises(DataError, match="line 2"):
        answer_file(prompter, Decoding(), file)
