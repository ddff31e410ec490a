"""The licences of a mixture, summed up for its card."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["conditions", "licence_rows", "licence_summary"]

UNKNOWN = "not stated"

_CONDITIONS = (
    ("no commercial use", {"nc", "noncommercial", "research"}),
    ("no changed versions", {"nd", "noderivs", "noderivatives"}),
    ("the same licence for derived works", {"sa", "sharealike", "gpl", "agpl", "lgpl", "odbl", "gfdl"}),
)


def conditions(licence: str) -> tuple[str, ...]:
    """Return the conditions that the name of a licence states; a hint, and no advice.

    >>> conditions("CC-BY-NC-SA-4.0"), conditions("Apache-2.0")
    (('no commercial use', 'the same licence for derived works'), ())
    """
    words = set(re.split(r"[^a-z]+", licence.lower().replace("non-commercial", "noncommercial")))
    return tuple(name for name, marks in _CONDITIONS if words & marks)


def licence_rows(examples: Mapping[str, int], licences: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Return (licence, its conditions, datasets, examples) of each licence, that of most examples first.

    Args:
        examples: Dataset -> examples.
        licences: Dataset -> licence.
    """
    by_licence: dict[str, list[str]] = {}
    for dataset in examples:
        by_licence.setdefault(licences.get(dataset) or UNKNOWN, []).append(dataset)
    sums = {name: sum(examples[dataset] for dataset in datasets) for name, datasets in by_licence.items()}
    return [
        (name, "; ".join(conditions(name)), f"{len(by_licence[name]):,}", f"{sums[name]:,}")
        for name in sorted(sums, key=lambda name: (-sums[name], name))
    ]


def licence_summary(examples: Mapping[str, int], licences: Mapping[str, str]) -> str:
    """Describe in a sentence what all licences together ask, and of which datasets nobody knows.

    >>> licence_summary({"a": 3, "b": 2}, {"a": "CC-BY-NC-4.0"})
    'Together they require: no commercial use (a). The licence of b is not stated: look it up before you publish.'
    """
    found: dict[str, list[str]] = {}
    for dataset in examples:
        for name in conditions(licences.get(dataset, "")):
            found.setdefault(name, []).append(dataset)
    asked = "; ".join(f"{name} ({', '.join(datasets)})" for name, datasets in found.items())
    unknown = [dataset for dataset in examples if not licences.get(dataset)]
    sentences = [
        f"Together they require: {asked}." if asked else "None of their names states a condition beyond attribution.",
        f"The licence of {', '.join(unknown)} is not stated: look it up before you publish." if unknown else "",
    ]
    return " ".join(filter(None, sentences))
