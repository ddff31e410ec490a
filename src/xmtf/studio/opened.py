"""What is opened when it is first asked for, and then stays: engines that translate, models that are tried."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xmtf.extras import MODELS, require_extra
from xmtf.templates import Template
from xmtf.translation.engines import Engine

if TYPE_CHECKING:
    from xmtf.studio.models import Tried

__all__ = ["Models", "Suggesting"]

_OPEN = 2
"""Models that stay loaded."""


@dataclass(slots=True)
class Suggesting:
    """Engines that are open, and what they suggested last."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    engines: dict[str, Engine] = field(default_factory=dict)
    made: dict[tuple[str, str, str], Template] = field(default_factory=dict)
    """(key, language, name of the original) -> the template that an engine made."""


@dataclass(slots=True)
class Models:
    """Models that are loaded; one prompt is answered at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: OrderedDict[str, Tried] = field(default_factory=OrderedDict)

    def get(self, name: str, tokenizers: Sequence[str], *, offline: bool) -> Tried:
        """Return a model, loaded when it is first asked for."""
        if name not in self.opened:
            require_extra(MODELS)
            from xmtf.studio.models import open_model  # torch

            while len(self.opened) >= _OPEN:
                self.opened.popitem(last=False)
            self.opened[name] = open_model(name, tokenizers, offline=offline)
        self.opened.move_to_end(name)
        return self.opened[name]
