"""A model of which each process reads its own part: refused before anything is rendered, then read and cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from xmtf.execution import say
from xmtf.models import load_model
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.load import open_model
from xmtf.parallel.reading import check_reading, cut_to_read
from xmtf.parallel.topology.joining import joined_to_read
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.ranks import Ranks
from xmtf.recipe.sections.processes import EvaluationParallel, Timeouts

__all__ = ["PartReader", "joined"]


@dataclass(frozen=True, slots=True)
class PartReader:
    """What reads this process's part of a model.

    Attributes:
        mesh: The processes.
    """

    mesh: Mesh

    def check(self, ref: str, *, offline: bool) -> None:
        """Refuse a layout that a model cannot be read under, by its shape; where only its weights tell, say nothing.

        Raises:
            ConfigError: Names the axis and what does not fit.
        """
        opened = open_model(ref, offline=offline)
        if opened is not None:
            check_reading(opened.model, self.mesh.dims, ref)

    def read(
        self,
        ref: str,
        device: torch.device,
        dtype: torch.dtype,
        from_first: Callable[[Callable[[], str]], str],
        *,
        offline: bool,
    ) -> tuple[CausalModel | EncoderDecoderModel, str]:
        """Read this process's part of a model; return what is asked, and the hash of all weights.

        Args:
            ref: Folder, GGUF file or hub id.
            device: Where this process computes.
            dtype: What the weights are converted to.
            from_first: Has the first process compute something, and gives it to all.
            offline: Look in the hub's cache only.

        Raises:
            SourceError: Not found.
            ConfigError: The model does not fit the layout.
            DataError: Weights that are read here are not finite.
        """
        opened = open_model(ref, offline=offline)
        if opened is None:
            say(f"{ref}: every process loads it completely before it is cut; its files cannot be read in parts")
            loaded = load_model(ref, dtype=dtype, offline=offline)
            model, stored, take_hash = loaded.model, None, loaded.take_hash
        else:
            model, stored, take_hash = opened.model, opened.stored, opened.take_hash
        check_reading(model, self.mesh.dims, ref)
        weights = from_first(take_hash)
        return cut_to_read(model, dtype, self.mesh, device, stored, ref), weights


@contextmanager
def joined(
    parallel: EvaluationParallel, copies: int, device: str, timeouts: Timeouts, flight: Path | None = None
) -> Iterator[tuple[Ranks, PartReader | None]]:
    """Join the processes that ``torchrun`` started; yield them, and what reads their parts where the model is cut.

    Arguments and errors as of :func:`xmtf.parallel.topology.joining.joined_to_read`.
    """
    with joined_to_read(parallel, copies, device, timeouts, flight) as (ranks, mesh):
        yield ranks, None if mesh is None else PartReader(mesh)
