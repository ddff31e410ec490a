"""TensorBoard, Weights & Biases and trackio behind one small protocol, fed by the events of ``log.jsonl``.

The log stays the record: a tracker gets the numbers of its events and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmtf.errors import UserError, require
from xmtf.plugins import plugins
from xmtf.training.loop.events import Tracker

__all__ = ["TrackedRun", "open_trackers"]


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What trackers are told of a run.

    Attributes:
        name: Of the run.
        folder: Where they may keep files.
        config: The resolved recipe, as JSON values.
        offline: Never touch the network.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    offline: bool = False


def open_trackers(names: Sequence[str], run: TrackedRun) -> tuple[Tracker, ...]:
    """Return the trackers of a recipe.

    Raises:
        MissingExtraError: One of them is not installed.
        ConfigError: One is a plug-in's, and cannot be loaded.
        UserError: One of them refuses, such as for lack of an account.
    """
    openers: dict[str, Callable[[Any, TrackedRun], Tracker]] = {
        "tensorboard": lambda module, run: _TensorBoard(run.folder / "tensorboard"),
        "wandb": _open_wandb,
        "trackio": _open_trackio,
    }
    theirs = plugins("trackers", frozenset(openers))
    found: list[Any] = [theirs[name].load() if name in theirs else require(name, "track") for name in names]
    return tuple(
        openers[name](each, run) if name in openers else each(run) for name, each in zip(names, found, strict=True)
    )


@dataclass(slots=True)
class _TensorBoard:
    """Event files; those of a run that was resumed hide what an earlier attempt wrote after the step it began with."""

    folder: Path
    _writer: Any = field(default=None, repr=False)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass(slots=True)
class _Service:
    """A run of wandb or trackio."""

    log: Callable[[int, Mapping[str, float]], Any]
    finish: Callable[[], Any]

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.log(step, values)

    def close(self) -> None:
        self.finish()


def _open_wandb(module: Any, run: TrackedRun) -> Tracker:
    run.folder.mkdir(parents=True, exist_ok=True)
    options = {"mode": "offline"} if run.offline else {}
    try:
        started = module.init(project="xmtf", name=run.name, dir=str(run.folder), config=dict(run.config), **options)
    except (module.Error, OSError) as error:
        raise UserError(
            f"training.trackers: wandb does not start ({_line(error)}); log in with `wandb login`, or set "
            "WANDB_MODE=offline"
        ) from None
    # wandb's own counter only goes up, and a run that went on begins at an earlier step.
    started.define_metric("*", step_metric="steps")
    return _Service(lambda step, values: started.log({"steps": step, **values}), started.finish)


def _open_trackio(module: Any, run: TrackedRun) -> Tracker:
    started = module.init(project="xmtf", name=run.name, config=dict(run.config), resume="allow", embed=False)
    return _Service(lambda step, values: started.log(dict(values), step=step), started.finish)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
