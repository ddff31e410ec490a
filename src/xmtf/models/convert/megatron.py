"""BLOOM checkpoints of Megatron-DeepSpeed: one file per pipeline layer and tensor-parallel rank.

::

    global_step249/
      layer_01-model_00-model_states.pt       embedding and its norm
      layer_03-model_00-model_states.pt       block 0 (02 only transposes and has no file)
      layer_72-model_00-model_states.pt       block 69 of 70
      layer_74-model_00-model_states.pt       the last norm; the head is the embedding
      mp_rank_00_model_states.pt              arguments, one for each pipeline stage and tensor-parallel rank

The layers' files do not depend on the pipeline, so any number of stages reads alike. With tensor
parallelism each rank holds a slice: rows of the fused query-key-value matrix are ``[head][query, key,
value][head size]``, heads in order, so slices are put together as they are. Norms, and the biases that
follow a row-parallel product, are held by every rank whole; they should be equal and drift apart in
low precision: their mean is taken, and how far they drifted is reported.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xmtf.errors import DataError, SourceError
from xmtf.json_types import JsonObject
from xmtf.models.bloom import BloomConfig
from xmtf.models.convert.integrity import Integrity
from xmtf.models.convert.shape import check_shape, parameter_shapes
from xmtf.models.files.weights import read_pickled_tensors

__all__ = [
    "FIRST_BLOCK",
    "LayerFiles",
    "find_layer_files",
    "merge_slices",
    "own_bloom_name",
    "read_arguments",
    "step_folder",
]

FIRST_BLOCK = 3
"""Number of the first block's file."""
_FILE = re.compile(r"^layer_(\d+)-model_(\d+)-model_states\.pt$")
_RANK_FILE = "mp_rank_*_model_states.pt"
_EMBEDDING = {
    "word_embeddings.weight": "word_embeddings.weight",
    "word_embeddings.norm.weight": "word_embeddings_layernorm.weight",
    "word_embeddings.norm.bias": "word_embeddings_layernorm.bias",
}
_REPLICATED = re.compile(r"(layernorm|ln_f)\.(weight|bias)$|(self_attention\.dense|dense_4h_to_h)\.bias$")
_BY_COLUMNS = re.compile(r"(self_attention\.dense|dense_4h_to_h)\.weight$")


@dataclass(frozen=True, slots=True)
class LayerFiles:
    """The files of a checkpoint.

    Attributes:
        folder: Where they lie.
        files: Number of a layer -> its file of each tensor-parallel rank.
        num_rank_files: How many ``mp_rank`` files there are: pipeline stages times tensor-parallel ranks.
    """

    folder: Path
    files: dict[int, list[Path]]
    num_rank_files: int

    @property
    def num_slices(self) -> int:
        """Tensor-parallel ranks."""
        return len(next(iter(self.files.values())))

    @property
    def num_layers(self) -> int:
        """Transformer blocks: the last norm stands two numbers after the last block."""
        return max(self.files) - FIRST_BLOCK - 1

    @property
    def layout(self) -> dict[str, int]:
        """ParallelDims of parallelism; ``pp`` only where the ``mp_rank`` files tell."""
        stages, rest = divmod(self.num_rank_files, self.num_slices)
        return ({"pp": stages} if stages and not rest else {}) | {"tp": self.num_slices}

    def shape(self) -> tuple[int, int]:
        """Return rows of the embedding and hidden size.

        Raises:
            DataError: There is no embedding, or the last file is not that of the last norm.
        """
        slices = [
            part["word_embeddings.weight"] for part in map(_read, self.files[1]) if "word_embeddings.weight" in part
        ]
        if len(slices) < self.num_slices:
            raise DataError(f"{self.folder}: layer_01 has no word_embeddings.weight; this is not a BLOOM checkpoint")
        last = max(self.files)
        if set(_read(self.files[last][0])) != {"weight", "bias"}:
            raise DataError(
                f"{self.folder}: layer_{last:02d}, the last file, is not the final layer norm (only weight and bias); "
                "copy the checkpoint again"
            )
        if any(not isinstance(part, Tensor) or part.dim() != 2 for part in slices):
            raise DataError(f"{self.folder}: word_embeddings.weight of layer_01 is not a matrix")
        return sum(len(part) for part in slices), slices[0].shape[1]

    def tensors(self, config: BloomConfig, report: Integrity) -> Iterator[tuple[str, Tensor]]:
        """Yield every parameter under our name, its slices put together; one layer is in memory at a time.

        Args:
            config: The shape that is expected.
            report: Gets what is found; complete when the last parameter has been taken.
        """
        wanted = parameter_shapes(config)
        found = set()
        for number, paths in sorted(self.files.items()):
            slices = [_read(path) for path in paths]
            for key in slices[0]:
                name = own_bloom_name(number, key, self.num_layers)
                parts = [part[key] for part in slices if isinstance(part.get(key), Tensor)]
                if name not in wanted or len(parts) < len(slices):
                    report.unexpected.append(f"{paths[0].name}: {key}")
                    continue
                tensor, drift = merge_slices(name, parts, self.folder)
                check_shape(name, tensor, wanted[name], paths[0])
                found.add(name)
                report.saw(name, tensor, drift)
                yield name, tensor
        report.missing.extend(name for name in wanted if name not in found)


