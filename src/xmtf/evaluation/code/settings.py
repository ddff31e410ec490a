"""How code is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.code.limits import Limits
from xmtf.evaluation.code.stops import StopRule

__all__ = ["Ask", "CodeSettings"]

Ask = Literal["complete", "repair"]
"""What a model is asked for: the rest of a function, or a function without its bug."""


@dataclass(frozen=True, slots=True)
class CodeSettings:
    """How code is evaluated.

    Attributes:
        samples: Completions of each problem at each temperature.
        temperatures: 0 is greedy, with one sample.
        ks: Values of k.
        top_p: Share of the probability that tokens are drawn from.
        max_new_tokens: Most tokens of a completion.
        batch_rows: Completions generated at a time.
        prepend_eos: End-of-text token before the prompt: for pretrained models, not for finetuned ones.
        limit: Problems of each task, from the first, or None for all.
        limits: What a program may use.
        workers: Programs run side by side.
        unsafe: Run them without a sandbox.
        stops: Where a completion ends.
        asks: ``complete`` continues a problem's prompt, ``repair`` its faulty solution.
        modules: Folder of modules that programs use, or None.
    """

    samples: int = 1
    temperatures: tuple[float, ...] = (0.0,)
    ks: tuple[int, ...] = (1, 10, 100)
    top_p: float = 0.95
    max_new_tokens: int = 256
    batch_rows: int = 32
    prepend_eos: bool = False
    limit: int | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    workers: int = 1
    unsafe: bool = False
    stops: StopRule = "complete"
    asks: tuple[Ask, ...] = ("complete",)
    modules: Path | None = None

    def __post_init__(self) -> None:
        """Refuse values that would measure nothing.

        Raises:
            ConfigError: Names the setting.
        """
        if not self.temperatures or not all(math.isfinite(value) and value >= 0 for value in self.temperatures):
            raise ConfigError("temperatures: give numbers from 0 (greedy), such as 0.2,0.6,0.8")
        if not self.ks or min(self.ks) < 1:
            raise ConfigError("k: give numbers from 1, such as 1,10,100")
        if self.stops not in get_args(StopRule):
            raise UnknownNameError("stop rule", self.stops, get_args(StopRule), "stops")
        for ask in self.asks or ("",):
            if ask not in get_args(Ask):
                raise UnknownNameError("kind of question", ask, get_args(Ask), "ask")
