from dataclasses import replace

import pytest

from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError
from xmtf.evaluation.asking.journal import Journal, count_lines, request_key
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.interchange import export_t_zero
from xmtf.evaluation.scoring.compare import compare_results
from xmtf.evaluation.scoring.rescore import rescore
from xmtf.evaluation.scoring.samples import choose_samples, sample_of
from xmtf.evaluation.scoring.score import items_table, score_items
from xmtf.evaluation.scoring.summary import score_lines
from xmtf.evaluation.suites.jobs import Job
from xmtf.files import Manifest, write_manifest
from xmtf.records import PROVENANCE_COLUMNS, Metric, Origin, Provenance, Request
from xmtf.results.files import check_results
from xmtf.results.items import About, JobInfo, item_files, suite_items
from xmtf.text.lines import to_line


def request(prompt, choices=(), gold=None, references=(), row=0):
    return Request(prompt, choices, gold, references, Origin("own", "", "test", row))


def job(kind="rank", task="own/fr", language="fr", requests=(), metrics=("accuracy",), **fields):
    info = JobInfo(
        suite="s",
        axis="rows",
        kind=kind,
        provenance=Provenance(language, "en", "none", task, "qa", "own", "", "test", "t"),
        template_hash="ab" * 8,
        metrics=metrics,
        dropped={"template does not apply": 4},
    )
    return Job(replace(info, **fields), tuple(requests))


def asked(score, **fields):
    """Change what a score is about."""
    return replace(score, provenance=replace(score.provenance, **fields))


RANKED = job(
    requests=[
        request("p0", ("a", "bbbb"), 1, ("bbbb",), 0),
        request("p1", ("a", "b"), 0, ("a",), 1),
        request("p2", ("a", "b"), 0, ("a",), 2),
    ]
)
ANSWERS = [Answer((-2.0, -4.0), (1, 4)), Answer((-1.0, -3.0), (1, 1), truncated=True), Answer(error="non-finite score")]
ABOUT = {"model": "after", "model_fingerprint": "f" * 8, "scoring": "bloomz", "versions": {"xmtf": "0"}}


def test_items_hold_all_that_scores_need(tmp_path):
    table = items_table(RANKED, ANSWERS, "bloomz")
    assert table["choice"].to_pylist() == [0, 0, None]
    assert table["correct"].to_pylist() == [False, True, None]
    assert table["num_tokens"].to_pylist() == [[1, 4], [1, 1], None]
    assert table["truncated"].to_pylist() == [False, True, False]
    about = About(RANKED.info, **ABOUT)
    with suite_items(tmp_path) as items:
        items.add(table, about)
    ((told, again),) = (job for file in item_files(tmp_path) for job in file.each_job())
    assert told == about
    assert score_items(again, told) == score_items(table, about)


@pytest.mark.parametrize(
    ("known", "refused"),
    [
        ("answers-0123456789abcdef.jsonl", None),
        ("scores.jsonl", r"results of the same kind of xmtf \(scores.jsonl\); give a new folder"),
        ("notes.txt", r"results of the same kind of xmtf \(notes.txt\); give a new folder"),
        ("completions.jsonl", "contains something other"),
    ],
)
def test_results_are_written_beside_results_alone(tmp_path, known, refused):
    check_results(tmp_path / "new", never="completions.jsonl")
    check_results(tmp_path, never="completions.jsonl")
    (tmp_path / known).write_text("")
    if refused is None:
        check_results(tmp_path, never="completions.jsonl")
        return
    with pytest.raises(ConfigError, match=refused):
        check_results(tmp_path, never="completions.jsonl")


def test_the_folder_of_another_stage_is_refused(tmp_path):
    write_manifest(tmp_path, Manifest("mixture", "f"))
    (tmp_path / "items").mkdir()
    with pytest.raises(ConfigError, match="contains something other"):
        check_results(tmp_path, never="completions.jsonl")


