"""Programming problems: what a model is shown, and the program that judges its completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xmtf.errors import ConfigError

__all__ = ["Problem", "cut_at_stop", "to_problem"]

_HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif")
_MBPP_STOPS = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n#")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        name: Id in its dataset.
        prompt: Text that the model continues, without white space at its ends.
        before: Program text in front of the completion.
        after: Tests behind it.
        stops: Texts that end a completion.
        solution: The dataset's own right completion.
    """

    name: str
    prompt: str
    before: str
    after: str
    stops: tuple[str, ...]
    solution: str

    def program(self, completion: str) -> str:
        """Return the program that runs to its end only if the completion passes every test."""
        return f"{self.before}{completion}\n{self.after}"


def to_problem(row: Mapping[str, Any], dataset: str) -> Problem:
    """Read a row of HumanEval or MBPP.

    HumanEval's prompt loses its last newline, as in the original's evaluation; MBPP's shows the task and
    its tests in a docstring.

    Raises:
        ConfigError: The dataset is laid out in neither way.
    """
    if "entry_point" in row:
        prompt = row["prompt"].strip()
        return Problem(
            name=row["task_id"],
            prompt=prompt,
            before=prompt,
            after=f"{row['test']}\ncheck({row['entry_point']})",
            stops=_HUMANEVAL_STOPS,
            solution=f"\n{row['canonical_solution']}",
        )
    if "test_list" in row:
        tests = "\n".join(row["test_list"])
        return Problem(
            name=f"MBPP/{row['task_id']}",
            prompt=f'"""\n{row["text"]}\n{tests}\n"""',
            before="",
            after=f"{row['test_setup_code']}\n{tests}",
            stops=_MBPP_STOPS,
            solution=row["code"],
        )
    raise ConfigError(
        f"{dataset}: code evaluation reads the columns of HumanEval or MBPP; this one has {', '.join(row)}"
    )


def cut_at_stop(completion: str, stops: tuple[str, ...]) -> str:
    """Cut a completion at the first stop text and strip it on the right.

    >>> cut_at_stop("    return 1 # one # two", ("# two", "# one"))
    '    return 1'
    """
    ends = [place for stop in stops if (place := completion.find(stop)) >= 0]
    return completion[: min(ends, default=len(completion))].rstrip()
