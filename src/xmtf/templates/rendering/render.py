"""Apply a compiled template to the values of one row: the semantics, in both modes.

``legacy`` is what promptsource's fork for xP3 does, to the letter: every ``}}`` of the source becomes
`` | string | truncate(2048) }}`` before parsing (so it binds to the last operand only and cuts targets
too), pipes are protected in top-level texts only, ``''`` as answer choices means one empty choice.

``fixed`` fixes that: nothing is cut, pipes in the data stay text wherever they stand, no answer choices means none, and
a row whose template prints a null or picks an answer choice with a label that names none is unfit
(:mod:`xmtf.templates.sandbox.unfit`). Both strip inputs and targets as Python's ``str.strip`` does.

    source    {{question}} ||| {{answer}}
    row       question "a ||| b?"   answer "yes "
    rendered  "a ||| b? <separator> yes "
    inputs    "a ||| b?"    targets ("yes",)
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from xmtf.templates.rendering.compile import PIPES, SEPARATOR, Program, compile_source
from xmtf.templates.sandbox.draws import DRAWS
from xmtf.templates.sandbox.limits import BUDGET
from xmtf.templates.sandbox.unfit import NULL_CHOICE, Choices, Nulls, UnfitRowError

__all__ = ["ANSWER_CHOICES", "Mode", "NoTargetError", "Prepared", "Rendered", "ReservedColumnError", "prepare"]

Mode = Literal["fixed", "legacy"]

ANSWER_CHOICES = "answer_choices"
_TOKEN = "3ed2dface8203c4c9dfb1a5dc58e41e0"  # noqa: S105 - stands for the pipes of a text in legacy mode
_LEGACY_END = " | string | truncate(2048) }}"


class NoTargetError(ValueError):
    """The rendered text has no ``|||``, so it has no target."""


class ReservedColumnError(ValueError):
    """The row has a column called ``answer_choices``, a name that belongs to the template."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row after a template was applied.

    Attributes:
        inputs: The prompt.
        targets: The right answers; mostly one.
        answer_choices: All answers to choose from, or None where the template has none.
    """

    inputs: str
    targets: tuple[str, ...]
    answer_choices: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A template ready to render.

    Attributes:
        main: Program of inputs and targets.
        choices: Program of the answer choices, or None.
        fixed_choices: The choices where they are the same for every row, else None.
        mode: Semantics.
        nulls: What a null becomes that the template prints.
    """

    main: Program
    choices: Program | None
    fixed_choices: tuple[str, ...] | None
    mode: Mode
    nulls: Nulls

    @property
    def names(self) -> frozenset[str]:
        """Columns that the template reads."""
        names = self.main.names | (self.choices.names if self.choices else frozenset())
        return names - {ANSWER_CHOICES}

    @property
    def readable(self) -> frozenset[str]:
        """Columns that the template reads where the rows have them: also those that bear the name of a function."""
        return self.names | self.main.shadowing | (self.choices.shadowing if self.choices else frozenset())

    @property
    def mutates(self) -> bool:
        """Whether it changes nested values of the row in place."""
        return self.main.mutates or (self.choices is not None and self.choices.mutates)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return self.main.draws or (self.choices is not None and self.choices.draws)

    def render(self, values: dict[str, Any], key: tuple[Any, ...], *, strip: bool) -> Rendered | None:
        """Render one row; None where the template does not apply to it.

        Args:
            values: Column -> value; changed only by templates that mutate.
            key: What random draws are seeded from.
            strip: Whether to strip both sides; False keeps the white space between inputs and targets.

        Raises:
            UnfitRowError: The row makes no example.
            Exception: Any of ``FAULTS``.
        """
        if ANSWER_CHOICES in values:
            raise ReservedColumnError(f"the row has a column {ANSWER_CHOICES!r}; rename it")
        BUDGET.start()
        DRAWS.start(key)
        if self.mode == "legacy":
            values = {k: v.replace(PIPES, _TOKEN) if type(v) is str and PIPES in v else v for k, v in values.items()}
        choices = self._choices(values)
        text = self.main.run({**values, ANSWER_CHOICES: choices}, self.nulls)
        if self.mode == "legacy":
            parts = [part.replace(_TOKEN, PIPES) for part in text.split(PIPES)]
        else:
            parts = text.split(SEPARATOR)
        return _assemble(parts, None if choices is None else tuple(choices), self.mode, strip)

    def _choices(self, values: dict[str, object]) -> list[str] | None:
        if self.choices is None:
            return None
        listed = list if self.mode == "legacy" else Choices
        if self.fixed_choices is not None:
            return listed(self.fixed_choices)
        text = self.choices.run(values, self.nulls, NULL_CHOICE)
        if self.mode == "legacy":
            return [part.strip().replace(_TOKEN, PIPES) for part in text.split(PIPES)]
        return listed(part.strip() for part in text.split(SEPARATOR))


def _assemble(parts: list[str], choices: tuple[str, ...] | None, mode: Mode, strip: bool) -> Rendered | None:
    if strip:
        parts = [part.strip() for part in parts]
    if parts == [""] or (mode == "fixed" and len(parts) == 1 and not parts[0].strip()):
        return None
    if len(parts) == 1:
        raise NoTargetError("it renders no target: ||| must separate inputs and target")
    inputs, *targets = parts
    if strip:
        return Rendered(inputs, tuple(targets), choices)
    if mode == "legacy":
        spaced = inputs[-1] == " " and all(target[0] == " " for target in targets)
    else:
        spaced = inputs.endswith(" ") and all(target.startswith(" ") for target in targets)
    inputs = inputs[:-1] if spaced else inputs
    return Rendered(inputs.lstrip(), tuple(target.rstrip() for target in targets), choices)


@lru_cache(maxsize=16_384)
def prepare(jinja: str, answer_choices: str | None, mode: Mode, nulls: Nulls = "drop") -> Prepared:
    """Compile a template for a mode; equal templates are compiled once in a process. Legacy mode prints nulls.

    Raises:
        Exception: Any of ``FAULTS``: it does not parse, or asks for too much while it is compiled.
    """
    structural = mode == "fixed"
    nulls = nulls if structural else "print"
    source = jinja if structural else jinja.replace("}}", _LEGACY_END)
    main = compile_source(source, structural)
    if answer_choices is None or (structural and not answer_choices.strip()):
        return Prepared(main, None, None, mode, nulls)
    choices = compile_source(answer_choices, structural)
    fixed = None
    if not choices.names and not choices.shadowing and not choices.draws:
        BUDGET.start()
        with contextlib.suppress(UnfitRowError):  # then it is raised for every row
            text = choices.run({}, nulls, NULL_CHOICE)
            fixed = tuple(part.strip() for part in text.split(SEPARATOR if structural else PIPES))
    return Prepared(main, choices, fixed, mode, nulls)
