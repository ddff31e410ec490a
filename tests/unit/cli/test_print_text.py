"""What the command line prints for people."""

from xmtf.cli.terminal.printing import print_text


def test_control_characters_are_shown_and_joiners_stay(capsys):
    print_text("a\x1b]0;title\x07 \x9b31m b\u200d\tc", end=False)
    assert capsys.readouterr().out == "a\\x1b]0;title\\x07 \\x9b31m b\u200d\tc"
    print_text("x\x7f", err=True)
    assert capsys.readouterr().err == "x\\x7f\n"
