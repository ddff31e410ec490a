"""A whole evaluation on the user's own files: results, resume, another model, errors."""

import json
import multiprocessing
import os

import orjson
import pytest
from torch.distributed import TCPStore

from xmtf.errors import ConfigError, UserError
from xmtf.evaluation import run as room
from xmtf.evaluation.asking import subject
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.engine.processes import processes_of_torchrun
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.scoring.rescore import rescore
from xmtf.evaluation.shares import Share, answer_share
from xmtf.evaluation.suites.setup import named_suites
from xmtf.recipe import load_recipe
from xmtf.records import Origin, Request
from xmtf.results.asked import read_asked
from xmtf.results.scores import read_scores

TEMPLATES = """\
dataset: own
templates:
  a: !Template
    answer_choices: yes ||| no
    id: a
    jinja: "Is {{x}} even? ||| {{ answer_choices[x % 2] }}"
    metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [Accuracy], original_task: true}
    name: is it even
    reference: ""
  b: !Template
    answer_choices: null
    id: b
    jinja: "After {{x}} comes ||| {{x + 1}}"
    metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [Other], original_task: true}
    name: what comes
    reference: ""
"""
RECIPE = """\
name: own
mixture: {{tasks: [{{tasks: [counting]}}]}}
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
own_tasks:
  - {{id: parity, path: rows.jsonl, templates: own.yaml, language: en, kind: rank, role: evaluation, split: test}}
  - {{id: counting, path: rows.jsonl, templates: own.yaml, language: en, role: evaluation, split: test,
      metrics: [{metric}, numeric_match]}}
evaluation:
  samples: 3
  max_new_tokens: 5
  suites:
    - {{name: parity, axis: rows, tasks: [{{tasks: [parity]}}]}}
    - {{name: counting, kind: generation, tasks: [{{tasks: [counting], templates: [what comes], limit_rows: 4}}]}}
    - {{name: again, tasks: [{{tasks: [parity], templates: [is it even]}}]}}
"""


@pytest.fixture
def recipe(tmp_path):
    def make(metric="exact_match"):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"x": x}) + "\n" for x in range(6)))
        (tmp_path / "own.yaml").write_text(TEMPLATES)
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(metric=metric))
        return load_recipe(tmp_path / "recipe.yaml")

    return make


@pytest.fixture
def asked(monkeypatch, causal, tokenizer):
    """Evaluate with the tiny model; return the list of what it is asked, and how to change its weights."""
    prompts = []
    state = {"fingerprint": "one"}
    for name in ("rank_batches", "generation_batches"):
        real = getattr(subject, name)

        def watched(model, tokenizer, requests, real=real, **options):
            for batch in real(model, tokenizer, requests, **options):
                prompts.extend(requests[index].prompt for index, _ in batch)
                yield batch
                if state.get("die") and batch:
                    raise KeyboardInterrupt

        monkeypatch.setattr(subject, name, watched)
    monkeypatch.setattr(room, "model_identity", lambda *args, **how: state["fingerprint"])
    monkeypatch.setattr(room, "chat_of_model", lambda *args, **how: {})
    monkeypatch.setattr(
        room,
        "load_any",
        lambda setup, ref, label, processes=None: Subject(
            causal, tokenizer, PromptRules(), label, state["fingerprint"], setup.settings.scoring, Decoding(5), 64
        ),
    )
    return prompts, state


def test_all_suites_of_a_recipe(recipe, asked, tmp_path, verify_outputs):
    out = tmp_path / "results"
    manifest = room.evaluate(recipe(), model="tiny", label="before", out=out)
    scores = read_scores(out / "scores.jsonl")
    assert [(score.suite, score.provenance.template, score.kind) for score in scores] == [
        ("parity", "is it even", "rank"),
        ("counting", "what comes", "generation"),
        ("again", "is it even", "rank"),
    ]
    assert scores[0].metrics[0].chance == 0.5
    assert [metric.name for metric in scores[1].metrics] == ["exact_match", "numeric_match"]
    assert [metric.num_items for metric in scores[1].metrics] == [4, 4]
    # "what comes" has no choices to rank, and the third suite repeats what the first asked.
    assert manifest.counts["dropped"] == {"fewer than two answer choices": 6}
    prompts, _ = asked
    assert len(prompts) == 6 + 4 + 1  # the last: a sample of a rank prompt, answered in words
    assert len((out / "samples.jsonl").read_text().splitlines()) == 2
    verify_outputs(out)
    assert rescore(out)[0].metrics in [score.metrics for score in scores]


