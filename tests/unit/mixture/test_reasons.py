"""The page lists every reason for a drop, and no other."""

import ast
import re
from pathlib import Path

import xmtf
from xmtf.conversations import messages
from xmtf.mixture.plan import prompted_rows
from xmtf.mixture.select import choose, compare_rows, filters
from xmtf.mixture.sort import merge
from xmtf.sources.adapters import ADAPTERS
from xmtf.tasks.prompting import fitness
from xmtf.templates.sandbox import unfit

SOURCES = Path(xmtf.__file__).parent
PAGE = SOURCES.parents[1] / "docs" / "mixtures.md"


TEXTS = (
    "letters under 1 of the text", "repetition over 1 of the text", "over 1 characters of ASCII without a space",
    "target in another language", "near duplicate", "translation of a row that is kept",
)  # fmt: skip
"""Those of texts and rows; ``test_text_filters.py`` and ``test_near_rows.py`` see each."""


def listed():
    """Return the reasons in the first column of the page's table."""
    table = PAGE.read_text(encoding="utf-8").split("| reason | what it is |")[1].split("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    return {reason for cell in cells for reason in re.findall(r"`([^`]+)`", cell)}


def literal(node):
    """Return a reason as the page writes it: what differs is N or a name in angle brackets."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
        return "".join(parts)
    return None


def said_by(*places):
    """Return the literal reasons that calls and subscripts of these modules name."""
    found = set()
    for place in places:
        for node in ast.walk(ast.parse((SOURCES / place).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                at = {"keep": 2, "drop": 0}.get(name)
                if at is not None and len(node.args) > at:
                    found.add(literal(node.args[at]))
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and place.endswith("fitness.py"):  # (reason, mask)
                found |= {literal(node.elts[0])} if isinstance(node.elts[1], ast.Compare | ast.Call) else set()
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason":
                found.add(literal(node.value))
            if isinstance(node, ast.Dict | ast.Assign) and place.endswith("filters.py"):
                keys = node.keys if isinstance(node, ast.Dict) else [getattr(node.targets[0], "slice", None)]
                found |= {literal(key) for key in keys if key is not None}
    return found - {None}


NOT_REASONS = {"_AS_TEXT", "NOT_STATED", "ON_REQUEST", "_PROVENANCE", "UNKNOWN", "_FILL"}
"""Constants of the rooms below that hold other texts."""


def constants():
    """Return the texts of several words that these rooms give a name: what rows are dropped for."""
    found = set()
    for room in ("sources", "tasks", "mixture", "conversations"):
        for path in (SOURCES / room).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "_FILL") not in NOT_REASONS:
                    text = literal(node.value) if isinstance(node.value, ast.Constant) else None
                    found |= {text} if text and " " in text else set()
    return found


def test_the_page_lists_every_reason_and_no_other():
    adapters = sorted(str(path.relative_to(SOURCES)) for path in (SOURCES / "sources" / "adapters").glob("*.py"))
    code = {
        *unfit.REMEDIES, *messages.REASONS, *fitness.CHOICES, fitness.NOT_APPLIED,
        filters.CAPPED, merge.DUPLICATE, merge.NOT_SAMPLED,
        choose.OVERLAP, choose.SAME_ROW, compare_rows.SAME_FIELDS, compare_rows.shared_words(13),
        prompted_rows.HELD_OUT, prompted_rows.DATASET_HELD_OUT, prompted_rows.LANGUAGE_HELD_OUT,
        prompted_rows.EMPTY_TARGET, prompted_rows._NO_TEXTS,
        *said_by("tasks/prompting/fitness.py", "tasks/prompting/prompted.py", "mixture/select/filters.py", *adapters),
        *TEXTS, ADAPTERS["wmt22"].not_best,
        *said_by("tasks/prompting/where.py"), fitness.NO_LANGUAGE, fitness.UNKNOWN_LANGUAGE, fitness.OTHER_LANGUAGE,
        fitness.HELD_OUT_LANGUAGE, fitness.OTHER_PROMPT, *constants(),
    }  # fmt: skip
    assert {_plain(reason) for reason in code} == {_plain(reason) for reason in listed()}


def _plain(reason):
    """Return a reason with a star for what differs: a number, N, or a name in angle brackets."""
    return re.sub(r"\0|\bN\b|\d+|<\w+>", "*", reason)
