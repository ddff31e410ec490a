"""Suites whose datasets are not in the mirror, on a few rows in the hub's layout and schema, by the command line."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.results.items import item_files
from xmtf.results.scores import read_scores
from xmtf.tasks import load_catalogue

FRENCH = [("Le chat dort.", "The cat sleeps."), ("Il pleut à Paris.", "It rains in Paris."), ("", "Nothing to say.")]
HINDI = [("बिल्ली सो रही है।", "The cat sleeps."), ("बारिश हो रही है।", "It rains.")]
ARTICLES = [
    ("El ayuntamiento aprobó ayer el presupuesto de la ciudad.", "La ciudad tiene presupuesto. Fue ayer."),
    ("El tren llegó tarde otra vez.", "Tren con retraso."),
    ("Mañana habrá lluvia en el norte.", "Lluvia en el norte."),
]


def write(root, where, split, rows, schema=None):
    folder = root / where
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{split}.parquet")


def pairs(first, second, rows):
    """Rows of WMT: one column that maps languages to text."""
    both = pa.schema([("translation", pa.struct([(first, pa.string()), (second, pa.string())]))])
    return [{"translation": {first: one, second: other}} for one, other in rows], both


def article(index, text, summary):
    """A row of GEM/mlsum."""
    ids = {"gem_id": f"mlsum_es-test-{index}", "gem_parent_id": f"mlsum_es-test-{index}"}
    about = {"topic": "local", "url": "https://example.org/1", "title": "Hoy", "date": "00/01/2019"}
    return ids | {"text": text} | about | {"target": summary, "references": [summary]}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    root = tmp_path / "mirror"
    write(root, "wmt/wmt14/fr-en", "test", *pairs("fr", "en", FRENCH))
    write(root, "wmt/wmt14/hi-en", "test", *pairs("hi", "en", HINDI))
    write(root, "GEM/mlsum/es", "test", [article(index, *row) for index, row in enumerate(ARTICLES)])
    monkeypatch.setenv("XMTF_DATA_ROOT", str(root))
    return root


def measured(out, kind, *options):
    """Evaluate; return the scores, and the items of each by (task, template)."""
    arguments = ["evaluate", kind, "--out", str(out), "--device", "cpu", "--offline", *map(str, options)]
    result = CliRunner().invoke(build_app("evaluate"), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    jobs = [job for file in item_files(out) for job in file.each_job()]
    items = {(told.job.provenance.task, told.job.provenance.template): table.to_pylist() for told, table in jobs}
    scores = read_scores(out / "scores.jsonl")
    assert sorted((score.provenance.task, score.provenance.template) for score in scores) == sorted(items)
    assert len(scores) == len(jobs)  # one record and one row group a template
    return scores, items


def values(score):
    return {metric.name: metric.value for metric in score.metrics}


def assert_metrics_are_those_of_their_packages(score, rows):
    texts, references = [row["text"] for row in rows], [[row["references"][0] for row in rows]]
    found = values(score)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, references).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, references, word_order=2).score)
    by_name = {metric.name: metric for metric in score.metrics}
    assert "tok:13a" in by_name["bleu"].signature
    assert "nw:2" in by_name["chrf"].signature
    if "rouge_l_original" in found:
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
        pairs = zip(references[0], texts, strict=True)
        each = [scorer.score(reference, text) for reference, text in pairs]
        for ours, theirs in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
            mean = sum(found_scores[theirs].fmeasure for found_scores in each) / len(each)
            assert found[f"{ours}_original"] == pytest.approx(mean)


def test_translation_and_summarization_with_our_prompts(mirror, tmp_path, tiny_model):
    options = ("--model", tiny_model(tmp_path / "bloom"), "--suite", "generation", "--max-new-tokens", 6)
    options += ("--min-new-tokens", 6)
    scores, items = measured(tmp_path / "first", "generation", *options)
    assert Counter(score.provenance.task for score in scores) == {
        "wmt14/fr-en": 5, "wmt14/fr-en:reversed": 5, "wmt14/hi-en": 5, "wmt14/hi-en:reversed": 5, "mlsum/es": 5,
    }  # fmt: skip
    languages = {score.provenance.task: score.provenance.language for score in scores}
    assert languages == {
        "wmt14/fr-en": "en", "wmt14/fr-en:reversed": "fr", "wmt14/hi-en": "en", "wmt14/hi-en:reversed": "hi",
        "mlsum/es": "es",
    }  # fmt: skip
    assert {score.provenance.prompt_language for score in scores if score.provenance.task == "mlsum/es"} == {"en", "es"}
    assert {str(score.dropped) for score in scores if "fr-en" in score.provenance.task} == {"{'empty segment': 1}"}
    for (task, _), rows in items.items():
        sides = [(0, 1), (1, 0)]["reversed" in task]
        texts = ARTICLES if task == "mlsum/es" else (FRENCH[:2] if "fr" in task else HINDI)
        assert [row["references"] for row in rows] == [[text[sides[1]]] for text in texts]
        assert all(text[sides[0]] in row["prompt"] for row, text in zip(rows, texts, strict=True))
        assert not any(text[sides[1]] in row["prompt"] for row, text in zip(rows, texts, strict=True))
    assert items["wmt14/hi-en:reversed", "two labelled lines"][0]["prompt"] == "English: The cat sleeps.\nHindi:"
    for score in scores:
        assert_metrics_are_those_of_their_packages(score, items[score.provenance.task, score.provenance.template])

    # What the model wrote to the first row becomes its right answer.
    written = items["wmt14/fr-en", "subtitles"][0]["text"]
    write(mirror, "wmt/wmt14/fr-en", "test", *pairs("fr", "en", [(FRENCH[0][0], written), FRENCH[1]]))
    scores, items = measured(tmp_path / "second", "generation", *options[:2], "--suite", "wmt14/fr-en", *options[4:])
    score = next(score for score in scores if score.provenance.template == "subtitles")
    assert 0 < values(score)["chrf"] < 100
    assert_metrics_are_those_of_their_packages(score, items[score.provenance.task, score.provenance.template])


def original(key, entries, choices="null"):
    """A file of promptsource with templates (name, input, target)."""
    lines = [f"dataset: {key}", "templates:"]
    for name, inputs, target in entries:
        lines += [
            f"  '{name}': !Template",
            f"    id: '{name}'",
            f"    name: '{name}'",
            f"    jinja: '{inputs} ||| {target}'",
            f"    answer_choices: {choices}",
            "    metadata: !TemplateMetadata {choices_in_prompt: false, metrics: [BLEU], original_task: true}",
            "    reference: ''",
        ]
    return "\n".join(lines) + "\n"


def test_translation_and_summarization_with_prompts_under_the_original_names(mirror, tmp_path, tiny_model):
    folder = tmp_path / "prompts"
    for other, last in (("fr", ("gpt3-fr-en", "gpt3-en-fr")), ("hi", ("gpt-3-hi-en-target", "gpt-3-en-hi-target"))):
        entries = []
        for one, two, name in ((other, "en", last[0]), ("en", other, last[1])):
            kinds = ("version-{}-target", "a_good_translation-{}-target", "a_good_translation-{}-source+target")
            names = [kind.format(f"{one}-{two}") for kind in (*kinds, "xglm-{}-target")]
            both = f'{{{{translation["{one}"]}}}} in {two}:', f'{{{{translation["{two}"]}}}}'
            entries += [(each, *both) for each in (*names, name, f"how_to_say-{one}-{two}-target")]
        path = folder / "wmt14" / f"{other}-en" / "templates.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(original("wmt14", entries))
    path = folder / "GEM" / "mlsum" / "es" / "templates.yaml"
    path.parent.mkdir(parents=True)
    names = ("layman_summ_es", "palm_prompt", "summarise_this_in_es_few_sentences", "tl_dr_es")
    path.write_text(original("GEM/mlsum", [(name, "{{text}} Resumen:", "{{target}}") for name in names]))

    model = tiny_model(tmp_path / "mt5", "encoder-decoder")
    options = ("--model", model, "--suite", "bloomz-generation", "--templates", folder, "--max-new-tokens", 4)
    scores, items = measured(tmp_path / "out", "generation", *options)
    assert len(scores) == 10 + 10 + 3
    for score in scores:
        assert_metrics_are_those_of_their_packages(score, items[score.provenance.task, score.provenance.template])
    prompt = items["bloomz-generation:wmt14/fr-en:reversed", "gpt3-en-fr"][1]
    assert (prompt["prompt"], prompt["references"]) == ("It rains in Paris. in fr:", ["Il pleut à Paris."])
    if "XMTF_FACTS_ROOT" in os.environ:
        with (Path(os.environ["XMTF_FACTS_ROOT"]) / "rank_jobs.csv").open(encoding="utf-8", newline="") as stream:
            listed = [row["template"] for row in csv.DictReader(stream) if row["group"] == "LMEVAL_GEN"]
        assert sorted(score.provenance.template for score in scores) == sorted(listed)


NLI = {"premise": "The cat sleeps on the mat.", "hypothesis": "An animal rests.", "label": 0}
STORY = {
    "story_id": "a",
    "input_sentence_1": "Ann had a dog.",
    "input_sentence_2": "It was old.",
    "input_sentence_3": "It ran.",
    "input_sentence_4": "It fell.",
    "sentence_quiz1": "Ann flew.",
    "sentence_quiz2": "Ann helped it.",
    "answer_right_ending": 2,
}
BLANK = {
    "sentence": "The cup broke the plate because _ was hard.",
    "option1": "The cup",
    "option2": "the plate",
    "answer": "1",
}
LANGUAGES = {
    "facebook/xnli": "ar en es fr hi sw ur vi zh",
    "cambridgeltl/xcopa": "id sw ta vi zh",
    "Muennighoff/xstory_cloze": "ar es eu hi id my sw te zh",
    "Muennighoff/xwinograd": "en fr pt zh",
}


@pytest.fixture
def ranked_rows(tmp_path, monkeypatch):
    """One row of every dataset of BLOOMZ's rank evaluation in seen languages."""
    root = tmp_path / "mirror"
    cause = {"premise": "It rained.", "choice1": "It was wet.", "choice2": "It was noon.", "question": "effect"}
    cause |= {"idx": 0, "label": 0}
    rows = (NLI, cause | {"changed": False}, STORY, BLANK)
    for (dataset, languages), row in zip(LANGUAGES.items(), rows, strict=True):
        for language in languages.split():
            write(root, f"{dataset}/{language}", "test" if row is BLANK else "validation", [row])
    for subset, row in (("copa", cause), ("cb", NLI | {"idx": 0}), ("rte", NLI | {"idx": 0})):
        write(root, f"aps/super_glue/{subset}", "validation", [row])
    for number in (1, 2, 3):
        write(root, "facebook/anli", f"dev_r{number}", [NLI | {"uid": "u", "reason": ""}])
    write(root, "allenai/winogrande/winogrande_xl", "validation", [BLANK])
    write(root, "LSDSem/story_cloze/2016", "validation", [STORY])
    monkeypatch.setenv("XMTF_DATA_ROOT", str(root))
    return root


