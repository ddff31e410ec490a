"""Results in the hub's own format: a YAML file in the folder ``.eval_results`` next to the card.

::

    - dataset: {id: facebook/xnli, task_id: fr}
      value: 54.34
      notes: Accuracy on validation, zero-shot, the first prompt of 5 (median 53.1, best 55.2), measured with xmtf 0.1

One value a dataset and configuration, that of the card's header: the first metric of a task, and the split ``test``
where there are several. The hub shows those whose dataset it knows as a benchmark.

Source: huggingface.co/docs/hub/eval-results; ``huggingface_hub.parse_eval_result_entries`` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from xmtf import __version__
from xmtf.files import write_text
from xmtf.records import Score
from xmtf.report.cards.index import CardValue, chosen_values, in_order
from xmtf.run_folder import HUB_RESULTS

__all__ = ["hub_results", "write_hub_results"]

_SPLITS = ("test", "validation")
"""Which of several splits of a dataset is told, the first that there is."""


def hub_results(scores: Iterable[Score]) -> list[dict[str, object]]:
    """Return the entries of one model's results; limited evaluations and data that no hub has are left out.

    Args:
        scores: Result records of one model.
    """
    found: dict[tuple[str, str], CardValue] = {}
    for value in sorted(chosen_values(scores), key=_split_rank):
        found.setdefault((value.hub_id, value.subset), value)
    return [_entry(value) for value in in_order(list(found.values()))]


def write_hub_results(folder: Path, scores: Sequence[Score]) -> None:
    """Write the results of one model alongside its card, or delete what an earlier card had where there are none.

    Args:
        folder: Where the card lies.
        scores: Result records of the model.
    """
    path = folder / HUB_RESULTS
    entries = hub_results(scores)
    if entries:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=120))
        return
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _split_rank(value: CardValue) -> int:
    return _SPLITS.index(value.split) if value.split in _SPLITS else len(_SPLITS)


def _entry(value: CardValue) -> dict[str, object]:
    dataset = {"id": value.hub_id, "task_id": value.subset or "default"}
    prompt = {"validation": "the prompt that validation chose", "first of the file": "the first prompt"}.get(
        value.by, ""
    )
    beside = f", {prompt} of {value.prompts} (median {value.median}, best {value.best})" if value.prompts > 1 else ""
    shots = f"{value.shots}-shot" if value.shots else "zero-shot"
    return {
        "dataset": dataset | ({"revision": value.revision} if value.revision else {}),
        "value": value.value,
        "notes": f"{value.metric} on {value.split}, {shots}{beside}, measured with xmtf {__version__}",
    }
