"""A programming problem: what a model is shown, and what judges its completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmtf.evaluation.code.languages.toolchain import Program

__all__ = ["Problem"]


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
        names: Functions that the tests call from a separate process; ``()`` where they run with the program.
        setup: Definitions that the tests need in that process.
        language: Of the program.
        preamble: Text in front of the program that its answer may rely on; not shown to the model.
        layout: How its data set is laid out: ``humaneval``, ``mbpp`` or ``pack``.
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
    preamble: str = ""
    layout: Literal["humaneval", "mbpp", "pack"] = "humaneval"

    def program(self, completion: str) -> Program:
        """Return what passes only if the completion passes every test."""
        return Program(self.language, f"{self.preamble}{self.before}{completion}\n", self.tests, self.names, self.setup)
