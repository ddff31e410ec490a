"""An evaluation shared among processes that do not talk: each answers its share of the rows, and writes it down.

::

    job 0 of 2   rows 0, 3, 4   ─▶ answers-<model>.0-of-2.jsonl ─┐
    job 1 of 2   rows 1, 2, 5   ─▶ answers-<model>.1-of-2.jsonl ─┴▶ evaluate: every request has its answer

A job that is killed repeats at most one batch. The results are those of one process, but for the rounding
that comes with other batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.evaluation.run import answer
from xmtf.files import content_hash
from xmtf.recipe import LoadedRecipe
from xmtf.records import Request

__all__ = ["Share", "answer_share"]


@dataclass(frozen=True, slots=True)
class Share:
    """Every N-th row, by a hash: all prompts of a row fall to the same job, which reads their text once.

    Attributes:
        index: Which of the jobs, from 0.
        of: Jobs in all.
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        """Refuse a job that there is not."""
        if not 0 <= self.index < self.of:
            raise ConfigError(f"there is no job {self.index} of {self.of}; --index ranges from 0 to {self.of - 1}")

    @property
    def name(self) -> str:
        """Such as ``0-of-2``."""
        return f"{self.index}-of-{self.of}"

    def takes(self, request: Request) -> bool:
        """Return whether this job asks the request."""
        origin = request.origin
        drawn = content_hash([origin.dataset, origin.subset, origin.split, origin.row])
        return int(drawn[:16], 16) % self.of == self.index


def answer_share(loaded: LoadedRecipe, share: Share, *, model: str, label: str, out: Path) -> int:
    """Ask the requests of one share that have no answer yet, and write the answers down; return their number.

    Args:
        loaded: The recipe.
        share: Which requests.
        model: As of :func:`xmtf.evaluation.run.evaluate`, which finds the answers afterwards.
        label: What results call the model.
        out: Folder of the results.
    """
    return answer(loaded, model=model, label=label, out=out, takes=share.takes, share=share.name)