@pytest.mark.parametrize(
    "verb",
    [rescore, lambda run: compare_results(run, run), lambda run: export_t_zero(run, run.parent / "out")],
    ids=["rescore", "compare", "export"],
)
def test_a_run_in_place_of_its_results_is_told_which_it_has(tmp_path, verb):
    run = tmp_path / "run"
    with pytest.raises(SourceError, match="give a results folder of `xmtf evaluate`"):
        verb(run)
    for label in ("before", "after"):
        (run / "results" / label).mkdir(parents=True)
        (run / "results" / label / "scores.jsonl").write_text("")
    with pytest.raises(SourceError, match=f"the results of that run, {run}/results/after or {run}/results/before"):
        verb(run)


def test_items_with_an_error_are_counted_and_not_judged():
    score = score_items(items_table(RANKED, ANSWERS, "bloomz"), About(RANKED.info, **ABOUT))
    (accuracy,) = score.metrics
    assert (accuracy.name, accuracy.value, accuracy.num_items, accuracy.chance) == ("accuracy", 0.5, 2, 0.5)
    assert score.dropped == {"template does not apply": 4, "non-finite score": 1}
    assert (score.model, score.provenance.task, score.provenance.template, score.kind, score.scoring) == (
        "after",
        "own/fr",
        "t",
        "rank",
        "bloomz",
    )


def test_generated_items():
    written = job("generation", requests=[request("p", references=("chat",)), request("q", references=("chien",))])
    written = replace(written, info=replace(written.info, metrics=("bleu", "exact_match")))
    table = items_table(written, [Answer(text="Chat!"), Answer(text="chat")], "bloomz")
    assert table["correct"].to_pylist() == [True, False]
    score = score_items(table, About(written.info, **ABOUT))
    assert [(metric.name, metric.value) for metric in score.metrics][1] == ("exact_match", 0.5)
    assert score.scoring == "greedy"
    only_bleu = replace(written, info=replace(written.info, metrics=("bleu",)))
    assert items_table(only_bleu, [Answer(text="a"), Answer(text="b")], "bloomz")["correct"].to_pylist() == [None, None]


def test_rescoring_needs_no_model(tmp_path):
    with suite_items(tmp_path) as items:
        items.add(items_table(RANKED, ANSWERS, "bloomz"), About(RANKED.info, **ABOUT))
    (summed,), (per_token,) = rescore(tmp_path), rescore(tmp_path, tmp_path / "new.jsonl", scoring="tokens")
    assert (summed.metrics[0].value, per_token.metrics[0].value) == (0.5, 1.0)
    assert (summed.scoring, per_token.scoring) == ("bloomz", "tokens")
    assert (tmp_path / "new.jsonl").read_text().count("\n") == 1
    with pytest.raises(UnknownNameError, match="unknown scoring 'pmj'; did you mean 'pmi'"):
        rescore(tmp_path, scoring="pmj")
    with pytest.raises(ConfigError, match=r"--metrics bleu: nothing in .* was generated"):
        rescore(tmp_path, metrics=("bleu",))
    with pytest.raises(SourceError, match="no items"):
        rescore(tmp_path / "items")
    (tmp_path / "items" / "bad.parquet").write_text("no")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        rescore(tmp_path)


def test_the_journal_survives_a_kill_in_the_middle_of_a_line(tmp_path):
    journal = Journal(tmp_path, {"model": "a"})
    journal.add([("k1", ANSWERS[0]), ("k2", ANSWERS[2])])
    with journal.path.open("ab") as stream:
        stream.write(b'{"key": "k3", "scor')
    again = Journal(tmp_path, {"model": "a"})
    assert [again.get(key) for key in ("k1", "k2", "k3")] == [ANSWERS[0], ANSWERS[2], None]
    again.add([("k3", ANSWERS[1])])
    assert Journal(tmp_path, {"model": "a"}).get("k3") == ANSWERS[1]
    assert len(Journal(tmp_path, {"model": "b"})) == 0