def test_finished_work_is_not_done_again_and_killed_work_goes_on(recipe, asked, tmp_path):
    prompts, state = asked
    out = tmp_path / "results"
    state["die"] = True
    with pytest.raises(KeyboardInterrupt):
        room.evaluate(recipe(), model="tiny", label="before", out=out)
    assert not (out / "manifest.json").exists()
    underway = read_asked(out)
    assert (underway.requests, underway.scoring) == (11, "bloomz")
    journal = next(out.glob("answers-*.jsonl")).read_bytes()
    answered = {orjson.loads(line)["key"] for line in journal.splitlines()}
    keys = {question.key: question for question in underway.questions}
    assert len(keys) == 11
    assert answered <= keys.keys()
    assert {question.task for question in keys.values()} == {"parity", "counting"}
    assert all(question.choices[question.gold] for question in keys.values() if question.choices)
    state["die"] = False
    room.evaluate(recipe(), model="tiny", label="before", out=out)
    assert not (out / ".asked.jsonl").exists()
    finished = (out / "scores.jsonl").read_bytes()
    total = len(prompts)
    room.evaluate(recipe(), model="tiny", label="before", out=out)
    assert len(prompts) == total
    other = tmp_path / "other"
    room.evaluate(recipe(), model="tiny", label="before", out=other)
    assert len(prompts) == total + 11
    assert (other / "scores.jsonl").read_bytes() == finished


