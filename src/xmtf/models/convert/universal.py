"""DeepSpeed's universal checkpoints of a BLOOM: every parameter whole, with Adam's moments, whatever wrote it.

::

    global_step249_universal/
      zero/3.mlp.dense_4h_to_h.weight/{fp32,exp_avg,exp_avg_sq}.pt
      zero/tied_modules.embed.word_embeddings.weight/...
      mp_rank_00_model_states.pt

Each file holds ``{"param": tensor}`` (older: and ``cat_dim``; newer writers may store the bare tensor).
The embedding is stored without its padding rows; ``vocab_divisibility_padding_tensor`` is the row that
it is padded with again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xmtf.errors import DataError, SourceError
from xmtf.models.bloom import BloomConfig
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.megatron import FIRST_BLOCK, own_bloom_name, step_folder
from xmtf.models.convert.shape import check_shape, parameter_shapes
from xmtf.models.files.weights import read_pickled_tensors

__all__ = ["MOMENTS", "Universal", "find_universal"]

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's moments, by the names that they have in files and in torch."""
_PADDING = "vocab_divisibility_padding_tensor"
_EMBEDDING = "word_embeddings.weight"
_NUMBERED = re.compile(r"^(\d+)\.(.+)$")
_TIED = re.compile(r"^(?:tied_modules\.embed|1)\.(.+)$")


@dataclass(frozen=True, slots=True)
class Universal:
    """A universal checkpoint.

    Attributes:
        folder: Of the step.
        folders: Our name of each parameter -> the folder of its files.
        num_layers: Transformer blocks.
    """

    folder: Path
    folders: dict[str, Path]
    num_layers: int

    @property
    def layout(self) -> dict[str, int]:
        """Nothing: parameters are whole."""
        return {}

    def shape(self) -> tuple[int, int]:
        """Return rows of the embedding, padding not counted, and hidden size.

        Raises:
            DataError: There is no embedding.
        """
        if _EMBEDDING not in self.folders:
            raise DataError(f"{self.folder}: has no {_EMBEDDING}; this is not a BLOOM checkpoint")
        rows, hidden_size = self.read(_EMBEDDING, "fp32").shape
        return rows, hidden_size

    def read(self, name: str, what: str, rows: int | None = None) -> Tensor:
        """Return one tensor.

        Args:
            name: Our name of the parameter.
            what: ``fp32`` or one of :data:`MOMENTS`.
            rows: Pad an embedding to this many, with the row that the file gives.

        Raises:
            DataError: The file is missing or holds something else.
        """
        path = self.folders[name] / f"{what}.pt"
        if not path.exists():
            raise DataError(f"{path} is missing: copy the checkpoint again")
        stored = read_pickled_tensors(path, checked=True)
        values = stored if isinstance(stored, dict) else {"param": stored}
        tensor, padding = values.get("param"), values.get(_PADDING)
        if not isinstance(tensor, Tensor):
            raise DataError(f"{path}: has no tensor `param`")
        if rows is None or len(tensor) >= rows:
            return tensor
        if not isinstance(padding, Tensor):
            raise DataError(f"{path}: has {len(tensor)} rows, {rows} are wanted and it names no row to pad with")
        return torch.cat([tensor, padding.reshape(1, -1).expand(rows - len(tensor), -1)])

    def tensors(self, config: BloomConfig, report: Integrity) -> Iterator[tuple[str, Tensor]]:
        """Yield the fp32 weights under our names; see :meth:`xmtf.models.convert.megatron.LayerFiles.tensors`."""
        wanted = parameter_shapes(config)
        report.unexpected.extend(str(path.name) for name, path in self.folders.items() if name not in wanted)
        report.missing.extend(name for name in wanted if name not in self.folders)
        for name, shape in wanted.items():
            if name in self.folders:
                tensor = self.read(name, "fp32", shape[0] if name == _EMBEDDING else None)
                check_shape(name, tensor, shape, self.folders[name])
                report.saw(name, tensor)
                yield name, tensor


def find_universal(folder: Path) -> Universal:
    """Find the parameters of a universal checkpoint.

    Args:
        folder: Of one step, or above it, where a file ``latest_universal`` names the step.

    Raises:
        SourceError: There are none.
    """
    folder = step_folder(folder)
    stored = sorted(path for path in (folder / "zero").glob("*") if (path / "fp32.pt").exists())
    if not stored:
        raise SourceError(f"{folder}: contains no zero/<parameter>/fp32.pt files of a universal checkpoint")
    matches = {path: _NUMBERED.match(path.name) for path in stored}
    numbers = [int(match[1]) for match in matches.values() if match is not None]
    num_layers = max(numbers, default=0) - FIRST_BLOCK - 1
    folders = {}
    for path, match in matches.items():
        tied = _TIED.match(path.name)
        if tied is not None:
            folders[own_bloom_name(1, tied[1], num_layers)] = path
        elif match is not None:
            folders[own_bloom_name(int(match[1]), match[2], num_layers)] = path
        else:
            folders[path.name] = path
    return Universal(folder, folders, num_layers)
