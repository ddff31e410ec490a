"""Whatever an engine does to marks, no entry says ``machine`` whose code, line ends or signs are not the source's."""

import re
from collections import Counter

import pytest

from xmtf.templates import read_template_file
from xmtf.templates.languages.pieces import skeleton
from xmtf.translation.file import translate_file

MARK = re.compile(r'<x id="(\d)"/>|\{(\d)\}|\[(\d)\]|XQ(\d)X')


def gibberish(text):
    """Stand for a translation: other letters, as many words."""
    swap = str.maketrans("aeioubcdfglmnprst", "ouaeidfgbclnmrpts")
    parts = re.split(r'(<x id="\d"/>|&amp;|XQ\dX)', text)
    return "".join(part if number % 2 else part.translate(swap) for number, part in enumerate(parts))


def on_marks(change):
    return lambda text: MARK.sub(change, gibberish(text))


HOSTILE = {
    "drops": on_marks(""),
    "drops one": lambda text: MARK.sub("", gibberish(text), count=1),
    "doubles": on_marks(lambda m: m[0] * 2),
    "doubles with a space": on_marks(lambda m: f"{m[0]} {m[0]}"),
    "renumbers": on_marks(lambda m: re.sub(r"\d", lambda d: str(int(d[0]) + 1), m[0])),
    "all the same number": on_marks(lambda m: re.sub(r"\d", "0", m[0])),
    "local digits": on_marks(lambda m: re.sub(r"\d", "٠", m[0])),
    "translates": on_marks(lambda m: "{premisse}"),
    "translates into jinja": on_marks(lambda m: "{{ premisse }}"),
    "escapes": on_marks(lambda m: m[0].replace("<", "&lt;").replace("{", "&#123;").replace("[", "\\[")),
    "escapes all": lambda text: gibberish(text).replace('"', "&quot;"),
    "closes tags": on_marks(lambda m: m[0].replace("/>", "></y>")),
    "line ends": lambda text: gibberish(text).replace(" ", "\n", 1),
    "line ends as signs": lambda text: gibberish(text).replace(" ", "\\n", 1),
    "line separator": lambda text: gibberish(text).replace(" ", "\u2028", 1),
    "statements": lambda text: gibberish(text) + "{% if x %}",
    "pipes": lambda text: gibberish(text) + " ||| x",
    "braces": lambda text: "{" + gibberish(text),
    "nul": lambda text: gibberish(text) + "\x00",
    "bidi": lambda text: "\u202e" + gibberish(text),
    "stars": lambda text: "*" + gibberish(text),
    "glues": lambda text: gibberish(text).replace(" ", ""),
    "nothing": lambda text: "",
    "spaces": lambda text: "   ",
    "one word": lambda text: "mot",
    "echo": lambda text: text,
    "numbers": lambda text: gibberish(text).replace("50", "500"),
    "very long": lambda text: gibberish(text) * 9,
}
BATCHES = {
    "one line too few": lambda texts: [gibberish(text) for text in texts][:-1],
    "one line too many": lambda texts: [*(gibberish(text) for text in texts), "x"],
    "no line": lambda texts: [],
}


def check(path, original):
    """Assert what holds of every entry; return state -> number of entries."""
    states = Counter()
    sources = {each.name: each for each in original}
    for made in read_template_file(path)[len(original) :]:
        source = sources[made.translated.original]
        states[made.translated.state] += 1
        assert skeleton(made.jinja) == skeleton(source.jinja)
        if made.translated.state == "machine":
            for sign in '{}|\\<>&*#\n%"':
                allowed = source.jinja.count(sign)
                assert made.jinja.count(sign) == allowed, sign
            assert not re.search(r"&\w+;|[\x00-\x09\u2028\u202e]|XQ|\d{3}", made.jinja + made.answer_choices)
            choices = made.answer_choices.split(" ||| ")
            assert len(set(choices)) == 3
            row = {"premise": 'P<x id="0"/>', "claim": "{0} C", "label": 1}
            assert made.render(row).targets == (choices[1],)
    return states


@pytest.mark.parametrize("name", [*HOSTILE, *BATCHES])
def test_no_hostile_engine_gets_a_broken_entry_through(name, templates_file, work_of, function_engine):
    before = templates_file.read_text(encoding="utf-8")
    original = read_template_file(templates_file)
    engine = function_engine(HOSTILE.get(name), BATCHES.get(name))
    translate_file(templates_file, templates_file, "en", [work_of(engine)], "2026-11-30")
    states = check(templates_file, original)
    assert sum(states.values()) == 2
    worthless = {
        "nothing", "spaces", "one word", "echo", "line ends", "line separator", "statements", "pipes", "braces", "nul",
        "bidi", "stars", "glues", "very long", *BATCHES,
    }  # fmt: skip
    if name in worthless:
        assert states == {"for_person": 2}
    assert templates_file.read_text(encoding="utf-8").startswith(before)


def test_marks_that_one_style_loses_come_back_in_another_or_by_splitting(templates_file, work_of, function_engine):
    def keeps(kept):
        return lambda text: MARK.sub(lambda m: m[0] if m[0].startswith(kept) else "", gibberish(text))

    jinja = {}
    text = templates_file.read_text(encoding="utf-8")
    for kept in ('<x id="', "{", "[", "XQ", "no placeholder style"):
        path = templates_file.with_name(f"{len(jinja)}.yaml")
        path.write_text(text, encoding="utf-8")
        engine = function_engine(keeps(kept))
        translate_file(path, path, "en", [work_of(engine)], "2026-11-30")
        found = {each.name: each for each in read_template_file(path)}
        assert found["ask_frmt"].translated.state == "machine"
        assert "surely" not in found["ask_frmt"].jinja
        jinja[kept] = found["ask_frmt"].jinja
    assert len(set(jinja.values())) == 1
    assert found["tell_frmt"].translated.state == "for_person"
    assert "a statement cuts the sentence" in found["tell_frmt"].translated.comment


def test_marks_may_move_with_their_identity(templates_file, work_of, function_engine):
    def moves(text):
        marks = [m[0] for m in MARK.finditer(text)]
        return MARK.sub(lambda m: marks.pop(), gibberish(text)) if len(marks) == 3 else gibberish(text)

    translate_file(templates_file, templates_file, "en", [work_of(function_engine(moves))], "2026-11-30")
    made = {each.name: each for each in read_template_file(templates_file)}["ask_frmt"]
    line = next(line for line in made.jinja.splitlines() if "&" in line)
    assert re.findall(r"\{\{ (\w+) \}\}", line) == ["claim", "premise"]


def test_an_engine_that_gives_the_source_back_translates_nothing(tmp_path, work_of, function_engine):
    path = tmp_path / "words.yaml"
    path.write_text(
        "language: en\ntemplates:\n  - name: ask\n    jinja: 'Review: {{ text }} Label: ||| {{ answer_choices[l] }}'\n"
        "    answer_choices: good ||| bad\n"
    )
    for code in ("es", "ar"):
        translate_file(path, path, "en", [work_of(function_engine(lambda text: text), code)], "2026-11-30")
    assert [each.translated.state for each in read_template_file(path)[1:]] == ["for_person"] * 2
