"""What was found while a foreign checkpoint was read: whether it is whole, and how far its copies drifted apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from xmtf.errors import DataError
from xmtf.json_types import JsonObject

__all__ = ["Integrity"]

_MOST_SHOWN = 8


@dataclass(slots=True)
class Integrity:
    """What a checkpoint holds besides what its shape asks for.

    Attributes:
        source: Folder that was read.
        format: Such as ``megatron``.
        layout: ParallelDims of parallelism that it was written with, as far as they are known.
        num_layers: Transformer blocks found.
        vocab_rows: Rows of the embedding.
        vocab_size: Entries of the vocabulary, where known; rows beyond are padding.
        parameters: Numbers in all tensors that belong to the model.
        dtypes: Number of tensors by dtype.
        drift: Largest absolute difference between the copies of a replicated parameter, by our name; only where
            it is not zero. The mean of the copies is taken.
        missing: Parameters of the shape that were not found.
        unexpected: Tensors that the shape has no place for.
        not_finite: Parameters with infinities or NaN.
    """

    source: str
    format: str
    layout: dict[str, int] = field(default_factory=dict)
    num_layers: int = 0
    vocab_rows: int = 0
    vocab_size: int | None = None
    parameters: int = 0
    dtypes: dict[str, int] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    def saw(self, name: str, tensor: Tensor, drift: float = 0.0) -> None:
        """Note a parameter that was read."""
        self.parameters += tensor.numel()
        dtype = str(tensor.dtype).removeprefix("torch.")
        self.dtypes[dtype] = self.dtypes.get(dtype, 0) + 1
        if drift > 0:
            self.drift[name] = drift
        if not bool(torch.isfinite(tensor).all()):
            self.not_finite.append(name)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, left over or not finite; drift is normal and does not count."""
        return not (self.missing or self.unexpected or self.not_finite)

    def require_whole(self) -> None:
        """Refuse a checkpoint that is not whole.

        Raises:
            DataError: Names what is wrong.
        """
        faults = [
            f"{label} {_some(names)}"
            for label, names in (
                ("lacks", self.missing),
                ("contains unexpected tensors:", self.unexpected),
                ("contains infinities or NaN in", self.not_finite),
            )
            if names
        ]
        if faults:
            raise DataError(f"{self.source}: {'; '.join(faults)}")

    def to_json(self) -> JsonObject:
        """Return every field, and ``whole``."""
        return asdict(self) | {"whole": self.whole}

    def __str__(self) -> str:
        layout = ", ".join(f"{axis} {degree}" for axis, degree in self.layout.items()) or "one piece"
        padding = "" if self.vocab_size is None else f", {self.vocab_rows - self.vocab_size:,} of them padding"
        lines = [
            f"format      {self.format} ({layout})",
            f"layers      {self.num_layers}",
            f"vocabulary  {self.vocab_rows:,} rows{padding}",
            f"parameters  {self.parameters:,} ({', '.join(f'{n} {kind}' for kind, n in self.dtypes.items())} tensors)",
            f"missing     {_some(self.missing)}",
            f"unexpected  {_some(self.unexpected)}",
            f"not finite  {_some(self.not_finite)}",
        ]
        worst = sorted(self.drift.items(), key=lambda pair: -pair[1])
        lines.append(f"drift       {len(worst)} replicated parameters differ between their copies")
        lines += [f"  {value:10.3e}  {name}" for name, value in worst[:_MOST_SHOWN]]
        if len(worst) > _MOST_SHOWN:
            lines.append(f"  and {len(worst) - _MOST_SHOWN} more, each with a smaller drift")
        return "\n".join(lines)


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
