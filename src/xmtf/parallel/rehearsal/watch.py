"""What operations of torch do to memory, to other processes and to the device's queue, counted as they are dispatched.

Storages are counted, not tensors: born when an operation first shows them, gone when nothing holds them any more. So
views cost nothing, and what autograd, FSDP2 or a pipeline keeps counts as long as it is kept. FSDP2 resizes storages
without an operation; that is seen too.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from xmtf.models.torch_private import TorchDispatchMode, tree_leaves

__all__ = ["Exchange", "Watch"]

_ROOT = str(Path(__file__).parents[2])
_ATEN = torch.ops.aten
_MESSAGES = frozenset({"c10d", "_c10d_functional"})
"""Namespaces of operations that send: those of groups, and those of DTensors, of which one waits alone."""
_WAIT = torch.ops._c10d_functional.wait_tensor.default
_READS = frozenset({_ATEN._local_scalar_dense.default, _ATEN.item.default, _ATEN.equal.default, _ATEN.allclose.default})


@dataclass(frozen=True, slots=True)
class Exchange:
    """Messages of one kind in a step, or in a batch.

    Attributes:
        axis: Of the processes that take part.
        kind: As torch calls it.
        count: How many.
        sent: Bytes of their tensors.
    """

    axis: str
    kind: str
    count: int
    sent: int


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts while it is entered, above a mode of fake tensors.

    Attributes:
        live: Bytes of all storages.
        peak: The most that they were, since :meth:`forget_peak`.
        sent: (axis, collective) -> how often.
        sent_bytes: (axis, collective) -> bytes of its tensors.
        waits: ``file:line`` of this package -> how often it read numbers of the device.
        operations: How many were dispatched.
        axes: Axis of each group of processes, by torch's name of the group.
    """

    def __init__(self, axes: dict[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.axes = axes
        self.live = self.peak = self.operations = 0
        self.sent: Counter[tuple[str, str]] = Counter()
        self.sent_bytes: Counter[tuple[str, str]] = Counter()
        self.waits: Counter[str] = Counter()
        self._sizes: dict[int, int] = {}
        self._reading: FrameType | None = None
        self._resize: Any = None

    def __enter__(self) -> Watch:
        plain = self._resize = torch.UntypedStorage.resize_

        def resize(storage: Any, size: int) -> Any:
            result = plain(storage, size)
            self._note(storage)
            return result

        torch.UntypedStorage.resize_ = resize  # type: ignore[method-assign, assignment]  # no operation comes of it
        super().__enter__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]  # as it was

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation."""
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # what it does with its local tensor comes here next; itself it has no memory
        if func.namespace == "prim":  # asks a tensor for its device or shape
            return func(*args, **(kwargs or {}))
        self.operations += 1
        if func in _READS:
            return self._read(args[0])
        if func.namespace in _MESSAGES and func is not _WAIT:
            self._send(func, args)
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, result)):
            if isinstance(tensor, Tensor) and not tensor.is_meta:
                self._note(tensor.untyped_storage())
        return result

    def forget(self) -> None:
        """Begin to count from zero; what is live stays."""
        self.peak, self.operations = self.live, 0
        for counter in (self.sent, self.sent_bytes, self.waits):
            counter.clear()

    def exchanges(self) -> Iterator[Exchange]:
        """Yield the messages since :meth:`forget`, most bytes first."""
        for (axis, kind), count in sorted(self.sent.items(), key=lambda entry: -self.sent_bytes[entry[0]]):
            yield Exchange(axis, kind, count, self.sent_bytes[axis, kind])

    def bytes_of(self, tensors: Any) -> int:
        """Return the bytes of the storages of some tensors, each counted once."""
        storages = {storage._cdata: storage.nbytes() for storage in (each.untyped_storage() for each in tensors)}
        return sum(storages.values())

    def _note(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        before = self._sizes.get(key)
        if before == size:
            return
        if before is None:
            weakref.finalize(storage, self._free, key)
        self._sizes[key] = size
        self.live += size - (before or 0)
        self.peak = max(self.peak, self.live)

    def _free(self, key: int) -> None:
        self.live -= self._sizes.pop(key, 0)

    def _send(self, func: Any, args: Any) -> None:
        leaves = tree_leaves(args)
        group = next((leaf for leaf in leaves if isinstance(leaf, torch.ScriptObject)), None)
        if group is None:  # of a DTensor
            name = [leaf for leaf in leaves if isinstance(leaf, str)][-1]
        else:
            name = torch.distributed.ProcessGroup.unbox(group).group_name
        kind = func.overloadpacket.__name__.strip("_").replace("all_", "all")
        key = (self.axes.get(name, "other"), kind)
        self.sent[key] += 1
        self.sent_bytes[key] += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))

    def _read(self, tensor: Tensor) -> float | int:
        """Answer 1 to what reads a number; a whole list of them is one wait."""
        frame: FrameType | None = sys._getframe(2)
        reading = None
        while frame is not None and not frame.f_code.co_filename.startswith(_ROOT):
            reading = frame if frame.f_code.co_name == "tolist" else reading
            frame = frame.f_back
        if reading is None or reading is not self._reading:
            self.waits[_line(frame)] += 1
        self._reading = reading
        return 1.0 if tensor.is_floating_point() else 1


def _line(frame: FrameType | None) -> str:
    if frame is None:
        return "torch"
    return f"{Path(frame.f_code.co_filename).relative_to(_ROOT)}:{frame.f_lineno}"
