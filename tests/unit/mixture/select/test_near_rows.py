"""Near duplicates: signatures estimate what texts share, the first row of a group stays, one language of a row."""

import json
import random

import numpy as np
import pytest

from xmtf.mixture import build_mixture
from xmtf.mixture.io.read import read_mixture
from xmtf.mixture.near import build_near
from xmtf.mixture.plan.plan import plan_mixture
from xmtf.mixture.select.near_groups import bands
from xmtf.mixture.select.near_rows import signatures
from xmtf.recipe import load_recipe

WORDS = [f"{a}{b}{c}" for a in "bdgklmn" for b in ("ar", "en", "ilo", "umi", "os") for c in ("ta", "ver", "", "ing")]
SAY = """\
templates:
  1: !Template {answer_choices: null, id: "1", jinja: "Say {{text}} ||| {{said}}", name: say, reference: "",
     metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}
  2: !Template {answer_choices: null, id: "2", jinja: "Repeat {{text}} ||| {{said}}", name: again, reference: "",
     metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}
"""
RECIPE = """\
name: near
run_folder: {folder}/run
execution: {{engine: inline}}
own_tasks:
  - {{id: set/fr, path: fr.jsonl, templates: say.yaml, language: fr, parallel: true}}
  - {{id: set/sw, path: sw.jsonl, templates: say.yaml, language: sw, parallel: true}}
  - {{id: other, path: other.jsonl, templates: say.yaml, language: fr}}
mixture:
  tasks: [{{tasks: [set/fr, set/sw]}}, {{tasks: [other]}}]
  validation_fraction: 0
model: {{architecture: bloom, hidden_size: 8, num_layers: 1, num_heads: 1}}
training: {{steps: 1}}
"""


def runs(text):
    text = " ".join(text.lower().split())
    return {text[at : at + 5] for at in range(max(1, len(text) - 4))}


def jaccard(one, other):
    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


def text_of(seed, words=30):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def changed(text, number, seed=0):
    words = text.split()
    for at in random.Random(seed).sample(range(len(words)), number):
        words[at] = "zzz"
    return " ".join(words)


def test_signatures_estimate_the_share_of_common_runs():
    texts = [text_of(seed) for seed in range(40)]
    others = [changed(text, number % 12, number) for number, text in enumerate(texts)]
    signed = signatures(texts + others)
    found = (signed[:40] == signed[40:]).mean(axis=1)
    real = np.array([jaccard(one, other) for one, other in zip(texts, others, strict=True)])
    assert np.abs(found - real).mean() < 0.04
    assert np.abs(found - real).max() < 0.16  # four standard errors
    assert found[0] == found[12] == 1


def test_marks_case_and_spacing_are_no_difference_and_texts_without_letters_are_never_near():
    signed = signatures(["Die Katze, die saß.", "die  katze die SASS", "die katze die saß", "", "!?", "a", "a!"])
    assert (signed[0] == signed[2]).all()
    assert not (signed[0] == signed[1]).all()
    assert not signed[3:5].any()
    assert (signed[5] == signed[6]).all()
    assert signed[5].any()


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_what_they_should(similarity):
    count, width = bands(similarity)
    assert count * width <= 128
    assert 1 - (1 - similarity**width) ** count >= 0.99 or similarity < 0.25


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_PROGRESS", "off")
    texts = [text_of(n) for n in range(12)]
    texts[7] = changed(texts[2], 1)  # near row 2 in French alone
    swahili = [text_of(100 + n) for n in range(12)]
    other = [text_of(200), changed(texts[4], 1), changed(changed(texts[4], 1), 1, 1), swahili[3]]
    for name, rows in (("fr", texts), ("sw", swahili), ("other", other)):
        lines = [json.dumps({"text": text, "said": f"{name} {n}"}) + "\n" for n, text in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "say.yaml").write_text(SAY)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    return lambda *overrides: load_recipe(path, overrides)


def built(loaded, out):
    manifest = build_mixture(loaded, out)
    rows = [row for table in read_mixture(out) for row in table.to_pylist()]
    return manifest, {(row["task"], row["row"]) for row in rows}


def test_the_first_row_of_a_group_stays_with_all_its_prompts_in_every_language(recipe, tmp_path):
    manifest, kept = built(recipe("mixture.near_duplicates={similarity: 0.75}"), tmp_path / "mix")
    gone = {(task, n) for task in ("set/fr", "set/sw", "other") for n in range(4 if task == "other" else 12)} - kept
    assert gone == {("set/fr", 7), ("set/sw", 7), ("other", 1), ("other", 2)}  # a Swahili text in French is none
    assert manifest.counts["dropped"] == {"near duplicate": 8}
    assert manifest.details["firsts"]["near duplicate"]["detail"] == "it nearly duplicates row 2 of set/fr [train]"
    off = recipe("mixture.near_duplicates={similarity: 0.75}", "mixture.tasks.1.near_duplicates=off")
    assert {task for task, _ in built(off, tmp_path / "off")[1]} >= {"other"}
    assert built(off, tmp_path / "off")[0].counts["dropped"] == {"near duplicate": 4}


def test_one_language_of_each_row_is_kept(recipe, tmp_path):
    one = recipe("mixture.near_duplicates={similarity: null, translations: one}")
    manifest, kept = built(one, tmp_path / "mix")
    assert manifest.counts["dropped"] == {"translation of a row that is kept": 24}
    rows = sorted(n for task, n in kept if task.startswith("set/"))
    assert rows == list(range(12))
    assert {task for task, _ in kept} == {"set/fr", "set/sw", "other"}
    filtered = recipe(
        "mixture.near_duplicates={similarity: null, translations: one}", 'own_tasks.1.where={said: ["sw 3"]}'
    )
    _, few = built(filtered, tmp_path / "few")
    assert sorted(n for task, n in few if task.startswith("set/")) == list(range(12))  # whatever is there, in one


WANTED = ("mixture.near_duplicates={similarity: 0.75, translations: one}", "mixture.cap_examples=5")


@pytest.mark.slow
def test_the_bytes_are_those_of_any_number_of_workers(recipe, tmp_path):
    whole, _ = built(recipe(*WANTED), tmp_path / "whole")
    pool = recipe(*WANTED, "execution.engine=pool", "execution.workers=2")
    assert built(pool, tmp_path / "pool")[0].outputs == whole.outputs


def test_the_rows_are_those_of_any_pieces_and_of_a_build_that_was_stopped(recipe, tmp_path, monkeypatch):
    wanted = WANTED
    whole, kept = built(recipe(*wanted), tmp_path / "whole")
    build_near(plan_mixture(recipe(*wanted)), tmp_path / ".stopped.work")
    assert built(recipe(*wanted), tmp_path / "stopped")[0].outputs == whole.outputs
    monkeypatch.setattr("xmtf.sources.stream.STREAMED_BYTES", 1)
    monkeypatch.setattr("xmtf.tasks.prompting.pieces._PIECE_ROWS", 3)
    monkeypatch.setattr("xmtf.sources.files.json_tables._BLOCK_ROWS", 2)
    assert built(recipe(*wanted), tmp_path / "pieces")[1] == kept
