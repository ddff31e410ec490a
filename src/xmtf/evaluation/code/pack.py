"""Problems in the layout of HumanEvalPack: a function in one of six languages, with tests of that language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages.registry import LANGUAGES, check_tests, language_named
from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.python_tests import defines_function

__all__ = ["pack_problem", "row_language"]

_PYTHON_PREAMBLE = """import copy
import datetime
import functools
import hashlib
import heapq
import itertools
import math
import re
import statistics
import string
import sys
import collections
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Union
"""
_ORIGINAL_STOPS = {
    "python": ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\nassert"),
    "go": ("\n//", "\nfunc main(", "struct", "\nfunc"),
}
_ARROW = r"(?:const|let|var)\s+{0}\s*=\s*\(([^()]*)\)\s*=>\s*\{{\s*$"
_FUNCTION = r"function\s+{0}\s*\(([^()]*)\)\s*\{{\s*$"


def row_language(row: Mapping[str, Any], dataset: str) -> str:
    """Return the language of a row: its column ``language``, or what its id begins with (``Go/3``).

    Raises:
        ConfigError: None is named, or one that programs are not judged in.
    """
    name = str(row.get("language") or str(row.get("task_id", "")).partition("/")[0])
    language = language_named(name)
    if language is None:
        raise ConfigError(
            f"{dataset}, row {row.get('task_id')!r}: programs in {name or 'no named language'} are not supported "
            f"(only {', '.join(LANGUAGES)} are); name the language in a column 'language' or before the id, as in Go/3"
        )
    return language


def pack_problem(row: Mapping[str, Any], dataset: str, *, repair: bool = False) -> Problem:
    """Read a row.

    The columns are ``task_id``, ``prompt``, ``canonical_solution``, ``entry_point``, ``test``, and where there are,
    ``declaration``, ``import``, ``test_setup``, ``buggy_solution`` and ``language``.

    Args:
        row: The row.
        dataset: What it is called in errors.
        repair: Show the faulty solution, and ask for the right one.

    Raises:
        ConfigError: A language that is not judged, no tests, or nothing to repair.
    """
    language = row_language(row, dataset)
    where = f"{dataset}, row {row['task_id']!r}"
    entry, test, setup = row["entry_point"], row["test"], row.get("test_setup") or ""
    imports = row.get("import") or ""
    base = row["prompt"].strip()
    if imports.strip() and language != "go" and imports.strip() not in base:
        base = f"{imports.strip()}\n{base}"
    check_tests(language, test, where)
    names: tuple[str, ...] = ()
    helpers, preamble = "", ""
    if language == "python":
        preamble = _PYTHON_PREAMBLE
        if not re.search(r"^check\(", test, re.MULTILINE):
            test = f"{test}\ncheck({entry})"
        if defines_function(base, entry):
            names, helpers = (entry,), f"{preamble}{base}"
    elif language == "javascript":
        names, helpers = _apart(base, entry)
    elif language == "go":
        helpers = f"{setup}\n{imports}"
    tests = test if language == "go" else f"{setup}\n{test}"
    return Problem(
        name=str(row["task_id"]),
        prompt=_repair_prompt(row, base, where) if repair else base,
        before=base,
        tests=tests,
        stops=_ORIGINAL_STOPS.get(language, ()),
        wanted=(entry,),
        solution=f"\n{row.get('canonical_solution') or ''}",
        names=names,
        setup=helpers,
        language=language,
        preamble=preamble,
        layout="pack",
    )


def _repair_prompt(row: Mapping[str, Any], base: str, where: str) -> str:
    """Return the faulty function, what to do, and the beginning of the right one."""
    faulty = row.get("buggy_solution")
    if not faulty:
        raise ConfigError(f"{where}: there is no buggy_solution to repair")
    return (
        f"{base}\n{faulty.rstrip()}\n\nThe code of {row['entry_point']} above has a bug. This is it, mended:\n\n{base}"
    )


def _apart(prompt: str, entry: str) -> tuple[tuple[str, ...], str]:
    r"""Return the function that tests in JavaScript call, and the prompt with a body that calls it elsewhere.

    It passes on what it was given: defaults are the program's own.

    >>> _apart("const f = (a, b = 2) => {", "f")
    (('f',), 'const f = (...__values) => {\n  return __call("f", __values);\n}\n')
    """
    for form in (_ARROW, _FUNCTION):
        if head := re.search(form.format(re.escape(entry)), prompt):
            start = f"{prompt[: head.start(1)]}...__values{prompt[head.end(1) :]}"
            return (entry,), f'{start}\n  return __call("{entry}", __values);\n}}\n'
    return (), ""
