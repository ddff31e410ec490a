"""Translated idioms that texts had, with the plain phrase for each: none returns.

The tests read the pages of the documentation, docstrings, all strings of the program with a space (help, errors,
printed lines, headings, descriptions of keys), and the pages of the report and of the studio.
"""

import ast
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
SHORT = {
    r"is there already": "already exists",
    r"(?:is not|are not) as (?:it was|they were) written": "was changed, does not match its checksum",
    r"stands? (?:at|there|next|before|behind|under|above|in(?! for| it))": "is ...",
    r"something else than": "something other than",
    r"looked for": "searched for",
    r"for want of": "for lack of",
    r"chat form": "chat format",
    r"what is finished": "finished stages, finished work",
    r"say --[a-z]+": "give --...",
    r"tell whether": "return whether",
    r"so many-th": "every N-th",
    r"asked plainly": "prompted without its chat template",
    r"not a whole(?! number)": "incomplete, damaged",
}
"""Of texts of the program; pages of the documentation have room for longer ones."""
KEPT = {
    "stands in an evaluation suite",
    "messages are no list of role and content",
    "tools are no list of functions",
    "This is it, mended:",
}
"""Reasons by which dropped rows are counted in manifests, and a prompt of published code evaluations."""


def prose(page):
    """Return the text of a page without code, whose words are the program's own, in one line."""
    text = re.sub(r"^```.*?^```", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*$", " ", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"`[^`\n]*`", "`", text).split())


def strings(tree):
    """Yield (line, text) of the docstrings and other strings of a module; a field of an f-string is an ellipsis."""
    inner = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
    inner -= {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def spoken(text):
    """Return a text of the program without names in back ticks and what is kept, in one line."""
    plain = re.sub(r"``?[^`\n]*``?", "`", text)
    for kept in KEPT:
        plain = plain.replace(kept, "")
    return " ".join(plain.split()) if " " in text.strip() else ""


def found(text, phrases=PHRASES):
    """Return every phrase of the table in a text, with what to write."""
    if not re.search(rf"\b(?:{'|'.join(phrases)})\b", text, flags=re.IGNORECASE):
        return []
    return [
        f"{match[0]!r}: {plain}"
        for phrase, plain in phrases.items()
        for match in re.finditer(rf"\b(?:{phrase})\b", text, flags=re.IGNORECASE)
    ]


def test_no_translated_idiom_returns():
    assert {page.name: phrases for page in PAGES if (phrases := found(prose(page)))} == {}


def test_no_translated_idiom_returns_in_the_program():
    hits = {
        f"{path.relative_to(ROOT)}:{line}": phrases
        for path in sorted((ROOT / "src/xmtf").rglob("*.py"))
        for line, text in strings(ast.parse(path.read_text(encoding="utf-8")))
        if (phrases := found(spoken(text), PHRASES | SHORT))
    }
    assert hits == {}


def test_no_translated_idiom_returns_on_the_pages_of_report_and_studio():
    pages = [*(ROOT / "src/xmtf/report/page").glob("page.*"), *(ROOT / "src/xmtf/studio/static").rglob("*.*")]
    read = [page for page in pages if page.suffix in {".j2", ".js", ".html"} and page.name != "editor.js"]
    assert len(read) > 20
    texts = {page.name: spoken(page.read_text(encoding="utf-8")) for page in read}
    assert {name: phrases for name, text in texts.items() if (phrases := found(text, PHRASES | SHORT))} == {}


def test_what_is_skipped_or_dropped_is_a_warning():
    """``--quiet`` hides what ``say`` prints."""
    dropped = re.compile(r"\b(?:skipped|dropped|left out|truncated|not used)\b")
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "src/xmtf").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
        if dropped.search(ast.unparse(node))
    ]
    assert hidden == []


def test_the_table_finds_what_it_names():
    assert found("Interrupted, the same command goes on, beside it.") == [
        "'goes on': resume, continue",
        "'beside': next to, alongside, compared with",
    ]
    assert found(prose(PAGES[0]).replace("resumes", "goes on"))
    module = ast.parse('def f(x):\n    """Tell whether."""\n    raise OSError(f"{x}: is " "there already; `goes on`")')
    assert [found(spoken(text), SHORT) for _, text in strings(module)] == [
        ["'Tell whether': return whether"],
        ["'is there already': already exists"],
    ]
