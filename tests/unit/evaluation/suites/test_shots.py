"""Examples with answers before prompts: which rows, never the item, and only as many as fit."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.errors import ConfigError
from xmtf.evaluation.asking.fit_shots import fit_shots
from xmtf.evaluation.engine.encoding import PromptRules
from xmtf.evaluation.suites.jobs import jobs
from xmtf.evaluation.suites.setup import Setup, suite_slices
from xmtf.evaluation.suites.shots import Shown, _Candidate
from xmtf.recipe.schema import Evaluation, Suite
from xmtf.records import ShotsAsked
from xmtf.tasks import load_catalogue

CATALOGUE = """
tasks:
  - id: sums
    cluster: math
    dataset: own/sums
    subsets: {en: en, fr: fr}
    splits: {shots: [dev], evaluation: [test]}
    templates: gsm8k
    only_templates: [number only]
    kind: generation
    metrics: [numeric_match]
    parallel: true
  - id: loose
    cluster: math
    dataset: own/sums
    subsets: {en: en, fr: fr}
    splits: {evaluation: [test]}
    templates: gsm8k
    only_templates: [number only]
    kind: generation
"""
NUMBERS = {"en": "How much is {} plus one?", "fr": "Combien font {} plus un ?"}


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    for language, text in NUMBERS.items():
        folder = tmp_path / "own/sums" / language
        folder.mkdir(parents=True)
        for split, numbers in (("test", range(10, 22)), ("dev", [*range(30, 60), 10])):
            rows = [{"question": text.format(n), "solution": "-", "final_answer": str(n + 1)} for n in numbers]
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    (tmp_path / "sums.yaml").write_text(CATALOGUE)
    return load_catalogue(files=[tmp_path / "sums.yaml"])


def asked(catalogue, task="sums/fr", **shots):
    """Return the jobs of a suite that shows examples."""
    suite = Suite.model_validate({"name": "s", "tasks": [{"tasks": [task]}], "shots": shots})
    setup = Setup(Evaluation(suites=(suite,)), catalogue, offline=True)
    return list(jobs(setup, suite_slices(setup)))


def numbers(shots):
    """Return the number that each shot asks about."""
    return [int(next(word for word in shot.split() if word.isdigit())) for shot in shots]


def test_the_same_rows_stand_before_every_item_and_hold_their_answers(catalogue):
    (french,), (english,) = asked(catalogue, number=3), asked(catalogue, "sums/en", number=3)
    (told,) = {request.shots for request in french.requests}
    assert len(told) == 3
    first = numbers(told)[0]
    assert told[0] == f"Combien font {first} plus un ?\nReply with the number alone. {first + 1}\n\n"
    assert numbers(told) == numbers(english.requests[0].shots)  # rows of a parallel set are the same in all languages
    (other,) = {request.shots for request in asked(catalogue, number=3, seed=7)[0].requests}
    assert numbers(other) != numbers(told)
    (more,) = {numbers(request.shots)[0] for request in asked(catalogue, number=2, choice="first")[0].requests}
    assert more == 30
    info = french.info.shots
    assert (info.number, info.split, info.choice, info.language, info.seed) == (3, "dev", "fixed", "fr", 42)


@pytest.mark.parametrize("choice", ["fixed", "first", "nearest"])
def test_no_item_is_shown_before_itself_or_a_translation_of_itself(catalogue, choice):
    for language in ("same", "en"):
        (job,) = asked(catalogue, number=11, split="test", choice=choice, language=language)
        for request in job.requests:
            assert len(request.shots) == 11
            assert 10 + request.origin.row not in numbers(request.shots)
    (job,) = asked(catalogue, number=30, choice=choice)  # row 30 of dev reads like row 0 of test
    assert 10 not in numbers(job.requests[0].shots)
    assert job.info.shots.language == "fr"


def test_the_most_alike_stands_last():
    texts = [
        "Question: how deep is the river?",
        "Question: who bakes the bread?",
        "Question: how long is the river Nile?",
    ]
    candidates = tuple(_Candidate(row, text, text) for row, text in enumerate(texts))
    shown = Shown(ShotsAsked(2, "own", "dev", "nearest", "en", 42), candidates, same_rows=False, nearest=True)
    ours = ["Question: is the river Nile deep?", "Question: is bread baked?"]
    river, bread = shown.before(list(enumerate(ours)))
    assert set(river) == {texts[0], texts[2]}
    assert bread[-1] == texts[1]


def test_what_cannot_be_shown_is_refused(catalogue):
    with pytest.raises(ConfigError, match="has only 11 rows that can be shown before row"):
        asked(catalogue, number=12, split="test")
    with pytest.raises(ConfigError, match="lists no split of loose/fr"):
        asked(catalogue, "loose/fr", number=1)
    with pytest.raises(ConfigError, match="may hold translations"):
        asked(catalogue, "loose/fr", number=1, split="test", language="en")
    with pytest.raises(ConfigError, match="there are: none"):
        asked(catalogue, number=1, language="de")


def test_a_long_prompt_loses_whole_shots_and_they_are_counted(catalogue, tokenizer, capsys):
    job = asked(catalogue, number=3)[0]
    sizes = [len(text) for text in (*job.requests[0].shots, job.requests[0].prompt)]
    rules = PromptRules(max_prompt_tokens=sum(sizes[1:]))
    subject = SimpleNamespace(tokenizer=tokenizer, rules=rules, decoding=SimpleNamespace(max_new_tokens=1))
    (fitted,) = fit_shots([job], subject)
    assert fitted.requests[0].prompt == "".join(job.requests[0].shots[1:]) + job.requests[0].prompt
    assert fitted.requests[0].shots == ()
    assert (fitted.info.shots.lost, fitted.info.shots.shortened) == (12, 12)
    assert "12 shots do not fit the model and are dropped, in 12 prompts" in capsys.readouterr().err
    assert fit_shots([fitted], subject) == [fitted]
    none = fit_shots([job], SimpleNamespace(**vars(subject) | {"rules": replace(rules, max_prompt_tokens=5)}))
    assert none[0].requests[0].prompt == job.requests[0].prompt
    assert none[0].info.shots.lost == 36
