import pytest

from xmtf.analysis.corpus import Passages
from xmtf.analysis.language_counts import LanguageCounts, identify_languages
from xmtf.languages.codes import main_script
from xmtf.languages.identifier import Identifier, Sentence

pytest.importorskip("py3langid", reason="the package py3langid is not installed")

GERMAN = "Die Katze saß gestern Abend auf dem Dach und sah den Mond an."
SWAHILI = "Ninapenda kula chakula kizuri pamoja na marafiki zangu."
JAPANESE = "これは黒い猫です。"


def count(*passages, reliable=0.9):
    counts = LanguageCounts()
    for _ in identify_languages(passages, reliable=reliable, counts=counts):
        pass
    return counts


def test_each_sentence_counts_under_its_declared_and_its_detected_language():
    counts = count(Passages([f"{GERMAN} {SWAHILI}", JAPANESE], ["de", "ja"]))
    assert counts.everything == {("de", "de"): 1, ("de", "sw"): 1, ("ja", "ja"): 1}
    assert counts.reliable == counts.everything
    totals = {record["language"]: record for record in counts.totals()}
    assert totals["sw"]["percent"] == pytest.approx(33.3333)
    assert totals["sw"]["percent_declared"] == 0
    assert totals["de"]["percent_declared"] == pytest.approx(66.6667)
    first = counts.agreement()[0]
    assert (first["declared"], first["percent_same"], first["also"]) == ("de", 50.0, "sw")


def test_doubtful_sentences_are_counted_apart():
    counts = LanguageCounts()
    counts.add("de", Sentence("de", 0.95, in_its_script=True), 0.9)
    counts.add("de", Sentence("de", 0.95, in_its_script=False), 0.9)
    counts.add("de", Sentence("br", 0.2, in_its_script=True), 0.9)
    assert counts.everything.total() == 3
    assert counts.reliable == {("de", "de"): 1}


def test_programs_are_in_no_language():
    assert count(Passages(["return x"], ["code"])).everything.total() == 0


def test_scripts_are_told_by_letters():
    assert main_script("Привет, world: добрый день") == "Cyrl"
    assert main_script("12 + 3") == ""
    assert Identifier()(JAPANESE).in_its_script
