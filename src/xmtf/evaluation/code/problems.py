"""Programming problems from rows of HumanEval, HumanEvalPack and MBPP, and of own sets in their layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmtf.errors import ConfigError
from xmtf.evaluation.code.pack import pack_problem, row_language
from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.python_tests import called_apart, defines_function, used_names

__all__ = ["Problem", "to_problem"]

_HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif")
_PACK = ("entry_point", "prompt", "test")
_MBPP = ("test_list", "text", "code")
_MBPP_STOPS = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n#")


def to_problem(row: Mapping[str, object], dataset: str, *, repair: bool = False) -> Problem:
    """Read a row of HumanEval, HumanEvalPack or MBPP.

    HumanEval's prompt loses its last newline, as in the original's evaluation; MBPP's shows the task and
    its tests in a docstring.

    Args:
        row: The row.
        dataset: What it is called in errors.
        repair: Show the faulty solution, and ask for the right one.

    Raises:
        ConfigError: The dataset is laid out in no such way, a cell is empty, or its language is not judged here.
    """
    for columns, read in ((_PACK, _pack_or_humaneval), (_MBPP, _mbpp)):
        if columns[0] in row:
            lacking = [
                name for name in columns if not isinstance(row.get(name), (list if name == "test_list" else str))
            ]
            if lacking:
                raise ConfigError(f"{dataset}, row {row.get('task_id')!r}: no text in {', '.join(lacking)}")
            return read(row, dataset, repair)
    raise ConfigError(
        f"{dataset}: code evaluation reads the columns of HumanEval, HumanEvalPack or MBPP; this dataset has "
        f"{', '.join(row)}"
    )


def _pack_or_humaneval(row: Mapping[str, Any], dataset: str, repair: bool) -> Problem:
    # HumanEval's own rows are judged as in the original, without imports that the prompt lacks.
    if repair or row_language(row, dataset) != "python" or not str(row.get("task_id")).startswith("HumanEval/"):
        return pack_problem(row, dataset, repair=repair)
    return _humaneval(row)


def _humaneval(row: Mapping[str, Any]) -> Problem:
    prompt, entry = row["prompt"].strip(), row["entry_point"]
    # The tests get what the prompt defines besides: HumanEval/32 tests with a polynomial that is defined there.
    apart = defines_function(prompt, entry)
    return Problem(
        name=row["task_id"],
        prompt=prompt,
        before=prompt,
        tests=f"{row['test']}\ncheck({entry})",
        stops=_HUMANEVAL_STOPS,
        wanted=(entry,),
        solution=f"\n{row['canonical_solution']}",
        names=(entry,) if apart else (),
        setup=prompt if apart else "",
    )


def _mbpp(row: Mapping[str, Any], dataset: str, repair: bool) -> Problem:
    if repair:
        raise ConfigError(f"{dataset}: problems in MBPP's layout have no buggy_solution to repair")
    tests = "\n".join(row["test_list"])
    judged = f"{row.get('test_setup_code') or ''}\n{tests}"
    names, setup = called_apart(row["code"], judged)
    return Problem(
        name=f"MBPP/{row['task_id']}",
        prompt=f'"""\n{row["text"]}\n{tests}\n"""',
        before="",
        tests=judged,
        stops=_MBPP_STOPS,
        wanted=used_names(row["code"], judged),
        solution=row["code"],
        names=names,
        setup=setup,
        layout="mbpp",
    )
