import json
from dataclasses import replace

import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.evaluation.asking import waiting
from xmtf.evaluation.asking.journal import Journal
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


def test_an_interrupted_file_is_resumed_with_the_same_bytes(prompter, tmp_path, monkeypatch):
    prompter = replace(prompter, batch_tokens=128)
    file, decoding = tmp_path / "prompts.jsonl", Decoding(max_new_tokens=4, temperature=1.0)
    file.write_text("".join(f'"{"x" * n}."\n' for n in range(1, 41)))
    real = Journal.add
    batches = []

    def answered(name, stop=None):
        batches.clear()

        def add(journal, found, plan=""):
            if len(batches) == stop:
                raise KeyboardInterrupt
            batches.append([key for key, _ in found])
            real(journal, found, plan)

        monkeypatch.setattr(Journal, "add", add)
        rows = answer_file(prompter, decoding, file, tmp_path / name, samples=2)
        return [row.line["outputs"] for row in rows]

    texts = answered("whole.jsonl")
    whole = list(batches)
    assert len(whole) > 8
    for stop in (0, 3, len(whole) // 2 + 1, len(whole) - 1):
        name = f"stopped-{stop}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            answered(name, stop)
        assert not (tmp_path / name).exists()
        assert answered(name) == texts
        assert batches == whole[stop:], "no batch is asked again, nor cut"
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert texts == answers(prompter, [f"{'x' * n}." for n in range(1, 41)], decoding, 2)


def test_a_file_that_a_killed_command_had_just_written_is_its_own(prompter, tmp_path, monkeypatch):
    file, out, decoding = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl", Decoding(max_new_tokens=4)
    file.write_text('"one."\n"two."\n')

    def stop(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(waiting, "discard_folder", stop)
        answer_file(prompter, decoding, file, out)
    written = out.read_bytes()
    with pytest.raises(ConfigError, match="already exists"):
        answer_file(replace(prompter, fingerprint="other"), decoding, file, out)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(waiting, "discard_folder", stop)
        answer_file(prompter, decoding, file, out, replace=True)
    answer_file(prompter, decoding, file, out)
    assert out.read_bytes() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "prompts.jsonl"]
    with pytest.raises(ConfigError, match="already exists"):
        answer_file(prompter, decoding, file, out)


@pytest.mark.parametrize("line", ['{"text": "a"}', "7", '{"prompt": " "}'])
def test_a_line_without_a_prompt_is_named(prompter, tmp_path, line):
    file = tmp_path / "prompts.jsonl"
    file.write_text(f'"fine."\n{line}\n')
    with pytest.raises(DataError, match="line 2"):
        answer_file(prompter, Decoding(), file)