@pytest.fixture
def original_prompts(tmp_path):
    """Promptsource's own, where they are at hand; Story Cloze has the columns of XStoryCloze."""
    shared = Path(os.environ.get("XMTF_FACTS_ROOT", ".")).parent / "templates"
    if "XMTF_FACTS_ROOT" not in os.environ or not shared.is_dir():
        pytest.skip("no folder of original templates beside XMTF_FACTS_ROOT")
    folder = tmp_path / "prompts"
    folder.mkdir()
    for each in shared.iterdir():
        (folder / each.name).symlink_to(each)
    (folder / "story_cloze" / "2016").mkdir(parents=True)
    shutil.copy(shared / "Muennighoff/xstory_cloze/en/templates.yaml", folder / "story_cloze/2016/templates.yaml")
    return folder


def test_the_rank_suite_asks_all_its_prompts(ranked_rows, original_prompts, tmp_path, tiny_model):
    suites = "l1,bloomz-l2-mt:Muennighoff/xstory_cloze/my,bloomz-zh-ht:Muennighoff/xstory_cloze/zh"
    options = ("--model", tiny_model(tmp_path / "bloom"), "--suite", suites, "--templates", original_prompts)
    scores, items = measured(tmp_path / "out", "rank", *options)
    translations = Counter((score.suite.partition(":")[0], score.provenance.translation) for score in scores)
    assert translations == {("l1", "none"): 170, ("bloomz-l2-mt", "machine"): 5, ("bloomz-zh-ht", "human"): 5}
    assert set(Counter(score.provenance.task for score in scores).values()) == {5}
    assert not any(score.dropped for score in scores)
    for (task, _), (row,) in items.items():
        assert row["references"] == [row["choices"][row["gold"]]]
        entails = any(name in task for name in ("xnli", "anli", "/cb", "rte"))
        assert len(row["choices"]) == (3 if entails and "rte" not in task else 2)
        if entails:
            assert row["gold"] == 0
        elif "story_cloze" in task:
            assert row["references"] == [STORY["sentence_quiz2"]]


