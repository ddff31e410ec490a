import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from xmtf.errors import UnknownNameError
from xmtf.evaluation.metrics.accuracy import RankItem, best_choice, normalized_scores, rank_metrics
from xmtf.evaluation.metrics.registry import GENERATION_METRICS, check_metrics, generation_metrics
from xmtf.evaluation.metrics.rouge import ROUGE
from xmtf.evaluation.metrics.translation import bleu, chrf
from xmtf.evaluation.metrics.words import words
from xmtf.records import KIND_METRICS


def test_scorings_divide_by_the_length_they_name():
    choices, scores, tokens = ("ja", "été"), (-2.0, -6.0), (1, 3)
    assert normalized_scores("bloomz", choices, scores, tokens) == scores
    assert normalized_scores("characters", choices, scores, tokens) == (-1.0, -2.0)
    assert normalized_scores("bytes", choices, scores, tokens) == (-1.0, -1.2)
    assert normalized_scores("tokens", choices, scores, tokens) == (-2.0, -2.0)


def test_ties_go_to_the_first_and_nan_to_nobody():
    assert best_choice([-1.0, -1.0]) == 0
    with pytest.raises(ValueError, match="finite"):
        best_choice([-1.0, float("nan")])


def test_accuracy_has_chance_and_depends_on_the_scoring():
    items = [
        RankItem(("a", "bbbb"), (-2.0, -4.0), (1, 4), 1),
        RankItem(("a", "b", "c", "d"), (-1.0, -2.0, -3.0, -4.0), (1, 1, 1, 1), 0),
    ]
    (by_character,), (by_sum,) = rank_metrics(items, "characters"), rank_metrics(items, "bloomz")
    assert (by_character.value, by_sum.value) == (1.0, 0.5)
    assert by_sum.chance == (1 / 2 + 1 / 4) / 2
    assert by_sum.num_items == 2
    assert by_sum.low < 0.5 < by_sum.high
    assert rank_metrics([], "bloomz") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World-wide!", ["hello", "world", "wide"]),
        ("किताब पढ़ो।", ["किताब", "पढ़ो"]),
        ("北京 2024年", ["北", "京", "2024", "年"]),
        ("ไปกิน", ["ไ", "ป", "กิ", "น"]),
        ("می‌روم؟", ["می‌روم"]),
        ("", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert words(text) == expected


def test_rouge_keeps_every_script():
    assert ROUGE["rouge_l"]("我在家", ["我在家"], "zh") == 1.0
    assert ROUGE["rouge_l"]("the cat sat", ["the cat ran", "cat"]) == pytest.approx(2 / 3)
    assert ROUGE["rouge_l_original"]("我在家", ["我在家"], "zh") == 0.0
    assert ROUGE["rouge_2"]("қызыл алма", ["қызыл алма жедім"], "kk") == pytest.approx(2 / 3)


def test_the_original_rouge_stems_and_leaves_one_reference_out():
    from rouge_score import rouge_scorer

    text, references = "the cats sat. they ran", ["a cat sits. it runs", "the cats sat", "dogs"]
    scorer = rouge_scorer.RougeScorer(["rougeLsum"], use_stemmer=True)
    lines = [value.replace(".", ".\n") for value in (text, *references)]
    a, b, c = (scorer.score(reference, lines[0])["rougeLsum"].fmeasure for reference in lines[1:])
    expected = (max(b, c) + max(a, c) + max(a, b)) / 3
    assert ROUGE["rouge_lsum_original"](text, references) == pytest.approx(expected)
    (metric,) = generation_metrics(("rouge_lsum_original",), [text], [references], "en")
    assert "jackknife" in metric.signature


def test_bleu_and_chrf_carry_signature_and_interval():
    texts = ["the cat sat on the mat today", "a dog ran over the hill"]
    references = [["the cat sat on the mat"], ["a dog ran over the hill", "the dog ran across a hill"]]
    for metric in (bleu(texts, references, "en"), chrf(texts, references, "en")):
        assert metric.low <= metric.value <= metric.high
        assert metric.value > 50
        assert "version:" in metric.signature
    assert "tok:13a" in bleu(texts, references, "en").signature
    hopeless = [bleu(["x y", "z", "the cat"], [["a"], ["b"], ["the cat sat on it"]], "en") for _ in range(2)]
    assert hopeless[0] == hopeless[1]
    assert hopeless[0].low == 0
    perfect = bleu(["我们今天都在家里"], [["我们今天都在家里"]], "zh")
    assert perfect.value == pytest.approx(100)
    assert "tok:zh" in perfect.signature


def test_metrics_by_name():
    found = generation_metrics(("exact_match", "f1"), ["a b", "c"], [["a b"], ["d"]], "fr")
    assert [(metric.name, metric.value, metric.num_items) for metric in found] == [
        ("exact_match", 0.5, 2),
        ("f1", 0.5, 2),
    ]
    assert generation_metrics(("bleu",), [], [], "fr") == ()
    assert check_metrics(("accuracy",), "") == ("exact_match",)
    with pytest.raises(UnknownNameError, match="task x: unknown metric 'blue'; did you mean 'bleu'"):
        check_metrics(("blue",), "task x")


def test_the_page_says_of_each_metric_what_it_reads():
    page = (Path(__file__).parents[4] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    _, table = page.split("What they read in which language:")
    table = table.split("### The language of answers")[0]
    told = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    for name in (*GENERATION_METRICS, *KIND_METRICS["rank"]):
        assert any(fnmatchcase(name, pattern) for pattern in told), name
