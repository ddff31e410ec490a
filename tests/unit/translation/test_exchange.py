"""Translations go out to people and come back: all formats, every byte, and nothing broken gets in."""

import csv
import io
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from xmtf.cli.template.verbs import app
from xmtf.errors import ConfigError
from xmtf.templates import open_collection, read_template_file
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.translation.exchange import read_rows, write_rows
from xmtf.translation.exchange.review import import_rows
from xmtf.translation.exchange.rows import rows_of
from xmtf.translation.file import translate_file

DAY = "2026-12-01"
FORMATS = ("csv", "po", "xliff")


@pytest.fixture
def translated(templates_file, work_of, function_engine):
    engine = function_engine(lambda text: text.replace("e", "é").replace("a", "à").replace("x id", "x id"))
    translate_file(templates_file, templates_file, "en", [work_of(engine)], "2026-11-30")
    return templates_file


def rows(path, languages=("fr",)):
    return rows_of(read_promptsource(path).templates, "en", languages, {"ask": 'P "x"\n=> y'})


def out(path, form, languages=("fr",)):
    exported = path.with_name(f"out.{form}")
    exported.write_bytes(write_rows(rows(path, languages), form, "en", "mine"))
    return exported


def back(exported, path, form, reviewer=""):
    return import_rows(path, read_rows(exported, form), exported, reviewer, DAY).counts


@pytest.mark.parametrize("form", FORMATS)
def test_what_nobody_touched_keeps_every_byte(translated, form):
    before = translated.read_bytes()
    exported = out(translated, form)
    assert back(exported, translated, form) == {"untouched": 2}
    assert translated.read_bytes() == before
    read = read_rows(exported, form)
    assert [(row.original, row.part, row.source, row.target) for row in read] == [
        (row.original, row.part, row.source, row.target) for row in rows(translated)
    ]
    assert 'P "x"' in exported.read_text(encoding="utf-8-sig").replace('""', '"').replace('\\"', '"')


@pytest.mark.parametrize("form", FORMATS)
def test_every_text_of_our_collections_comes_back_as_it_went(form, tmp_path):
    collection = open_collection()
    texts = 0
    for number, key in enumerate(collection.keys()):
        path = collection.path(key)
        before = path.read_bytes()
        templates = [each for each in read_promptsource(path).templates if each.translated is None]
        found = rows_of(templates, "en", ["fr"], {})
        if not found:
            continue
        full = [type(row)(**{**{f: getattr(row, f) for f in row.__slots__}, "target": row.source}) for row in found]
        exported = tmp_path / f"{number}.{form}"
        exported.write_bytes(write_rows(full, form, "en", key))
        read = read_rows(exported, form)
        assert [(row.source, row.target) for row in read] == [(row.source, row.source) for row in found]
        if form == "po" and shutil.which("msgfmt"):
            done = subprocess.run(
                ["msgfmt", "-c", "-o", "/dev/null", exported], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, "")
        copy = tmp_path / f"{number}.yaml"
        copy.write_bytes(before)
        languages = sorted({each.language for each in read_promptsource(path).templates if each.translated})
        if languages:
            some = languages if form == "csv" else languages[:1]
            exported.write_bytes(
                write_rows(rows_of(read_promptsource(path).templates, "en", some, {}), form, "en", key)
            )
            done = import_rows(copy, read_rows(exported, form), exported, "", DAY).counts
            assert set(done) <= {"untouched", "unfinished"}
        assert copy.read_bytes() == before
        texts += len(found)
    assert texts > 300