def test_the_validation_suite_asks_all_its_prompts(tmp_path, monkeypatch, tiny_model):
    tasks = [task for task in load_catalogue(sets=["bloomz-validation"]).tasks.values() if task.promptsource]
    tasks = [task for task in tasks if "bloomz-validation" in task.sets]
    collections = {}
    for task in tasks:
        for split in task.splits["evaluation"]:
            rows = [{"text": f"{task.id} {label}", "label": label} for label in (0, 1)]
            write(tmp_path / "mirror", f"{task.dataset}/{task.subset}", split, rows)
        collections.setdefault(task.template_key, set()).update(task.only_templates)
    for key, names in collections.items():
        (tmp_path / "prompts" / key).mkdir(parents=True)
        entries = [(name, f"{{{{text}}}} {number}", "{{answer_choices[label]}}") for number, name in enumerate(names)]
        (tmp_path / "prompts" / key / "templates.yaml").write_text(original(key, entries, "yes ||| no"))
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path / "mirror"))
    options = ("--model", tiny_model(tmp_path / "bloom"), "--suite", "validation", "--templates", tmp_path / "prompts")
    scores, items = measured(tmp_path / "out", "rank", *options)
    assert (len({score.provenance.task for score in scores}), len(scores)) == (37, 153)
    assert sorted((score.provenance.task, score.provenance.template) for score in scores) == sorted(
        (task.id, name) for task in tasks for name in task.only_templates
    )
    assert all([row["gold"] for row in rows] == [0, 1] for rows in items.values())
    assert all(task in row["prompt"] for (task, _), rows in items.items() for row in rows)
