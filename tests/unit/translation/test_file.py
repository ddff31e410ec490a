"""A file is translated once; what changed is asked again; what a person wrote stays."""

import sys

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from xmtf.cli.template.verbs import app
from xmtf.errors import ConfigError, DataError, TranslationError
from xmtf.templates import read_template_file
from xmtf.translation.engines import open_engine
from xmtf.translation.file import measure, translate_file
from xmtf.translation.glossary import Glossary, read_glossary
from xmtf.translation.memory import Memory
from xmtf.translation.report import report_language, write_report

DAY = "2026-11-30"


def upper(text):
    return text.replace("e", "é").replace("s", "z")


def entries(path):
    return {each.name: each for each in read_template_file(path)}


@pytest.fixture
def simple(tmp_path):
    path = tmp_path / "simple.yaml"
    path.write_text(
        "language: en\n"
        "templates:\n"
        "  - name: ask  # plain form\n"
        "    jinja: |-\n"
        "      Sentence: {{ text }}\n"
        "      Which topic has the sentence? ||| {{ answer_choices[label] }}\n"
        "    answer_choices: sports ||| science\n"
        "  - {name: tell, jinja: 'Name the topic: {{ text }} ||| {{ topic }}'}\n",
        encoding="utf-8",
    )
    return path


def test_a_second_run_asks_nothing_and_changes_no_byte(simple, tmp_path, work_of, function_engine):
    engine = function_engine(upper)
    memory = tmp_path / "memory.jsonl"
    before = simple.read_text(encoding="utf-8")
    volume = measure(simple, "en", work_of(engine))
    assert (volume.texts, volume.actions["new"], engine.asked) == (5, 2, [])
    done = translate_file(simple, simple, "en", [work_of(engine, memory=Memory(memory))], DAY)
    assert done.states("fr") == {"machine": 2}
    assert len(engine.asked) == 5
    after = simple.read_text(encoding="utf-8")
    assert after.startswith(before)
    found = entries(simple)["ask_frmt"]
    assert (found.language, found.translation, found.translated.engine) == ("fr", "machine", "function")
    assert found.jinja.startswith("Sénténcé: {{ text }}\nWhich topic haz")
    translate_file(simple, simple, "en", [work_of(engine, memory=Memory(memory))], DAY)
    assert (simple.read_text(encoding="utf-8"), len(engine.asked)) == (after, 5)


def test_only_what_changed_is_asked_again_and_what_a_person_wrote_becomes_fuzzy(
    simple, tmp_path, work_of, function_engine
):
    engine = function_engine(upper)
    memory = tmp_path / "memory.jsonl"
    translate_file(simple, simple, "en", [work_of(engine, c, Memory(memory)) for c in ("fr", "es")], DAY)
    text = simple.read_text(encoding="utf-8").replace("Which topic has the sentence?", "Which topic fits best?", 1)
    at = text.index("name: ask_frmt")
    text = text[:at] + text[at:].replace("state: machine", "state: reviewed\n    reviewer: Ana", 1)
    text = text.replace("ask_frmt", "ask_frht")
    simple.write_text(text, encoding="utf-8")
    engine.asked.clear()
    translate_file(simple, simple, "en", [work_of(engine, c, Memory(memory)) for c in ("fr", "es")], DAY)
    assert engine.asked == ["Which topic fits best?"]
    found = entries(simple)
    assert "fitz bézt" in found["ask_esmt"].jinja
    assert found["ask_frmt"].translated.state == "fuzzy"
    assert "haz thé" in found["ask_frmt"].jinja
    assert found["ask_frmt"].translated.reviewer == "Ana"


def test_a_glossary_holds_and_is_never_asked(simple, work_of, function_engine, tmp_path):
    path = tmp_path / "glossary.yaml"
    path.write_text("fra: {sports: sport, sentence: phrase}\nsw: {no: hapana}\n", encoding="utf-8")
    glossary = read_glossary(path, "fr")
    assert glossary == Glossary({"sports": "sport", "sentence": "phrase"})
    assert glossary.look_up(("Sentence:",)) == ("Phrase:",)
    assert read_glossary(path, "sw").look_up(("No",)) == ("Hapana",)
    engine = function_engine(upper)
    translate_file(simple, simple, "en", [work_of(engine, glossary=glossary)], DAY)
    assert entries(simple)["ask_frmt"].answer_choices == "sport ||| zciéncé"
    assert "sports" not in engine.asked
    path.write_text("fr: [a]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected `term: translation`"):
        read_glossary(path.rename(tmp_path / "other.yaml"), "fr")


