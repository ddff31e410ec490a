"""In which language a prompt is where nothing says so: its script, then the identifier, then English."""

from importlib.metadata import version

import pytest

from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.lint import lint_file

ENTRY = """  {number}: !Template {{answer_choices: null, id: "{number}", jinja: "{jinja}",
    name: "{name}", reference: "", metadata: !TemplateMetadata {{languages: {languages}, metrics: null,
    original_task: null, choices_in_prompt: null}}}}
"""
ARABIC = "بالإشارة إلى الفقرة أعلاه ، فإن الإجابة الصحيحة على السؤال هي"
URDU = "اوپر دیے گئے پیراگراف کے مطابق سوال کا درست جواب یہ ہے کہ"
SPANISH = "Según el párrafo anterior, la respuesta correcta a la pregunta formulada por el autor es la siguiente:"


@pytest.fixture
def languages(tmp_path):
    def read(*entries, dataset="xquad", subset="", head=""):
        """Return the languages of a file of (literal text, metadata, name)."""
        body = "".join(
            ENTRY.format(
                number=number, jinja=f"{{{{context}}}} {text} ||| {{{{a}}}}", languages=said, name=name or number
            )
            for number, (text, said, name) in enumerate(entries)
        )
        path = tmp_path / "templates.yaml"
        path.write_text(f"dataset: {dataset}\nsubset: {subset}\n{head}templates:\n{body}", encoding="utf-8")
        return [template.language for template in read_promptsource(path).templates]

    return read


@pytest.mark.parametrize(
    ("text", "said", "name", "where", "code"),
    [
        (ARABIC, "null", "", {"subset": "xquad.ar"}, "ar"),
        (ARABIC, "[en]", "", {"subset": "xquad.ar"}, "ar"),  # metadata copied from the original
        ("س: ج", "null", "", {}, "ar"),  # too short for anything but its script
        (URDU, "null", "", {"dataset": "xnli", "subset": "ur"}, "ur"),
        (URDU, "[ur]", "", {}, "ur"),
        ("根据上文回答问题", "null", "", {"dataset": "wiki_lingua", "subset": "zh"}, "zh"),
        ("この段落によると、質問の答えは", "null", "", {}, "ja"),
        ("위 단락에 따르면 질문에 대한 답은", "[]", "", {}, "ko"),
        ("По тексту выше ответьте на вопрос", "null", "", {"subset": "bg"}, "bg"),
        ("Answer the question", "null", "", {"subset": "xquad.ar"}, "en"),
        (ARABIC, "null", "ask_frht", {}, "fr"),  # the suffix of a name is the author's word
        (ARABIC, "null", "", {"head": "language: fa\n"}, "fa"),
        ("?", "[es]", "", {}, "es"),
    ],
)
def test_the_script_comes_before_the_metadata(languages, text, said, name, where, code):
    assert languages((text, said, name), **where) == [code]


def test_latin_text_is_identified_over_the_whole_file(languages):
    pytest.importorskip("py3langid")
    assert languages((SPANISH, "null", ""), ("Respuesta:", "null", "")) == ["es", "es"]
    assert languages(("Respuesta:", "null", "")) == ["en"]
    # metadata copied from the original; what has a language of its own tells nothing of the others
    assert languages((SPANISH, "[en]", ""), ("Respuesta:", "[en]", "")) == ["es", "es"]
    assert languages(("Answer the question, and say why:", "[en]", ""), (SPANISH, "[en]", "it_esmt")) == ["en", "es"]


def test_the_identifier_that_told_a_language_is_kept_with_its_version(languages, tmp_path):
    langid = pytest.importorskip("py3langid")
    languages((SPANISH, "null", "found"), (SPANISH, "[es]", "said"), (SPANISH, "null", "named_frht"))
    told = {template.name: template.told_by for template in read_promptsource(tmp_path / "templates.yaml").templates}
    assert told == {"found": f"py3langid {version(langid.__name__)}", "said": "", "named_frht": ""}


def test_an_assumed_language_is_a_finding(languages, tmp_path):
    languages(("?", "null", "short"), (ARABIC, "null", "arabic"))
    found = [each for each in lint_file(tmp_path / "templates.yaml") if each.check == "assumed-language"]
    assert found == []  # the text of the file is Arabic: so is a prompt with too few letters
    assert languages(("A:", "null", "short"), ("B:", "[en]", "said")) == ["en", "en"]
    found = [each for each in lint_file(tmp_path / "templates.yaml") if each.check == "assumed-language"]
    assert [each.template for each in found] == ["short"]