def edit(exported, form, change, state=None):
    """Change texts of ``ask`` as a person would, and its status."""
    text = exported.read_text(encoding="utf-8-sig")
    if form == "csv":
        read = list(csv.DictReader(io.StringIO(text, newline="")))
        for row in read:
            if row["template"] == "ask":
                row["translation"] = change(row["translation"])
                row["status"] = state or row["status"]
        stream = io.StringIO()
        writer = csv.DictWriter(stream, read[0], delimiter=";")
        writer.writeheader()
        writer.writerows(read)
        exported.write_text("\ufeff" + stream.getvalue(), encoding="utf-8")
        return
    begin, end = ('msgctxt "ask', 'msgctxt "tell') if form == "po" else ('<trans-unit id="ask', '<trans-unit id="tell')
    head, middle = text[: text.index(begin)], text[text.index(begin) : text.index(end)]
    rest = text[text.index(end) :]
    lines = middle.split("\n")
    mark = "msgid" if form == "po" else "<source"
    source = False
    for number, line in enumerate(lines):
        source = line.startswith(mark) if line.startswith(("msg", "<")) else source
        lines[number] = line if source or line.startswith("#") else change(line)
    middle = "\n".join(lines)
    if state == "reviewed" and form == "po":
        head, middle = head.replace("fuzzy, ", ""), middle.replace("fuzzy, ", "", 2)
        first, last = middle.rsplit("#. state", 1)
        middle = first.replace("#, fuzzy, ", "#, ") + "#. state" + last
    elif state:
        middle = middle.replace("needs-review-translation", "signed-off")
    exported.write_text(head + middle + rest, encoding="utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_a_person_reviews_one_translation_and_nothing_else_changes(translated, form):
    before = translated.read_text(encoding="utf-8")
    exported = out(translated, form)
    edit(exported, form, lambda text: text.replace("surély", "sûrement"), "reviewed")
    with pytest.raises(ConfigError, match="give the name with --reviewer"):
        back(exported, translated, form)
    assert back(exported, translated, form, "Ana") == {"reviewed": 1, "untouched": 1}
    found = {each.name: each for each in read_template_file(translated)}
    made = found["ask_frht"]
    assert (made.translation, made.translated.state, made.translated.reviewer) == ("human", "reviewed", "Ana")
    assert '{{ "sûrement" }}' in made.jinja
    assert found["tell_frmt"].translated.state == "for_person"
    changed = set(translated.read_text(encoding="utf-8").splitlines()) - set(before.splitlines())
    assert {line.split(":")[0].strip() for line in changed if "sûrement" not in line} == {
        "name",
        "state",
        "reviewer",
        "date",
    }
    assert back(out(translated, form), translated, form) == {"untouched": 2}


@pytest.mark.parametrize("form", FORMATS)
def test_a_broken_placeholder_is_refused_by_line_and_nothing_is_imported(translated, form):
    before = translated.read_bytes()
    exported = out(translated, form)
    cut = {"csv": "{{ claim }}", "po": "{{ claim }}", "xliff": 'equiv-text="{{ claim }}"'}[form]
    edit(exported, form, lambda text: text.replace(cut, cut.replace("claim", "clame")), "reviewed")
    with pytest.raises(ConfigError) as raised:
        back(exported, translated, form, "Ana")
    lines = exported.read_text(encoding="utf-8-sig").splitlines()
    said = str(raised.value)
    assert "nothing is imported" in said
    assert "lost {{claim}}, {{claim}}; new {{clame}}, {{clame}}" in said
    number = int(said.split("line ")[1].split(":")[0])
    assert "ask" in "".join(lines[max(0, number - 3) : number + 1])
    assert translated.read_bytes() == before


def test_a_language_is_begun_by_hand(translated):
    exported = out(translated, "csv", ["sw"])
    edit(exported, "csv", lambda text: text)
    read = list(csv.DictReader(io.StringIO(exported.read_text(encoding="utf-8-sig"), newline=""), delimiter=";"))
    assert {row["translation"] for row in read} == {""}
    assert back(exported, translated, "csv") == {"unfinished": 2}
    words = {"choice 1": "=ndiyo", "choice 2": "labda", "choice 3": "'-siyo", "inputs": None}
    for row in read:
        if row["template"] == "ask":
            row["translation"] = words[row["part"]] or row["source"].replace("Premise", "Hoja")
    stream = io.StringIO()
    writer = csv.DictWriter(stream, read[0])
    writer.writeheader()
    writer.writerows(read)
    exported.write_text(stream.getvalue(), encoding="utf-8")
    assert back(exported, translated, "csv") == {"new": 1, "unfinished": 1}
    made = {each.name: each for each in read_template_file(translated)}["ask_swmt"]
    assert (made.translated.state, made.translated.engine, made.translated.date) == ("unreviewed", "hand", DAY)
    assert made.answer_choices == "=ndiyo ||| labda ||| -siyo"
    assert "Hoja: {{ premise }}" in made.jinja


@pytest.mark.parametrize("cell", ["=1+1", "'=1", "''+x", "-no", "@x", "plain", "'tis", "", "+", "a\nb", '"q", ;'])
def test_a_cell_gets_a_quote_exactly_where_it_would_be_a_formula(cell, tmp_path, translated):
    row = rows(translated)[0]
    row = type(row)(row.original, row.language, row.part, row.source, cell, row.state)
    path = tmp_path / "x.csv"
    path.write_bytes(write_rows([row], "csv", "en", ""))
    assert read_rows(path, "csv")[0].target == cell
    assert not any(
        field[:1] in tuple("=+-@")
        for line in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        for field in line
    )


def test_broken_files_are_named_by_line(tmp_path, translated):
    for name, text, said in (
        ("a.csv", "template,language\n", "line 1: no column part"),
        ("a.xliff", "<xliff>\n<file", "line 2"),
        ("a.po", 'msgid "a"\nmsgstr "b"\nx\n', "a.po"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_rows(path, name.partition(".")[2])
    exported = out(translated, "csv")
    exported.write_text(exported.read_text(encoding="utf-8-sig").replace(",machine,", ",done,"), encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: status is 'done'"):
        read_rows(exported, "csv")
    exported = out(translated, "po")
    translated.write_text(translated.read_text(encoding="utf-8").replace("or 50 %", "or 60 %"), encoding="utf-8")
    with pytest.raises(ConfigError, match="'ask' changed since the export"):
        back(exported, translated, "po")


def test_translators_tools_read_our_xliff(translated):
    xliff = pytest.importorskip("translate.storage.xliff", reason="translate-toolkit is not installed")
    store = xliff.xlifffile.parsefile(str(out(translated, "xliff")))
    units = {unit.getid().rpartition("\x04")[2]: unit for unit in store.units}
    assert (store.sourcelanguage, store.targetlanguage) == ("en", "fr")
    assert len(units) == len(rows(translated))
    first = units["ask | inputs"]
    assert str(first.source).startswith("Premise: ")
    assert len(first.xmlelement.findall(".//{*}source/{*}x")) == 6
    assert first.xmlelement.find(".//{*}target").get("state") == "needs-review-translation"


def test_the_verbs_export_import_and_count(translated, tmp_path):
    def xmtf(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        return result.exit_code, result.stdout + result.stderr + str(result.exception or "")

    csv_file = tmp_path / "review.csv"
    assert xmtf("export", translated, "--out", csv_file)[0] == 0
    assert "already exists" in xmtf("export", translated, "--out", csv_file)[1]
    assert "untouched: 2" in xmtf("import", csv_file, translated)[1]
    assert "holds one language" in xmtf("export", translated, "--language", "fr,sw", "--out", tmp_path / "a.po")[1]
    code, said = xmtf("status", translated)
    assert code == 0
    assert said.splitlines()[1].split() == [str(translated), "fr", "1", "1"]
