"""The number that can be published: of a prompt chosen beforehand; and groups of languages."""

from dataclasses import replace

import pytest

from xmtf.records import Metric, Provenance, Score, ShotsAsked
from xmtf.report.chosen import chosen_prompts
from xmtf.report.comparison.language_groups import grouping_by_training, language_group
from xmtf.report.comparison.results import Results
from xmtf.report.tables import language_groups, published_numbers


def score(template, value, split="test", language="fr", suite="s"):
    asked = Provenance(language, "en", "none", f"xnli/{language}", "nli", "facebook/xnli", language, split, template)
    return Score("m", "f", suite, "none", "rank", "bloomz", asked, "h", (Metric("accuracy", value, 0, 1, 0.3, 9),))


TEST = [score("first", 0.57), score("second", 0.60), score("third", 0.58)]


def test_validation_chooses_the_prompt_where_it_was_measured():
    seen = [score("first", 0.5, "validation"), score("third", 0.7, "validation"), score("gone", 0.9, "validation")]
    (chosen,) = chosen_prompts([*TEST, *seen])
    assert (chosen.score.provenance.template, chosen.by, chosen.metric.value) == ("third", "validation", 0.58)
    assert (chosen.median, chosen.best, chosen.prompts) == (0.58, 0.60, 3)
    (other,) = chosen_prompts(
        [*TEST, *(replace(each, shots=ShotsAsked(5, "t", "dev", "fixed", "fr", 1)) for each in seen)]
    )
    assert other.by == "first of the file"  # validated with five shots, measured with none


def test_without_validation_it_is_the_first_of_the_file_and_never_the_best():
    (chosen,) = chosen_prompts(TEST)
    assert (chosen.score.provenance.template, chosen.by) == ("first", "first of the file")
    alone = [replace(each, provenance=replace(each.provenance, split="validation")) for each in TEST]
    (chosen,) = chosen_prompts(alone)  # the only split there is: it chooses nothing
    assert (chosen.score.provenance.template, chosen.by) == ("first", "first of the file")
    table = published_numbers(Results(scores={"m": TEST}))
    assert [row[6:] for row in table.rows] == [("first", "first of the file", "57.0 [0.0, 100.0]", "58.0", "60.0 of 3")]


@pytest.mark.parametrize(
    ("language", "family", "script", "resources"),
    [
        ("fr", "Indo-European, Romance", "Latn", "high"),
        ("sw", "Niger-Congo, Bantu", "Latn", "middle"),
        ("yo", "Niger-Congo, Volta-Niger", "Latn", "low"),
        ("wo", "Niger-Congo, Atlantic", "Latn", "none"),
        ("ar-Latn", "Afro-Asiatic, Semitic", "Latn", "none"),
        ("code", "programs", "programs", "programs"),
    ],
)
def test_groups_of_languages_are_from_data(language, family, script, resources):
    one = score("first", 0.5, language=language)
    assert [language_group(name, one) for name in ("family", "script", "resources")] == [family, script, resources]


def test_results_are_grouped_where_there_are_groups():
    french, thai = score("first", 0.5), score("first", 0.5, language="th")
    assert language_groups(Results(scores={"m": [french]})) == []
    assert language_groups(Results(scores={"m": [french, thai]})) == ["family", "script"]
    trained = Results(scores={"m": [french, thai]}, trained=frozenset({"fr"}))
    assert language_groups(trained) == ["family", "script", "training"]
    group = grouping_by_training(frozenset({"fr", "uzn-Latn"}))
    assert [group(each) for each in (french, thai, score("first", 0.5, language="uz"))] == [
        "seen in training",
        "not seen in training",
        "seen in training",
    ]
