"""The names that other harnesses give datasets, and what our catalogue knows under them.

t-zero and promptsource write ``xnli`` where the hub today says ``facebook/xnli``; the catalogue's sets of
the original evaluation keep the old name in their task ids (``bloomz-l1:xnli/fr``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from xmtf.errors import UnknownNameError
from xmtf.languages.codes import normalize_language
from xmtf.tasks import load_catalogue

__all__ = ["Known", "describe_dataset", "known_datasets", "old_name"]

_SETS = (
    "bloomz-l1",
    "bloomz-l2",
    "bloomz-xnli-ht-mt",
    "bloomz-zh-ht",
    "bloomz-l1-mt",
    "bloomz-l2-mt",
    "bloomz-validation",
    "bloomz-generation",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a dataset and its configuration.

    Attributes:
        task: Our name for it, such as ``xnli/fr``.
        dataset: Today's hub id.
        subset: Configuration, or ``""``.
        split: Split that it is evaluated on, or ``""``.
        cluster: Task cluster, or ``""``.
        language: Language of the targets; English where nothing tells another.
    """

    task: str
    dataset: str
    subset: str
    split: str
    cluster: str
    language: str


@cache
def known_datasets() -> dict[tuple[str, str], Known]:
    """Return (old name, configuration) -> what the catalogue knows, from the sets of the original evaluation."""
    found: dict[tuple[str, str], Known] = {}
    for task in load_catalogue(sets=_SETS).tasks.values():
        prefix, _, name = task.id.partition(":")
        if prefix not in _SETS:
            continue
        name = name.removesuffix(":reversed")
        old = name.removesuffix(f"/{task.subset}") if task.subset else name
        split = task.splits["evaluation"][0]
        config = task.subset or (split if old.partition("/")[0] == "anli" else "")
        old = old.partition("/")[0] if old.startswith("anli/") else old
        short = old.rpartition("/")[2] if task.subset else old
        known = Known(
            f"{short}/{config}" if config else short, task.dataset, task.subset, split, task.cluster, task.language
        )
        found.setdefault((old, config), known)
    return found


def describe_dataset(dataset: str, config: str) -> Known:
    """Return what is known of a dataset under its old name, its hub id, or nothing but its names.

    >>> describe_dataset("xnli", "fr").dataset, describe_dataset("own_set", "de").language
    ('facebook/xnli', 'de')
    """
    known = known_datasets()
    if (dataset, config) in known:
        return known[dataset, config]
    for entry in known.values():
        if (entry.dataset, entry.subset) == (dataset, config):
            return entry
    name = f"{dataset}/{config}" if config else dataset
    return Known(name, dataset, config, "", "", _language(config, dataset))


def old_name(dataset: str, subset: str, split: str) -> tuple[str, str]:
    """Return the name and configuration that t-zero's files give a dataset of today's hub."""
    for (old, config), entry in known_datasets().items():
        if (entry.dataset, entry.subset) == (dataset, subset) and (subset or config in ("", split)):
            return old, config
    return dataset, subset


def _language(*names: str) -> str:
    """Return the language that a name is, or ends with after ``_`` or ``-``; English where none does."""
    for name in names:
        for part in (name, name.replace("-", "_").rpartition("_")[2]):
            if 2 <= len(part) <= 3:
                try:
                    return normalize_language(part)
                except UnknownNameError:
                    continue
    return "en"
