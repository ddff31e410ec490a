"""Translated idioms that the documentation had, with the plain phrase for each: none returns."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = {"errors.md"}
"""From texts of the program."""

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    *sorted((ROOT / "docs" / "explanations").glob("*.md")),
]
PHRASES = {
    r"(?:go|goes|going|gone|went) on": "resume, continue",
    r"in many processes": "in multiple processes, locally",
    r"stands? twice": "is defined twice, occurs twice",
    r"passed over": "skipped with a warning",
    r"whole weights": "full weights",
    r"tells? what": "describes, lists",
    r"said on stderr": "printed on stderr",
    r"(?:comes|came) of it": "the result",
    r"(?:and|which is) said": "and prints a notice",
    r"one's own": "your own",
    r"anew": "again, from scratch; rebuild, recompute",
    r"mend(?:s|ed)?": "fix",
    r"to be had": "available",
    r"beside": "next to, alongside, compared with",
    r"(?:process|environment|result|command) of its own": "separate ...",
    r"half-way": "if it was killed, during a run",
    r"told by": "recognised by",
    r"tokenised apart": "tokenised separately",
    r"written answers?": "generated answer",
    r"models? of text": "text model",
    r"looked for in": "searched for in, looked up in",
    r"(?:is|are) no (?:number|list|pattern|folder|linear layers?)s?": "is not a ...",
    r"(?:a|one|an) [a-z]+ a (?:row|line|token|text|prompt|model|day|choice)": "one ... per ...",
    r"turned back": "dequantised",
    r"says? otherwise": "changes this",
}


def prose(page):
    """Return the text of a page without code, whose words are the program's own, in one line."""
    text = re.sub(r"^```.*?^```", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*$", " ", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"`[^`\n]*`", "`", text).split())


def found(text):
    """Return every phrase of the table in a text, with what to write."""
    return [
        f"{match[0]!r}: {plain}"
        for phrase, plain in PHRASES.items()
        for match in re.finditer(rf"\b(?:{phrase})\b", text, flags=re.IGNORECASE)
    ]


def test_no_translated_idiom_returns():
    assert {page.name: phrases for page in PAGES if (phrases := found(prose(page)))} == {}


def test_the_table_finds_what_it_names():
    assert found("Interrupted, the same command goes on, beside it.") == [
        "'goes on': resume, continue",
        "'beside': next to, alongside, compared with",
    ]
    assert found(prose(PAGES[0]).replace("resumes", "goes on"))
