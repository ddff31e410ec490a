"""An evaluation shared among processes that do not talk: each answers its share of the rows, and writes it down.

::

    job 0 of 2   rows 0, 3, 4   ─▶ answers-<model>.0-of-2.jsonl ─┐
    job 1 of 2   rows 1, 2, 5   ─▶ answers-<model>.1-of-2.jsonl ─┴▶ evaluate: every request has its answer

A job that is killed repeats at most one batch. The results are those of one process, but for the rounding
that comes with other batches.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.evaluation.run import answer, evaluate
from xmtf.files import Manifest, content_hash, read_manifest
from xmtf.recipe import LoadedRecipe
from xmtf.records import Request

__all__ = ["Share", "answer_share", "evaluate_together"]

_PATIENCE = timedelta(days=7)
"""How long a process waits for the others: shares take hours, and not the same."""


@dataclass(frozen=True, slots=True)
class Share:
    """Every so many-th row, by a hash: all prompts of a row fall to the same job, which reads their text once.

    Attributes:
        index: Which of the jobs, from 0.
        of: Jobs in all.
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        """Refuse a job that there is not."""
        if not 0 <= self.index < self.of:
            raise ConfigError(f"there is no job {self.index} of {self.of}; --index goes from 0 to {self.of - 1}")

    @property
    def name(self) -> str:
        """Such as ``0-of-2``."""
        return f"{self.index}-of-{self.of}"

    def takes(self, request: Request) -> bool:
        """Tell whether this job asks the request."""
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


def evaluate_together(loaded: LoadedRecipe, *, model: str, label: str, out: Path) -> Manifest:
    """Evaluate with the processes that ``torchrun`` started; alone as :func:`xmtf.evaluation.run.evaluate`."""
    rank, size = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if size == 1:
        return evaluate(loaded, model=model, label=label, out=out)
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        answer_share(loaded, Share(rank, size), model=model, label=label, out=out)
        distributed.barrier()
        if rank == 0:
            evaluate(loaded, model=model, label=label, out=out)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
    return read_manifest(out)