def test_right_to_left_values_are_isolated_where_asked(simple, work_of, function_engine):
    engine = function_engine(lambda text: text.replace("Sentence", "جملة"))
    works = [work_of(engine, "ar")]
    translate_file(simple, simple, "en", works, DAY, isolates=True)
    assert "جملة: \u2068{{ text }}\u2069\n" in entries(simple)["ask_armt"].jinja


def test_a_broken_memory_is_named(tmp_path):
    path = tmp_path / "memory.jsonl"
    path.write_text('{"engine": "x"}\n')
    with pytest.raises(DataError, match="line 1 is not an entry of a translation memory"):
        Memory(path)


def test_a_command_gets_lines_and_gives_as_many(tmp_path):
    script = tmp_path / "mt.py"
    script.write_text("import sys\nfor line in sys.stdin: print(sys.argv[1], line.strip()[::-1])\n")
    engine = open_engine(f"command:{sys.executable} '{script}' {{source}}-{{target}}")
    assert engine.translate(["abc", "$(ls) `x`"], "en", "fr") == ["en-fr cba", "en-fr `x` )sl($"]
    script.write_text("import sys\nsys.exit('no model')\n")
    with pytest.raises(TranslationError, match="ended with 1: no model"):
        engine.translate(["abc"], "en", "fr")
    for name in ("command:", "command:no-such-program-at-all x", "command:'", "babelfish"):
        with pytest.raises(ConfigError, match="--engine"):
            open_engine(name)


def test_the_verb_says_what_would_go_out_and_what_was_written(simple):
    command = f"command:{sys.executable} -c 'import sys;[print(line[:-1][::-1]) for line in sys.stdin]'"
    words = ["translate", str(simple), "--to", "fr", "--engine", command]
    result = CliRunner().invoke(app, [*words, "--dry-run", "--price", "20"], catch_exceptions=False)
    assert "at 20 per million; nothing was sent" in result.stderr
    assert "fr        2    0      0      0     5" in result.stdout
    before = simple.read_bytes()
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "fr        2        machine: 2" in result.stdout
    assert simple.read_bytes().startswith(before)
    assert (simple.parent / "translation-memory.jsonl").exists()


def test_the_report_has_a_figure_for_each_check(simple, tmp_path):
    swap = "line[:-1].translate(str.maketrans('aeiou', 'eioua'))"
    command = f'command:{sys.executable} -c "import sys;[print({swap}) for line in sys.stdin]"'
    glossary = tmp_path / "glossary.yaml"
    glossary.write_text("fr: {topic: sujet}\n")
    out = tmp_path / "report.md"
    words = ["translate", str(simple), "--to", "fr", "--engine", command, "--report", str(out), "--back"]
    words += ["--glossary", str(glossary)]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    figures = dict(zip(rows[0], rows[2], strict=True))
    assert figures["states"] == "machine: 2"
    assert figures["placeholders-differ"] == figures["lines-differ"] == "0 of 2"
    assert figures["choices-differ"] == "0 of 1"
    assert figures["glossary"] == "2 of 2"
    assert 0 < float(figures["back-translation chrF++"]) < 100
    assert "- glossary 'tell_frmt': without sujet" in lines
    result = CliRunner().invoke(app, words)
    assert "already exists" in str(result.exception)


def test_rows_stand_side_by_side(simple, work_of, function_engine):
    translate_file(simple, simple, "en", [work_of(function_engine(upper))], DAY)
    report = report_language(read_template_file(simple), "fr", "x")
    table = pa.table(
        {"text": [f"a | b {n}" for n in range(30)], "label": [n % 2 for n in range(30)], "topic": ["t"] * 30}
    )
    lines = write_report([report], "x", table, {"dataset": "d", "split": "train"}).splitlines()
    side = [line for line in lines if line.startswith(("| 0 ", "| 19 ", "| 20 "))]
    assert len(side) == 2
    assert "Sentence: a \\| b 0<br>Which topic has the sentence? **sports** | Sénténcé: a \\| b 0<br>" in side[0]
