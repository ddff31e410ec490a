"""Where a completion ends.

Two rules. ``complete`` cuts only behind a complete answer: one that parses and defines all that it uses and all that
the tests call. ``original`` is that of the original evaluations: at the first stop text, wherever it stands; it cuts
some of MBPP's own solutions in two.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from typing import Literal

from xmtf.evaluation.code.braces import closing_place, first_closing_place
from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.python_tests import parsed

__all__ = ["StopRule", "cut_answer", "cut_at_stop", "ends_answer", "has_ended"]

StopRule = Literal["complete", "original"]

_LINE = re.compile(r"\n(?=\S)")
_COMMENTS = re.compile(r"\n(?:\s*#[^\n]*|[ \t\r]*)(?=\n|$)")


def cut_at_stop(completion: str, stops: tuple[str, ...]) -> str:
    """Cut a completion at the first stop text and strip it on the right.

    >>> cut_at_stop("    return 1 # one # two", ("# two", "# one"))
    '    return 1'
    """
    ends = [place for stop in stops if (place := completion.find(stop)) >= 0]
    return completion[: min(ends, default=len(completion))].rstrip()


def cut_answer(problem: Problem, completion: str, rule: StopRule = "complete") -> str:
    """Return the part of a completion that is the answer, stripped on the right."""
    if rule == "original":
        return _cut_original(problem, completion).rstrip()
    if problem.language == "python":
        end: int | None = _python_end(problem, completion)[0]
    else:
        end = closing_place(problem.language, problem.before, completion)
    return completion[:end].rstrip()


def has_ended(problem: Problem, completion: str, rule: StopRule = "complete") -> bool:
    """Return whether a completion needs no further token."""
    if not ends_answer(problem, completion, rule):
        return False
    if rule == "original":
        return any(stop in completion for stop in problem.stops) or _original_end(problem, completion) is not None
    if problem.language == "python":
        return _python_end(problem, completion)[1]
    return closing_place(problem.language, problem.before, completion) is not None


def ends_answer(problem: Problem, text: str, rule: StopRule = "complete") -> bool:
    """Return whether an answer may have ended in a text: a stop text is in it, or a brace."""
    by_brace = problem.language != "python"
    stops = problem.stops if rule == "original" or not by_brace else ()
    loose = rule == "original" and problem.layout == "pack" and bool(_LINE.search(text))
    return (by_brace and "}" in text) or loose or any(stop in text for stop in stops)


def _cut_original(problem: Problem, completion: str) -> str:
    """Return what the original evaluations keep: HumanEval's and MBPP's, and that of HumanEvalPack."""
    cut = cut_at_stop(completion, problem.stops)
    if problem.layout != "pack":
        return cut
    end = _original_end(problem, cut)
    if end is not None or problem.language == "python":
        return cut[:end]
    if problem.language == "java" and "public static void main" in cut:
        cut = cut[: cut.find("public static void main")] + "}"
    return cut[: cut.rfind("}") + 1] or cut


def _original_end(problem: Problem, completion: str) -> int | None:
    """Return where HumanEvalPack's own evaluation ends a function: every brace counts, and every unindented line."""
    if problem.layout != "pack":
        return None
    if problem.language == "python":
        first = _LINE.search(completion)
        return first.start() if first else None
    return first_closing_place(completion, 2 if problem.language == "java" else 1)


def _python_end(problem: Problem, completion: str) -> tuple[int, bool]:
    """Return where the answer ends, and whether a stop text is there.

    That is the first stop text behind a complete answer. Where there is none, what is behind the last complete answer
    is no Python (a half function, a sentence) and is left out; an answer that is never complete is left whole.
    """
    last = len(completion)
    found = False
    for place in (*_starts_of_lines(completion), len(completion)):
        if not _is_complete(problem.preamble + problem.before + completion[:place], problem.wanted):
            continue
        last, found = place, True
        if completion.startswith(problem.stops, place):
            return place, True
    return (last if found else len(completion)), False


def _starts_of_lines(completion: str) -> list[int]:
    """Return where lines begin that are not indented; not those of comments that stand within a function."""
    starts = []
    for match in _LINE.finditer(completion):
        place = match.start()
        if completion[place + 1] == "#":
            after = place
            while comment := _COMMENTS.match(completion, after):
                if comment.end() == after:
                    break
                after = comment.end()
            if completion[after + 1 : after + 2] in (" ", "\t"):
                continue
        starts.append(place)
    return starts


def _is_complete(code: str, wanted: tuple[str, ...]) -> bool:
    """Return whether code parses, defines what is wanted with more than a docstring, and defines all that it uses."""
    tree = parsed(code)
    if tree is None:
        return False
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef)
            and node.name in wanted
            and node.body[1:] == []
            and ast.get_docstring(node)
        ):
            return False
    try:
        table = symtable.symtable(code, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return False
    bound = {symbol.get_name() for symbol in table.get_symbols() if _binds(symbol)}
    if not bound.issuperset(wanted):
        return False
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return True
    return all(name in _MODULE_NAMES or hasattr(builtins, name) for name in _used_and_unbound(table, bound))


def _used_and_unbound(table: symtable.SymbolTable, bound: set[str]) -> set[str]:
    """Return the global names that code uses and that neither its module nor a ``global`` statement binds."""
    used: set[str] = set()
    waiting = [table]
    while waiting:
        each = waiting.pop()
        waiting += each.get_children()
        for symbol in each.get_symbols():
            if symbol.is_global() and symbol.is_assigned():
                bound.add(symbol.get_name())
            if symbol.is_referenced() and (symbol.is_global() or each is table):
                used.add(symbol.get_name())
    return used - bound


def _binds(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


_MODULE_NAMES = {"__name__", "__file__", "__doc__"}