def test_a_damaged_answer_of_the_journal_is_never_taken(tmp_path, capsys):
    written = {"k1": ANSWERS[0], "k2": ANSWERS[2]}
    journal = Journal(tmp_path, {"model": "a"})
    journal.add(list(written.items()))
    content = journal.path.read_bytes()
    for place in range(len(content) - 1):
        journal.path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
        again = Journal(tmp_path, {"model": "a"})
        kept = [key for key in written if again.get(key) is not None]
        assert [again.get(key) for key in kept] == [written[key] for key in kept], place
        assert len(again) == len(kept), place
    journal.path.write_bytes(content.replace(b'"k1"', b'"k3"'))
    capsys.readouterr()
    again = Journal(tmp_path, {"model": "a"})
    assert [again.get(key) for key in ("k1", "k2", "k3")] == [None, ANSWERS[2], None]
    assert f"{journal.path}: 1 lines were changed or cut short; what they answered will be queried again" in (
        capsys.readouterr().err
    )
    assert count_lines(journal.path).damaged == 1


def test_an_answer_that_does_not_say_why_it_ended_is_asked_again(tmp_path):
    journal = Journal(tmp_path, {"model": "a"})
    journal.path.write_text('{"key": "old", "text": "so 3 + 4 ="}\n{"key": "ranked", "scores": [-1.0]}\n')
    again = Journal(tmp_path, {"model": "a"})
    assert again.get("old") is None
    assert again.get("ranked").scores == (-1.0,)


def test_request_keys_tell_what_is_asked_and_nothing_else():
    assert request_key(request("p", ("a", "b"), 0, row=1)) == request_key(request("p", ("a", "b"), 1, row=2))
    assert request_key(request("p", ("a", "b"), 0)) != request_key(request("p", ("b", "a"), 0))
    assert request_key(request("p", ("a",), 0)) != request_key(request("p"))


def test_samples_are_spread_and_do_not_depend_on_answers():
    made = [
        job("generation", f"{family}/{language}", language, [request(f"{family} {language} {n}") for n in range(3)])
        for family in ("name", "write")
        for language in ("fr", "yo", "zh")
    ]
    made.append(job("rank", "nli/fr", "fr", [request("rank", ("a", "b"), 0)]))
    chosen = choose_samples(made, 5)
    assert [made.info.provenance.task for made, _ in chosen] == ["name/fr", "write/fr", "nli/fr", "name/yo", "write/yo"]
    assert all(request.choices == () for _, request in chosen)
    assert len(choose_samples(made, 100)) == 7
    assert choose_samples(made, 0) == []
    assert len(choose_samples(made, None)) == 7
    assert choose_samples([job("rank", "nli/fr", "fr", [request("rank", ("a", "b"), 0)])], None) == []
    line = to_line(sample_of(*chosen[0], Answer(text="un chat")))
    assert (line["task"], line["language"], line["text"]) == ("name/fr", "fr", "un chat")
    assert set(PROVENANCE_COLUMNS) <= set(line)


def test_summary_sums_up_templates():
    cut = score_items(items_table(RANKED, ANSWERS, "bloomz"), About(RANKED.info, **ABOUT))
    assert score_lines([cut])[-1].endswith("prompts 50.0 %!")
    score = replace(cut, truncated=0)
    best = replace(asked(score, template="u"), metrics=(Metric("accuracy", 0.9, 0.8, 1.0, 0.5, 2),))
    header, line = score_lines([score, best])
    assert header.split()[:4] == ["suite", "task", "prompts", "metric"]
    assert line.split()[-5:] == ["50.0", "70.0", "44.7-95.3", "90.0", "40.0"]
    german = asked(best, task="own/de", language="de")
    assert score_lines([score, german])[-1].split()[-2:] == ["accuracy", "70.0"]
    machine = asked(german, translation="machine", prompt_language="de")
    assert len(score_lines([score, machine])) == 3  # prompts of different kinds have no mean
    code = [replace(score, kind="code", scoring=f"temperature {heat}") for heat in (0.2, 0.8)]
    assert [line.split()[3:5] for line in score_lines(code)[1:]] == [["temperature", "0.2"], ["temperature", "0.8"]]
