"""How far scores in a small number format are from those in fp32, tried out on some of the requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from xmtf.errors import require
from xmtf.evaluation.asking.subject import AnySubject, Subject
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import say
from xmtf.models import load_model
from xmtf.records import Request

__all__ = ["largest_difference"]

_REQUESTS = 16


def largest_difference(setup: Setup, subject: AnySubject, ref: str, requests: Sequence[Request]) -> float | None:
    """Return, and print, the largest difference between scores as they are computed and in fp32.

    Args:
        setup: How the model was loaded.
        subject: The model.
        ref: Where it is loaded from once more, in fp32.
        requests: Those of an evaluation; 16 of them are asked, evenly spread.

    Returns:
        The difference of log-probabilities; None in fp32, of a model behind a server, where nothing is ranked, or where
        there is no room for the weights in fp32 alongside.
    """
    if not isinstance(subject, Subject):
        return None
    ranked = list({(request.prompt, request.choices): request for request in requests if request.choices}.values())
    if (subject.dtype == "fp32" and subject.quantize is None) or not ranked:
        return None
    computed = subject.dtype if subject.quantize is None else f"{subject.dtype} with weights in {subject.quantize}"
    if not _has_room(subject):
        say(f"  scores are in {computed}; there is no memory for the weights in fp32 to compare them with")
        return None
    chosen = [ranked[index * len(ranked) // _REQUESTS] for index in range(_REQUESTS)][: len(ranked)]
    ours = _scores(subject, chosen)
    widened = _scores(_in_fp32(setup, subject, ref), chosen)
    pairs = [pair for pair in zip(ours, widened, strict=True) if all(map(math.isfinite, pair))]
    difference = max((abs(first - second) for first, second in pairs), default=math.nan)
    say(f"  scores in {computed} differ by at most {difference:.3g} from those in fp32 ({len(set(chosen))} requests)")
    return difference


def _in_fp32(setup: Setup, subject: Subject, ref: str) -> Subject:
    device = str(subject.model.head_weight().device)
    loaded = load_model(ref, device=device, dtype=torch.float32, offline=setup.offline)
    return replace(subject, model=loaded.model, dtype="fp32")


def _scores(subject: Subject, requests: Sequence[Request]) -> list[float]:
    answers = {index: answer for batch in subject.ask(requests) for index, answer in batch}
    num_choices = [len(request.choices) for request in requests]
    found = [answers[index].scores or (math.nan,) * count for index, count in enumerate(num_choices)]
    return [score for scores in found for score in scores]


def _has_room(subject: Subject) -> bool:
    assert isinstance(subject.model, torch.nn.Module)
    needed = 4 * sum(parameter.numel() for parameter in subject.model.parameters())
    device = subject.model.head_weight().device
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return needed < free // 2
    return bool(needed < require("psutil", "train").virtual_memory().available // 2)
