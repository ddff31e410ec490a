import pytest

from xmtf.analysis.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Das kostet 3.50 Euro.Wirklich? 本当に。はい", ["Das kostet 3.50 Euro.", "Wirklich?", "本当に。", "はい"]),
        ("यह एक वाक्य है।यह दूसरा है", ["यह एक वाक्य है।", "यह दूसरा है"]),
        ('He said "no." Then he left!', ['He said "no."', "Then he left!"]),
        ("一行\n二行", ["一行", "二行"]),
        ("12. 34\n...", []),
    ],
)
def test_sentences_end_at_marks_of_any_script(text, sentences):
    assert split_sentences(text) == sentences