def test_other_weights_never_see_these_answers(recipe, asked, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("XMTF_PROGRESS", raising=False)
    prompts, state = asked
    out = tmp_path / "results"
    room.evaluate(recipe(), model="tiny", label="before", out=out)
    assert "replaced" not in capsys.readouterr().err
    state["fingerprint"] = "two"
    with pytest.raises(ConfigError, match=r"the results of tiny there \(parity, .*would be lost; give another --out"):
        room.evaluate(recipe(), model="other", label="before", out=out)
    assert read_scores(out / "scores.jsonl")[0].model_fingerprint == "one"
    room.evaluate(recipe(), model="other", label="before", out=out, replace=True)
    assert f"{out}: results of tiny are replaced (parity, counting, again)" in capsys.readouterr().err
    assert len(prompts) == 2 * 11
    assert read_scores(out / "scores.jsonl")[0].model_fingerprint == "two"
    assert len(list(out.glob("answers-*.jsonl"))) == 1


def test_mistakes_are_found_before_a_model_is_loaded(recipe, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "load_any", lambda *args: pytest.fail("loaded a model"))
    with pytest.raises(UserError, match=r"own_tasks.1: metrics: .*no 'exat_match'; did you mean 'exact_match'"):
        room.evaluate(recipe("exat_match"), model="tiny", label="before", out=tmp_path / "r")
    loaded = recipe()
    text = loaded.path.read_text().replace("name: counting, kind: generation", "name: counting, kind: rank")
    loaded.path.write_text(text)
    with pytest.raises(ConfigError, match="suite 'counting': none of its tasks is of kind rank"):
        room.evaluate(load_recipe(loaded.path), model="tiny", label="before", out=tmp_path / "r")
    text = RECIPE.replace(
        "axis: rows, tasks: [{{tasks: [parity]}}]", "tasks: [{{tasks: [parity], templates: [what comes]}}]"
    )
    loaded.path.write_text(text.format(metric="f1"))
    with pytest.raises(
        ConfigError, match=r"suite 'parity': there is nothing to evaluate: fewer than two answer choices \(6\)"
    ):
        room.evaluate(load_recipe(loaded.path), model="tiny", label="before", out=tmp_path / "r")
    assert not (tmp_path / "r" / "manifest.json").exists()


def test_suites_by_name():
    (xnli, demo, copa), _ = named_suites("xnli,demo, copa", kind="rank", selection={"limit_rows": 3})
    assert xnli.tasks[0].tasks == ("xnli/*",)
    assert demo.tasks[0].catalogue == "demo"
    assert copa.tasks[0].tasks == ("copa",)
    assert copa.tasks[0].limit_rows == 3
    with pytest.raises(ConfigError, match="give at least one suite"):
        named_suites(" ,", kind="rank")
    with pytest.raises(ConfigError, match="is evaluated by `xmtf evaluate code --suite code`"):
        named_suites("code", kind="rank")


def shared(loaded, out, share):
    return answer_share(loaded, share, model="tiny", label="before", out=out)


def test_shares_together_are_the_whole(recipe, asked, tmp_path):
    prompts, _ = asked
    room.evaluate(recipe(), model="tiny", label="before", out=tmp_path / "one")
    alone = sorted(prompts)
    prompts.clear()
    numbers = [shared(recipe(), tmp_path / "three", Share(index, 3)) for index in (2, 0, 1)]
    assert sum(numbers) == len(alone)
    assert sorted(prompts) == alone
    prompts.clear()
    room.evaluate(recipe(), model="tiny", label="before", out=tmp_path / "three")
    assert prompts == []
    for name in ("scores.jsonl", "samples.jsonl"):
        assert (tmp_path / "three" / name).read_text() == (tmp_path / "one" / name).read_text()
    assert len(list((tmp_path / "three").glob("answers-*.jsonl"))) == 1
    assert shared(recipe(), tmp_path / "three", Share(0, 3)) == 0


def test_a_share_that_is_killed_goes_on_where_it_stopped(recipe, asked, tmp_path):
    prompts, state = asked
    room.evaluate(recipe(), model="tiny", label="before", out=tmp_path / "one")
    alone = sorted(prompts)
    prompts.clear()
    shared(recipe(), tmp_path / "two", Share(1, 2))
    others = len(prompts)
    state["die"] = True
    with pytest.raises(KeyboardInterrupt):
        shared(recipe(), tmp_path / "two", Share(0, 2))
    del state["die"]
    [journal] = (tmp_path / "two").glob("answers-*.0-of-2.jsonl")
    with journal.open("ab") as stream:
        stream.write(b'{"key": "cut sh')
    assert others < len(prompts) < len(alone)
    shared(recipe(), tmp_path / "two", Share(0, 2))
    assert sorted(prompts) == alone  # nothing is asked twice
    room.evaluate(recipe(), model="tiny", label="before", out=tmp_path / "two")
    assert sorted(prompts) == alone
    assert (tmp_path / "two" / "scores.jsonl").read_text() == (tmp_path / "one" / "scores.jsonl").read_text()


def test_all_prompts_of_a_row_fall_to_one_job():
    rows = [Origin("own", "", "test", row) for row in range(200)]
    jobs = [
        [Share(index, 3).takes(Request(text, (), None, ("t",), row)) for row in rows]
        for text in "ab"
        for index in range(3)
    ]
    assert jobs[:3] == jobs[3:]
    assert all(sum(taken) == 1 for taken in zip(*jobs[:3], strict=True))
    assert all(sum(taken) > 40 for taken in jobs)


@pytest.mark.parametrize(("index", "of"), [(3, 3), (-1, 2)])
def test_a_job_that_there_is_not_is_refused(index, of):
    with pytest.raises(ConfigError, match="--index ranges from 0"):
        Share(index, of)


def as_rank(rank, port, loaded, out):
    """Be a process of torchrun, whose agent holds the port."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    room.evaluate(loaded, model="tiny", label="before", out=out, processes=processes_of_torchrun())


def test_processes_of_torchrun_share_the_batches(recipe, asked, tmp_path):
    room.evaluate(recipe(), model="tiny", label="before", out=tmp_path / "one")
    agent, fork = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), multiprocessing.get_context("fork")
    ranks = [fork.Process(target=as_rank, args=(rank, agent.port, recipe(), tmp_path / "two")) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0, 0]
    assert (tmp_path / "two" / "scores.jsonl").read_text() == (tmp_path / "one" / "scores.jsonl").read_text()
    (one,), (two,) = ((tmp_path / name).glob("answers-*.jsonl") for name in ("one", "two"))
    assert set(two.read_bytes().splitlines()) == set(one.read_bytes().splitlines())  # the same bits
