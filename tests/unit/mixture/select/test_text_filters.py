"""Which texts are left out for their letters, repetition, runs and language."""

import json

import pyarrow as pa
import pytest

from xmtf.errors import ConfigError
from xmtf.mixture import build_mixture
from xmtf.mixture.plan.plan import plan_mixture
from xmtf.mixture.select.text_filters import TextRules, unfit_texts

FRENCH = "Les enfants jouent dans le jardin pendant que leurs parents préparent le dîner."
GERMAN = "Die Kinder spielen im Garten, während ihre Eltern das Abendessen vorbereiten."
TEXTS = {
    "plain": (FRENCH, "fr"),
    "numbers": ("12 + 34 = 46; 7 * 8 = 56; 1000 / 8 = 125 !!! ### a", "fr"),
    "repeated": (f"{FRENCH} " * 4, "fr"),
    "address": (f"{FRENCH} https://example.org/{'1234567890' * 9}", "fr"),
    "german": (GERMAN, "fr"),
    "short": ("Hund und Katze", "fr"),
    "program": ("xs = [1, 2]; ys = {3: 4}; print(xs[0], ys[3]) # " + "0" * 99, "code"),
    "nobody's": (GERMAN, "bm"),
    "chinese": ("今天天气很好，我们去公园散步，然后在湖边的咖啡馆喝茶，聊了很久关于旅行的事情。" * 2, "zh-Hant"),
    "hindi": ("बच्चे बगीचे में खेल रहे हैं और उनके माता-पिता रात का खाना बना रहे हैं।", "hi"),
    "croatian": ("Djeca se igraju u vrtu dok njihovi roditelji pripremaju večeru za goste.", "sr-Latn"),
}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"quality": {"min_letters": 0.5}}, {"letters under 50% of the text": {"numbers", "address"}}),
        ({"quality": {"max_repeated": 0.3}}, {"repetition over 30% of the text": {"repeated"}}),
        ({"quality": {"max_run": 80}}, {"over 80 characters of ASCII without a space": {"address"}}),
        ({"identify": {"confidence": 0.9}}, {"target in another language": {"german"}}),
    ],
)
def test_each_rule_finds_its_text_and_no_other(rules, expected):
    names = list(TEXTS)
    table = pa.table(
        {"inputs": [""] * len(names), "targets": [TEXTS[name][0] for name in names],
         "language": [TEXTS[name][1] for name in names]}
    )  # fmt: skip
    found = unfit_texts(table, TextRules(**rules))
    assert {reason: {names[at] for at in unfit.mask.nonzero()[0]} for reason, unfit in found.items()} == expected
    if "identify" in rules:
        assert found["target in another language"].detail.startswith("it is in de with confidence ")


def test_nothing_is_looked_at_without_rules():
    assert unfit_texts(pa.table({}), TextRules()) == {}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"a": f"{FRENCH} {n}"} for n in range(5)] + [{"a": f"{GERMAN} {n}"} for n in range(3)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "say.yaml").write_text(
        'templates:\n  1: !Template {answer_choices: null, id: "1", jinja: "Say {{a}} ||| {{a}}", name: say,'
        ' reference: "", metadata: !TemplateMetadata {choices_in_prompt: false, languages: [en], metrics: [],'
        " original_task: true}}\n"
    )
    return folder


def of_texts(recipe, texts, *overrides):
    own = f"own_tasks.0={{id: sums-fr, path: {texts}/texts.jsonl, templates: {texts}/say.yaml, language: fr}}"
    return recipe(own, *overrides)


def test_a_mixture_drops_and_counts_them_and_says_what_the_first_was(recipe, texts, tmp_path):
    settings = ("mixture.identify={}", "mixture.tasks.0.tasks=[sums-fr]")
    loaded = of_texts(recipe, texts, *settings)
    manifest = build_mixture(loaded, tmp_path / "mix")
    assert manifest.counts["dropped"]["target in another language"] == 3
    first = manifest.details["firsts"]["target in another language"]
    assert first["row"] == 5
    assert first["detail"].startswith("it is in de")
    assert "| target in another language | 3 |" in (tmp_path / "mix" / "README.md").read_text()
    assert plan_mixture(loaded).inputs["identifier"].startswith("py3langid ")
    off = build_mixture(of_texts(recipe, texts, *settings, "mixture.tasks.0.identify=off"), tmp_path / "off")
    assert "target in another language" not in off.counts["dropped"]
    assert off.fingerprint != manifest.fingerprint


def test_rules_that_say_nothing_are_refused(recipe):
    with pytest.raises(ConfigError, match="give min_letters, max_repeated or max_run"):
        recipe("mixture.quality={}")
    with pytest.raises(ConfigError, match="quality, identify and near_duplicates are for mixtures"):
        recipe("evaluation.suites.0.tasks.0.identify={}")
