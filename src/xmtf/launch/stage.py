"""One command of a run, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LaunchStage", "Place"]

Place = Literal["one", "array", "ranks"]
"""``one`` process, an ``array`` of processes that know nothing of one another, or ``ranks`` under torchrun."""


@dataclass(frozen=True, slots=True)
class LaunchStage:
    """One command of a run.

    Attributes:
        name: Short name; names its file and its job.
        purpose: What it does, in a few words.
        command: Arguments of ``xmtf``.
        after: Stages that must have succeeded before.
        place: Where it runs.
        jobs: Processes of an array; each does the command with its number as ``--index``.
        model: Whether it computes with the model, on a GPU where there is one.
        saves: Whether a stop file makes it save and end; other stages are ended by a signal, and lose little.
    """

    name: str
    purpose: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    place: Place = "one"
    jobs: int = 1
    model: bool = False
    saves: bool = False
