"""Whether answers are in the language that was asked for: only where the identifier knows it, and never a zero."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.metrics.answer_language import answer_languages
from xmtf.evaluation.scoring.score import items_table, score_items
from xmtf.evaluation.scoring.summary import score_lines
from xmtf.evaluation.suites.jobs import Job
from xmtf.languages.identifier import accepted_languages
from xmtf.records import AnswerLanguage, Origin, Provenance, Request
from xmtf.results.items import About, JobInfo
from xmtf.results.measured import job_counts

pytest.importorskip("py3langid", reason="the package py3langid is not installed")

SWAHILI = [
    "Ninapenda kula chakula kizuri pamoja na marafiki zangu nyumbani.",
    "Watoto wanacheza mpira uwanjani kila siku baada ya shule.",
    "Rais alisema kwamba barabara mpya itafunguliwa mwezi ujao.",
]
ENGLISH = "The children play football in the yard every day after school."
NORWEGIAN = "Barna leker ute i hagen hver dag etter at de kommer hjem fra skolen."
DANISH = "B\u00f8rnene leger ude i haven hver dag, efter at de er kommet hjem fra skole."
CROATIAN = "Djeca se svaki dan nakon \u0161kole igraju u dvori\u0161tu ispred ku\u0107e."
INDONESIAN = "Anak-anak bermain sepak bola di halaman setiap hari setelah pulang sekolah."


def told(texts, references, language):
    found, whole = answer_languages(texts, [[one] for one in references], language)
    return [one.in_language for one in found], whole


def test_answers_in_another_language_are_counted():
    found, whole = told([SWAHILI[1], ENGLISH, SWAHILI[0]], SWAHILI, "sw")
    assert found == [True, False, True]
    assert (whole.share, whole.judged, whole.references, whole.gap) == (2 / 3, 3, 1.0, "")
    assert 0.2 < whole.low < 2 / 3 < whole.high < 1.0


@pytest.mark.parametrize("text", ["Ndiyo.", "", None, "12 + 3 = 15; 4 x 4 = 16; 100 %; 3.14159; 2026-11-29"])
def test_what_is_too_short_or_in_no_language_is_not_judged(text):
    found, whole = told([text, SWAHILI[1], SWAHILI[2]], SWAHILI, "sw")
    assert found == [None, True, True]
    assert (whole.share, whole.judged) == (1.0, 2)


def test_nothing_to_judge_is_null_and_never_zero():
    _, whole = told(["Ndiyo."] * 3, SWAHILI, "sw")
    assert whole == AnswerLanguage(None, None, None, 0, 1.0, "no answer is long enough")


@pytest.mark.parametrize(
    ("language", "references", "gap"),
    [
        ("wo", [ENGLISH] * 3, "not measurable: the identifier does not know wo"),
        ("sw", [*SWAHILI, ENGLISH], "not measurable: the identifier finds 75 % of the references to be in sw"),
        ("sw", ["ndiyo", "hapana", "labda"], "not measurable: no reference has 20 letters"),
        ("code", ["return the_largest_of(numbers)"] * 3, "not measurable: programs have no natural language"),
    ],
)
def test_where_the_identifier_fails_on_references_nothing_is_measured(language, references, gap):
    texts = [ENGLISH] * len(references)
    found, whole = told(texts, references, language)
    assert found == [None] * len(texts)
    assert (whole.share, whole.gap) == (None, gap)


@pytest.mark.parametrize(
    ("language", "reference", "text"),
    [
        ("nb", NORWEGIAN, DANISH), ("no", NORWEGIAN, DANISH), ("nn", NORWEGIAN, NORWEGIAN), ("da", DANISH, NORWEGIAN),
        ("hr", CROATIAN, CROATIAN), ("bs", CROATIAN, CROATIAN), ("sr", CROATIAN, CROATIAN),
        ("id", INDONESIAN, INDONESIAN), ("ms", INDONESIAN, INDONESIAN),
    ],
)  # fmt: skip
def test_relatives_that_nobody_tells_apart_pass_for_each_other(language, reference, text):
    found, whole = told([text, ENGLISH], [reference] * 2, language)
    assert (found, whole.references) == ([True, False], 1.0)


def test_groups_are_those_three():
    for group in ({"no", "nn", "da"}, {"hr", "bs", "sr", "sr-Latn"}, {"id", "ms"}):
        assert all(accepted_languages(code) >= group for code in group)
    assert accepted_languages("sv") == {"sv"}
    assert not accepted_languages("es") & accepted_languages("pt")


def test_it_stands_in_items_and_scores():
    requests = tuple(Request("p", (), None, (right,), Origin("own", "", "test", n)) for n, right in enumerate(SWAHILI))
    asked = Provenance("sw", "en", "none", "mt/sw", "translation", "own", "", "test", "t")
    info = JobInfo("s", "none", "generation", asked, "h", ("chrf",))
    answers = [Answer(text=ENGLISH), Answer(text=SWAHILI[1]), Answer(error="failed")]
    table = items_table(Job(info, requests), answers, "bloomz")
    assert table["text_language"].to_pylist() == ["en", "sw", None]
    assert table["text_script"].to_pylist() == ["Latn", "Latn", None]
    assert table["in_language"].to_pylist() == [False, True, None]
    about = About(info, "m", "f", "bloomz", {})
    score = score_items(table, about)
    assert (score.answer_language.share, score.answer_language.judged) == (0.5, 2)
    assert job_counts(about, table)["in_language"].counts.tolist() == [[0.0, 1.0], [1.0, 1.0]]
    header, line = score_lines([score])
    assert "in language" in header
    assert "50.0 of 2" in line


def test_without_the_package_nothing_is_measured_and_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setattr("xmtf.evaluation.metrics.answer_language.shared_identifier", _missing)
    found, whole = told(SWAHILI, SWAHILI, "sw")
    assert found == [None] * 3
    assert whole.gap == "not measured: py3langid is not installed (pip install 'xmtf[langid]')"


def _missing():
    from xmtf.errors import MissingExtraError

    raise MissingExtraError("py3langid", "langid")


def test_real_translations_are_in_their_language_and_their_sources_are_not():
    root = Path(os.environ.get("XMTF_DATA_ROOT", ""), "mteb", "NTREX")
    if not root.is_dir():
        pytest.skip("needs NTREX under XMTF_DATA_ROOT")
    for folder, language in (("swa", "sw"), ("yor", "yo"), ("hin", "hi"), ("ind", "id")):
        (file,) = (root / f"eng-{folder}").glob("*.parquet")
        table = pq.read_table(file).slice(0, 40)
        right = [[text] for text in table["target"].to_pylist()]
        assert answer_languages([text for (text,) in right], right, language)[1].share >= 0.95, language
        assert answer_languages(table["source"].to_pylist(), right, language)[1].share == 0.0, language
