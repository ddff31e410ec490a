"""Micro-batches through pipeline stages: torch's 1F1B and interleaved schedules around our objective.

Every process knows the whole global batch, so only hidden states and their gradients travel: each stage takes the
segment ids of the micro-batch available from its own copy, and the last stage its targets, by the micro-batch's number.

Legend: R rows of a micro-batch, T positions, H hidden size, M micro-batches of this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.distributed import P2POp, batch_isend_irecv
from torch.distributed.fsdp import FSDPModule
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
)

from xmtf.models.layers.staged import StagedModel
from xmtf.models.torch_private import stage_backward
from xmtf.recipe.schema import Training
from xmtf.training.loss.batches import Batch, CausalRows, is_causal
from xmtf.training.loss.head import Head
from xmtf.training.loss.objective import MicroLoss, Objective, Predicted
from xmtf.training.loss.targets import Targets
from xmtf.training.parallel.layout import Layout
from xmtf.training.parallel.zero import before_backward

__all__ = ["Pipeline", "forward_order"]

Item = tuple[int, tuple[Batch, Targets, float]]


@dataclass(slots=True)
class Pipeline:
    """An objective whose model is sharding over stages.

    Attributes:
        objective: Of the last stage; elsewhere only its settings are read.
        layout: The stages held here.
        training: Section of the recipe: schedule and number format.
    """

    objective: Objective
    layout: Layout
    training: Training
    _schedule: Any = None
    _stages: list[_Stage] = field(default_factory=list)
    _shape: tuple[int, ...] = ()
    _items: list[Item] = field(default_factory=list)
    _sent: dict[int, tuple[dict[str, Tensor], Predicted]] = field(default_factory=dict)
    _done: dict[int, MicroLoss] = field(default_factory=dict)

    @property
    def head(self) -> Head:
        """The output layer."""
        return self.objective.head

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.objective.device

    @property
    def num_groups(self) -> int:
        """Groups of (language, cluster) that sums are kept of."""
        return self.objective.num_groups

    @property
    def reader(self) -> StagedModel:
        """What suites ask: the stages of all processes as one model."""
        pipe = self.layout.mesh.pipe
        return StagedModel(self.layout.parts, pipe.rank, pipe.size, pipe.give)

    def with_groups(self, num_groups: int) -> Pipeline:
        """Return the same pipeline, keeping sums of other groups."""
        return replace(self, objective=replace(self.objective, num_groups=num_groups))

    def accumulate(self, micro_batches: Iterable[Item]) -> Iterator[tuple[int, MicroLoss]]:
        """Run a step's micro-batches forward and backward; return index and sums of each, on the last stage alone."""
        self._items, self._sent, self._done = list(micro_batches), {}, {}
        batches = [item[1][0] for item in self._items]
        schedule = self._schedule_for(batches)
        for stage in self._stages:
            stage.inputs = self._inputs
        schedule.step(target=torch.zeros(len(batches)), return_outputs=False)
        yield from ((self._items[number][0], micro) for number, micro in sorted(self._done.items()))

    def measure(self, micro_batches: Sequence[tuple[Batch, Targets]]) -> Tensor:
        """Return the sums by group of each micro-batch ``[M, G + 1, 2]``; see :meth:`Objective.measure`.

        Forward alone, without waiting for one micro-batch to leave the last stage before the next enters the first::

            stage 0     0 1 2 3 . .          two stages of each process        0 1 0 1 . 2 3 2 3 .
            stage 1     . 0 1 2 3 .                                            . 0 1 0 1 . 2 3 2 3
            stage 2     . . 0 1 2 3

        Between two places of the tables every process sends what it has computed, and receives what it computes next.
        """
        pipe, parts = self.layout.mesh.pipe, self.layout.parts
        sums = torch.zeros(len(micro_batches), self.num_groups + 1, 2, device=self.device)
        # all processes join in: NCCL's first message of a group may not be one between two of them
        pipe.add(torch.zeros(1, device=self.device))
        order = forward_order(len(micro_batches), pipe.size, len(parts))
        own = [None] * pipe.rank + order + [None] * (pipe.size - pipe.rank)
        received: Tensor | None = None
        for now, then in pairwise(own):
            hidden = None
            if now is not None:
                hidden = self._pass(parts[now[0]], *micro_batches[now[1]], received, sums[now[1]])
            shape = None
            if then is not None and not parts[then[0]].first:
                shape = self._hidden_shape(micro_batches[then[1]][0])
            received = self._exchange(hidden, shape)
        return pipe.add(sums)

    def _pass(self, part: Any, batch: Batch, targets: Targets, received: Tensor | None, sums: Tensor) -> Tensor | None:
        """Take a micro-batch through a stage; the last writes its sums and returns nothing to send."""
        keywords, chosen = self.objective.on_device(batch, targets)
        tokens = keywords.pop("tokens_RT")
        hidden: Tensor = part(tokens if part.first else received, **keywords)
        if not part.last:
            return hidden.contiguous()
        micro, _ = self.objective.score(self.objective.predicting(hidden, chosen), chosen, 1.0, backward=False)
        sums.copy_(micro.groups)
        return None

    def _exchange(self, hidden: Tensor | None, shape: tuple[int, ...] | None) -> Tensor | None:
        """Send hidden states to the next process of the pipeline, and receive some of a shape from the one before."""
        pipe = self.layout.mesh.pipe
        after, before = (pipe.rank + 1) % pipe.size, (pipe.rank - 1) % pipe.size
        messages, received = [], None
        if hidden is not None:
            messages.append(P2POp(torch.distributed.isend, hidden, group=pipe.group, group_peer=after))
        if shape is not None:
            received = torch.empty(shape, dtype=self._dtype(), device=self.device)
            messages.append(P2POp(torch.distributed.irecv, received, group=pipe.group, group_peer=before))
        for request in batch_isend_irecv(messages) if messages else ():
            request.wait()
        return received

    def _inputs(self, number: int) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Return what a stage takes of a micro-batch besides hidden states: tokens in the first, segments in all.

        Sent to the device by one copy, for all stages held here.
        """
        if number not in self._sent:
            batch, targets, _ = self._items[number][1]
            self._sent = {number: self.objective.on_device(batch, targets)}
        rows = dict(self._sent[number][0])
        tokens = rows.pop("tokens_RT")
        return (tokens,) if self.layout.mesh.pipe.first else (), rows

    def _hidden_shape(self, batch: Batch) -> tuple[int, int, int]:
        rows, positions = _causal(batch).tokens[:, :-1].shape
        return rows, positions, self.objective.model.hidden_size

    def _dtype(self) -> torch.dtype:
        """Return what hidden states are: the norms and the residual stream are fp32 under autocast."""
        return torch.bfloat16 if self.training.precision == "bf16_pure" else torch.float32

    def _schedule_for(self, batches: list[Batch]) -> Any:
        """Return the schedule for micro-batches of this shape and number, recreated where it changes."""
        whole = self._hidden_shape(batches[0])
        shape = (*whole, len(batches))
        # torch's schedules allocate for one shape; a batch of another shape needs its own.
        if self._schedule is not None and self._shape == shape:
            return self._schedule
        pipe, parts = self.layout.mesh.pipe, self.layout.parts
        shared = whole[0], parts[0].shares.each(whole[1]), whole[2]
        last = torch.empty(whole, dtype=self._dtype(), device="meta", requires_grad=True)
        hidden = torch.empty(shared, dtype=self._dtype(), device="meta", requires_grad=True)
        tokens = torch.empty(whole[:2], dtype=torch.long, device="meta")
        stages = [
            _Stage(
                part,
                pipe.rank + index * pipe.size,
                pipe.size * len(parts),
                self.device,
                input_args=tokens if part.first else hidden,
                output_args=last if part.last else hidden,
                group=pipe.group,
            )
            for index, part in enumerate(parts)
        ]
        for stage in stages:
            stage.zero = self.layout.zero
        self._stages = stages
        # The objective has already divided by the targets of the global batch: torch must not divide again.
        options: dict[str, Any] = {"loss_fn": self._loss, "scale_grads": False}
        name = self.training.parallel.schedule
        if name == "1f1b":
            self._schedule = Schedule1F1B(stages[0], len(batches), **options)
        else:
            made = ScheduleInterleaved1F1B if name == "interleaved" else ScheduleInterleavedZeroBubble
            self._schedule = made(list(stages), len(batches), **options)
        self._shape = shape
        return self._schedule

    def _loss(self, hidden_RTH: Tensor, _: Tensor) -> Tensor:
        """Return the loss of the micro-batch that the last stage has just computed; its gradient is known already."""
        index = self._stages[-1].number
        scale, targets = self._items[index][1][2], self._sent[index][1]
        hidden_PH = self.objective.predicting(hidden_RTH, targets)
        # The head's gradient is computed together with its loss, chunk by chunk, so that logits never stand whole.
        micro, gradient_PH = self.objective.score(hidden_PH, targets, scale, backward=True)
        self._done[index] = micro
        loss: Tensor = _Known.apply(hidden_PH, gradient_PH, micro.loss)  # type: ignore[no-untyped-call]  # as torch's
        return loss


def forward_order(num_micro: int, num_processes: int, stages_each: int) -> list[tuple[int, int] | None]:
    """Return what a process of a pipeline computes, place by place: its stage, and of which micro-batch; or nothing.

    The process after it does the same one place later. With several stages a process takes as many micro-batches as
    there are processes through one of them, then through the next: the first has then come back from the last process.

    >>> forward_order(3, 2, 1)
    [(0, 0), (0, 1), (0, 2)]
    >>> forward_order(3, 2, 2)
    [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), None, (1, 2), None]
    """
    if stages_each == 1:
        return [(0, micro) for micro in range(num_micro)]
    return [
        (stage, micro) if micro < num_micro else None
        for begin in range(0, num_micro, num_processes)
        for stage in range(stages_each)
        for micro in range(begin, begin + num_processes)
    ]


class _Stage(PipelineStage):
    """A stage with memory for the micro-batches that are under way.

    Torch's own has some for what it receives of every micro-batch of a step, for as long as it lives: with BLOOM
    176B in 72 stages and 512 micro-batches that is 120 GB. Here the device is ``meta`` while torch makes it; each
    micro-batch is given memory when it is to be received, which is let go after its backward pass.

    Attributes:
        inputs: Returns what the stage takes of a micro-batch besides hidden states, by the micro-batch's number.
        number: Of the micro-batch whose forward pass came last.
        zero: What ``dp_shard`` shards.
    """

    inputs: Callable[[int], tuple[tuple[Tensor, ...], dict[str, Tensor]]]
    number: int = 0
    zero: int = 3

    def forward_one_chunk(self, fwd_chunk_id: int, *arguments: Any, **keywords: Any) -> Any:
        self.number = fwd_chunk_id
        tokens, others = self.inputs(fwd_chunk_id)
        save = keywords.get("save_forward_output", True)
        return super().forward_one_chunk(fwd_chunk_id, tokens, others, save_forward_output=save)

    def backward_maybe_with_nosync(
        self, backward_type: str, bwd_kwargs: dict[str, Any], last_backward: bool = False
    ) -> Any:
        """Go back through a micro-batch. Torch would keep an FSDP2 stage whole until the last one."""
        if not isinstance(self.submod, FSDPModule):
            return super().backward_maybe_with_nosync(backward_type, bwd_kwargs, last_backward)
        assert backward_type == "full", "these schedules run backward through a stage as a whole"
        before_backward(self.submod, self.zero, last=last_backward)
        return stage_backward(**bwd_kwargs), None

    def perform_reduce_grad(self, grad_scale_factor: int) -> None:
        """Do nothing: the last backward pass has added up all gradients, and they are scaled."""

    def _prepare_forward_infra(self, *arguments: Any, **keywords: Any) -> Any:
        with self._on_meta():
            return super()._prepare_forward_infra(*arguments, **keywords)

    def _prepare_backward_infra(self, *arguments: Any, **keywords: Any) -> Any:
        with self._on_meta():
            return super()._prepare_backward_infra(*arguments, **keywords)

    def get_fwd_recv_ops(self, fwd_chunk_id: int) -> list[Any]:
        self._place(self.args_recv_info[fwd_chunk_id], self.device)
        ops: list[Any] = super().get_fwd_recv_ops(fwd_chunk_id)
        return ops

    def get_bwd_recv_ops(self, bwd_chunk_id: int) -> list[Any]:
        self._place(self.grad_recv_info.get(bwd_chunk_id, ()), self.device)
        ops: list[Any] = super().get_bwd_recv_ops(bwd_chunk_id)
        return ops

    def backward_one_chunk(self, bwd_chunk_id: int, loss: Any = None, *arguments: Any, **keywords: Any) -> None:
        super().backward_one_chunk(bwd_chunk_id, loss, *arguments, **keywords)
        if loss is not None:
            # The schedule keeps the losses of a step: through their graphs they would keep what each micro-batch
            # received. Of BLOOM 176B that is 60 GB for 512 micro-batches.
            loss.detach_()
        meta = torch.device("meta")
        self._place((*self.args_recv_info[bwd_chunk_id], *self.grad_recv_info.get(bwd_chunk_id, ())), meta)

    @contextmanager
    def _on_meta(self) -> Iterator[None]:
        device, self.device = self.device, torch.device("meta")
        try:
            yield
        finally:
            self.device = device

    def _place(self, received: Iterable[Any], where: torch.device) -> None:
        for info in received:
            if info.buffer is not None:
                info.buffer = torch.empty_like(info.buffer, device=where)


class _Known(torch.autograd.Function):
    """A loss whose gradient was computed with it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, gradient: Tensor, loss: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        # A new tensor: returned as it is, autograd would take the result for the input itself.
        return loss.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.saved_tensors[0], None, None


def _causal(batch: Batch) -> CausalRows:
    assert is_causal(batch), "only causal models can be split into stages"
    return batch
