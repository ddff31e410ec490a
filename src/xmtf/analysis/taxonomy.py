"""What a mixture trains on and what it leaves for evaluation: task clusters, datasets, languages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xmtf.evaluation.suites.setup import SuiteSlice
from xmtf.languages.codes import CODE, get_language
from xmtf.mixture.describe.composition import read_composition, totals

__all__ = ["language_counts", "taxonomy"]


def taxonomy(folder: Path | None, evaluated: Iterable[SuiteSlice] = ()) -> list[dict[str, Any]]:
    """Return one record for each dataset of each cluster: trained on, evaluated, or both.

    Args:
        folder: Folder of the mixture, or None.
        evaluated: What suites ask about.

    Returns:
        ``cluster, dataset, role (train, evaluation or both), languages, templates, examples, share``, clusters by
        size, datasets of a cluster likewise; datasets that are only evaluated have no examples.
    """
    counts = read_composition(folder) if folder is not None else []
    total = sum(count.examples for count in counts) or 1
    languages, templates = defaultdict[tuple[str, str], set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    for count in counts:
        trained_on = count.provenance
        languages[trained_on.cluster, trained_on.dataset].add(trained_on.language)
        templates[trained_on.cluster, trained_on.dataset].add(trained_on.template)
    asked = set()
    for part in evaluated:
        key = part.slice.task.cluster, part.slice.task.dataset
        asked.add(key)
        languages[key].add(part.slice.task.language)
        templates[key].update(template.name for template in part.slice.templates)
    trained = {key: sizes[0] for key, sizes in totals(counts, ("cluster", "dataset")).items()}
    of_cluster = {key[0]: sizes[0] for key, sizes in totals(counts, ("cluster",)).items()}
    keys = sorted(
        {*((cluster, dataset) for cluster, dataset in trained), *asked},
        key=lambda key: (-of_cluster.get(key[0], 0), key[0], -trained.get(key, 0), key[1]),
    )
    return [
        {
            "cluster": key[0],
            "dataset": key[1],
            "role": "both" if key in trained and key in asked else "train" if key in trained else "evaluation",
            "languages": len(languages[key]),
            "templates": len(templates[key]),
            "examples": trained.get(key, 0),
            "share": round(trained.get(key, 0) / total, 6),
        }
        for key in keys
    ]


def language_counts(folder: Path) -> list[dict[str, Any]]:
    """Return ``language, name, examples, share, characters`` of a mixture's languages, largest first.

    Args:
        folder: Folder of the mixture.
    """
    counts = totals(read_composition(folder), ("language",))
    total = sum(examples for examples, _, _ in counts.values()) or 1
    return [
        {
            "language": code,
            "name": "program text" if code == CODE else get_language(code).name,
            "examples": examples,
            "share": round(examples / total, 6),
            "characters": inputs + targets,
        }
        for (code,), (examples, inputs, targets) in counts.items()
    ]
