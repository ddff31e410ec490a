"""Programming problems: what a model is shown, and what judges its completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages.toolchain import Program
from xmtf.evaluation.code.python_tests import called_apart, defines_function, used_names

__all__ = ["Problem", "to_problem"]

_HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif")
_MBPP_STOPS = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n#")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        name: Id in its dataset.
        prompt: Text that the model continues, without white space at its ends.
        before: Program text in front of the completion.
        tests: Text of the tests.
        stops: Texts that end a completion.
        wanted: Names that a complete answer defines.
        solution: The dataset's own right completion.
        names: Functions that the tests call from a process of their own; ``()`` where they run with the program.
        setup: Definitions that the tests need in that process.
        language: Of the program.
    """

    name: str
    prompt: str
    before: str
    tests: str
    stops: tuple[str, ...]
    wanted: tuple[str, ...]
    solution: str
    names: tuple[str, ...] = ()
    setup: str = ""
    language: str = "python"

    def program(self, completion: str) -> Program:
        """Return what passes only if the completion passes every test."""
        return Program(self.language, f"{self.before}{completion}\n", self.tests, self.names, self.setup)


def to_problem(row: Mapping[str, object], dataset: str) -> Problem:
    """Read a row of HumanEval or MBPP.

    HumanEval's prompt loses its last newline, as in the original's evaluation; MBPP's shows the task and
    its tests in a docstring.

    Raises:
        ConfigError: The dataset is laid out in neither way.
    """
    if "entry_point" in row:
        return _humaneval(row)
    if "test_list" in row:
        return _mbpp(row)
    raise ConfigError(
        f"{dataset}: code evaluation reads the columns of HumanEval or MBPP; this one has {', '.join(row)}"
    )


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


def _mbpp(row: Mapping[str, Any]) -> Problem:
    tests = "\n".join(row["test_list"])
    judged = f"{row['test_setup_code']}\n{tests}"
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
    )