def find_layer_files(folder: Path) -> LayerFiles:
    """Find the layers' files of a checkpoint.

    Args:
        folder: Of one step (``global_step249``), or above it, where a file ``latest`` names the step.

    Raises:
        SourceError: There are none.
        DataError: Files of a rank or of a layer are missing; names them.
    """
    folder = step_folder(folder)
    files: dict[int, dict[int, Path]] = defaultdict(dict)
    for path in folder.iterdir():
        match = _FILE.match(path.name)
        if match is not None:
            files[int(match[1])][int(match[2])] = path
    if not files:
        raise SourceError(f"{folder}: contains no layer_NN-model_TT-model_states.pt files of Megatron-DeepSpeed")
    ranks = range(max(rank for by_rank in files.values() for rank in by_rank) + 1)
    missing = [_name(number, rank) for number in sorted(files) for rank in ranks if rank not in files[number]]
    last = max(files)
    numbers = [1, *range(FIRST_BLOCK, last - 1), last]
    missing += [_name(number, ranks[0]) for number in numbers if number not in files]
    if missing:
        raise DataError(f"{folder}: {missing[0]} is missing (and {len(missing) - 1} more): copy the checkpoint again")
    by_number = {number: [files[number][rank] for rank in ranks] for number in sorted(files)}
    return LayerFiles(folder, by_number, len(list(folder.glob(_RANK_FILE))))


def _read(path: Path) -> dict[str, Tensor]:
    tensors = read_pickled_tensors(path, checked=True)
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise DataError(f"{path}: contains no named tensors")
    return tensors


def step_folder(folder: Path) -> Path:
    """Return the folder of a step: ``folder`` itself, or what a file ``latest`` or ``latest_universal`` in it names.

    Raises:
        SourceError: No such folder.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    for pointer in ("latest", "latest_universal"):
        if (folder / pointer).is_file():
            step = folder / Path((folder / pointer).read_text().strip()).name
            if step.is_dir():
                return step
    return folder


def _name(number: int, rank: int) -> str:
    return f"layer_{number:02d}-model_{rank:02d}-model_states.pt"


def own_bloom_name(number: int, key: str, num_layers: int) -> str:
    """Return our name of a tensor of a pipeline layer; a name that we do not have stays as it is.

    >>> own_bloom_name(3, "mlp.dense_4h_to_h.bias", 24), own_bloom_name(28, "weight", 24)
    ('h.0.mlp.dense_4h_to_h.bias', 'ln_f.weight')
    """
    if number == 1:
        return _EMBEDDING.get(key, key)
    if number == num_layers + FIRST_BLOCK + 1:
        return f"ln_f.{key}"
    return f"h.{number - FIRST_BLOCK}.{key}"


def merge_slices(name: str, slices: list[Tensor], where: Path) -> tuple[Tensor, float]:
    """Put the slices of tensor-parallel ranks together; return the whole and how far copies had drifted.

    ============================================  =======================================
    norms; biases after a row-parallel product    the mean, computed in fp32
    ``dense`` and ``dense_4h_to_h`` weights       side by side (dimension 1)
    everything else                               one below the other (dimension 0)
    ============================================  =======================================

    Args:
        name: Our name of the parameter.
        slices: One per rank, in order.
        where: Named in errors.

    Raises:
        DataError: Their shapes do not fit.
    """
    if len(slices) == 1:
        return slices[0], 0.0
    if len(kinds := {str(part.dtype).removeprefix("torch.") for part in slices}) > 1:
        raise DataError(f"{where}: the slices of {name} have different dtypes: {', '.join(sorted(kinds))}")
    if _REPLICATED.search(name):
        if any(part.shape != slices[0].shape for part in slices):
            raise DataError(f"{where}: the copies of {name} have different shapes")
        stacked = torch.stack([part.float() for part in slices])
        drift = float((stacked.amax(0) - stacked.amin(0)).max())
        return (stacked.mean(0).to(slices[0].dtype) if drift != 0 else slices[0]), drift
    dim = 1 if _BY_COLUMNS.search(name) else 0
    try:
        return torch.cat(slices, dim), 0.0
    except RuntimeError:
        shapes = [list(part.shape) for part in slices]
        raise DataError(f"{where}: the slices of {name} do not fit together: {shapes}") from None


def read_arguments(folder: Path) -> JsonObject:
    """Return what the ``mp_rank`` files say of the training: its arguments and ``iteration``, or nothing.

    Files that hold more than plain arguments (such as enumerations of Megatron's own) are not unpickled.
    """
    for path in sorted(step_folder(folder).glob(_RANK_FILE))[:1]:
        try:
            state = read_pickled_tensors(path, plain=(argparse.Namespace,))
        except DataError:
            return {}
        arguments = state.get("args") if isinstance(state, dict) else None
        known = vars(arguments) if isinstance(arguments, argparse.Namespace) else dict(arguments or {})
        return known | {key: state[key] for key in ("iteration",) if key in state}
    return {}
