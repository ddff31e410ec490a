"""Exact match, F1 and the metrics of text, in every script."""

import unicodedata

import pytest

from xmtf.evaluation.metrics.answers import (
    exact_match,
    exact_match_original,
    exact_text,
    f1_original,
    normalize_answer,
    token_f1,
)
from xmtf.evaluation.metrics.registry import GENERATION_METRICS, generation_metrics
from xmtf.evaluation.metrics.rouge import ROUGE
from xmtf.evaluation.metrics.translation import bleu, bleu_tokenizer, chrf
from xmtf.languages.codes import SENTENCE_MARKS

DIFFERENT = [
    ("", "A", "en"),
    ("the", "a", "en"),
    ("?", "!", "en"),
    ("€", "$", "en"),
    ("😀", "😢", "en"),
    ("-5", "5", "en"),
    ("-$5", "$5", "en"),
    ("35", "3.5", "en"),
    ("1.000", "1000", "en"),
    ("3.10", "3.1", "en"),
    ("1/2", "12", "en"),
    ("10:30", "1030", "en"),
    ("3-4", "34", "en"),
    ("C++", "C", "en"),
    ("C#", "C++", "en"),
    ("A+", "A", "en"),
    ("kır", "kir", "tr"),
    ("می‌روم", "میروم", "fa"),
]
SAME = [
    ("A", "a", "en"),
    ("(a)", "a", "en"),
    ("C#.", "c#", "en"),
    ("$5", "5", "en"),
    ("50 %", "50", "en"),
    ("1,000", "1000", "en"),
    ("1.000", "1000", "de"),
    ("3,5", "3.5", "de"),
    ("٣٫٥", "3.5", "ar"),
    ("½", "1/2", "en"),
    ("−5", "-5", "en"),
    ("cat's", "cats", "en"),
    ("שלום\u200f", "שלום", "he"),
    ("\u2068ja\u2069", "ja", "de"),
    ("نعم\u061c", "نعم", "ar"),
    ("ja\u200b", "\ufeffja", "de"),
    ("so\u00adft", "soft", "en"),
    ("ISTANBUL", "İstanbul", "tr"),
    ("İSTANBUL", "istanbul", "tr"),
    ("IĞDIR", "ığdır", "tr"),
    ("STRASSE", "Straße", "de"),
    ("ΟΔΟΣ", "οδος", "el"),
    ("１２３ＡＢＣ", "123abc", "ja"),
    ("ｶﾀｶﾅ", "カタカナ", "ja"),
    ("答え。", "答え", "ja"),
]


@pytest.mark.parametrize(("text", "reference", "language"), DIFFERENT)
def test_different_answers_do_not_match(text, reference, language):
    assert exact_match(text, [reference], language) == 0.0
    assert token_f1(text, [reference], language) < 1.0


@pytest.mark.parametrize(("text", "reference", "language"), SAME)
def test_the_same_answer_matches_however_it_is_written(text, reference, language):
    assert exact_match(text, ["something else", reference], language) == 1.0
    assert token_f1(text, [reference], language) == 1.0


def test_normal_forms():
    assert normalize_answer("The  Cat's, a dog!") == "cats dog"
    assert normalize_answer("A la «maison»", "fr") == "a la maison"
    assert exact_text(" 1,5 ", ["1,5"]) == 1.0
    assert exact_text("15", ["1,5"]) == 0.0


def test_f1_counts_shared_words():
    assert token_f1("the big cat", ["a cat"]) == pytest.approx(2 / 3)
    assert token_f1("", [""]) == 1.0
    assert token_f1("dog", [""]) == 0.0
    assert token_f1("我在家", ["我家"], "zh") == pytest.approx(0.8)
    assert token_f1("about 3.5 kg", ["3.5"]) == pytest.approx(0.5)


def test_the_originals_keep_the_rule_of_squad():
    assert exact_match_original("", ["A"]) == exact_match_original("3.5", ["35"]) == 1.0
    assert exact_match_original("«ja»", ["ja"]) == 0.0
    assert f1_original("", [""]) == 0.0
    assert f1_original("the big cat", ["a cat"]) == pytest.approx(2 / 3)
    assert f1_original("我在家", ["我家"]) == 0.0


SENTENCES = {
    "yo": "Ó ń lọ sí ilé ẹ̀kọ́ lónìí pẹ̀lú àwọn ọ̀rẹ́ rẹ̀",
    "vi": "Tôi đang ở nhà cùng với các bạn của tôi",
    "ko": "저는 오늘 친구들과 함께 집에 있습니다",
    "el": "Είμαι στο σπίτι σήμερα μαζί με τους φίλους μου",
}


@pytest.mark.parametrize("metric", [name for name in GENERATION_METRICS if not name.startswith("ifeval_")])
@pytest.mark.parametrize("language", SENTENCES)
def test_decomposed_answers_are_worth_as_much_as_composed_ones(metric, language):
    sentence = SENTENCES[language] + " 7"
    text, reference = unicodedata.normalize("NFD", sentence), unicodedata.normalize("NFC", sentence)
    assert text != reference
    (apart,) = generation_metrics((metric,), [text], [[reference]], language)
    (alike,) = generation_metrics((metric,), [reference], [[reference]], language)
    (turned,) = generation_metrics((metric,), [reference], [[text]], language)
    assert apart.value == alike.value == turned.value
    assert apart.value > 0 or metric.endswith("_original")


HAN = "子曰學而時習之不亦說乎"


@pytest.mark.parametrize(
    ("language", "reference"),
    [
        *((language, HAN) for language in ("zh", "zh-Hant", "yue", "wuu", "lzh", "nan", "hak", "gan", "hsn")),
        ("th", "ฉันอยู่บานกับเพื่อน"),
        ("lo", "ຂ້ອຍຢູ່ເຮືອນກັບໝູ່"),
        ("km", "ខ្ញុំនៅផ្ទះជាមួយមិត្ត"),
        ("my", "ငါအိမ်မှာရှိတယ်"),
        ("bo", "ང་ནང་ལ་ཡོད"),
        ("shn", "ႁဝ်းမီးယူႇတီႈႁိူၼ်း"),
        ("jv", "ꦱꦏꦧꦺꦃꦲꦤꦏꦫꦏ"),
        ("ja", "私は今日友達と家にいます"),
        ("ko", "저는 오늘 친구들과 함께 집에 있습니다"),
    ],
)
def test_bleu_of_a_text_against_itself_is_full_in_unsegmented_scripts(language, reference):
    found = bleu([reference], [[reference]], language)
    assert found.value == pytest.approx(100)
    assert "tok:13a" not in found.signature


def test_the_tokenizer_follows_the_script_of_all_references():
    assert bleu_tokenizer([[HAN]], "xx") == bleu_tokenizer([[HAN], ["OK"]], "nan") == "zh"
    assert bleu_tokenizer([["Goá tī chhù"], ["我"]], "nan") == "13a"
    assert bleu_tokenizer([["привет"], []], "ru") == bleu_tokenizer([["12"]], "zh") == "13a"
    assert bleu_tokenizer([["東京都"]], "ja") == bleu_tokenizer([["東京はどこですか"]]) != "zh"


def test_bleu_and_chrf_say_that_texts_were_composed():
    for metric in (bleu, chrf):
        assert metric(["a b c d"], [["a b c d"]], "en").signature.endswith("norm:nfc")


@pytest.mark.parametrize("mark", SENTENCE_MARKS)
def test_sentences_end_at_the_marks_of_every_script(mark):
    assert ROUGE["rouge_lsum"](f"b c{mark} a d{mark}", [f"a d{mark} b c{mark}"]) == 1.0
