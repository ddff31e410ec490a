"""Names of the released files: what the builders of xP3, xP3x and P3 called a dataset, its configuration and a file.

The task id has the original's names, ``xp3:<dataset>/<configuration>``, whatever the hub calls the dataset today::

    xp3:super_glue/record    aps/super_glue      en/xp3_super_glue_record_train_<template>.jsonl
    xp3x:mlqa/mlqa.ar.hi     facebook/mlqa       arb_Arab/xp3_mlqa_mlqa.ar.hi_test_<template>.jsonl
    p3:xsum                  EdinburghNLP/xsum   p3_xsum_<template>_train.jsonl
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from xmtf.errors import ConfigError
from xmtf.languages.codes import get_language

__all__ = ["ReleasedName", "released_name"]

_SETS = ("p3", "xp3", "xp3-lost", "xp3mt", "xp3x")
_INVERTED = "-inverted"


@dataclass(frozen=True, slots=True)
class ReleasedName:
    """What the original calls the examples of one task, split and template.

    Attributes:
        language: Folder of the language.
        dataset: Name of the dataset.
        config: Name of the configuration, or ``""``.
        path: File, relative to the folder of the release.
    """

    language: str
    dataset: str
    config: str
    path: str


def released_name(row: Mapping[str, str]) -> ReleasedName:
    """Return the released names of an example from its columns.

    >>> row = {"language": "ar", "subset": "mlqa.ar.hi", "split": "test", "template": "xp3long answer"}
    >>> released_name({"task": "xp3x:mlqa/mlqa.ar.hi", **row}).path
    'arb_Arab/xp3_mlqa_mlqa.ar.hi_test_xp3long_answer.jsonl'
    >>> released_name({"task": "xp3:mlqa/mlqa.ar.hi", **row}).path
    'ar/xp3_mlqa_mlqa.ar.hi_test_xp3long_answer.jsonl'

    Raises:
        ConfigError: The task is not of the xP3 family, or stands for several configurations.
    """
    name, found, rest = row["task"].partition(":")
    if not found or name not in _SETS:
        raise ConfigError(
            f"task {row['task']}: it is in none of the released sets ({', '.join(_SETS)}), so it has no released "
            f"name; exclude it with a filter such as task='xp3*', or omit --names"
        )
    is_inverted = rest.endswith(_INVERTED)
    config = row["subset"]
    dataset = rest.removesuffix(_INVERTED)
    if "*" in config:
        raise ConfigError(
            f"task {row['task']}: combines several configurations of {row['dataset']}, whose released files have "
            f"separate names; exclude it with a filter, or omit --names"
        )
    dataset = dataset.removesuffix(f"/{config}")
    template, split = row["template"], row["split"]
    if name == "p3":
        parts = (dataset, config, template) if config else (dataset, template)
        return ReleasedName("en", dataset, config, f"p3_{_p3_name('_'.join(parts))}_{split}.jsonl")
    language = row["language"]
    if name == "xp3x":
        config += _INVERTED if is_inverted else ""
        language = get_language(language).xp3x or language
    file = f"xp3_{dataset}_{config or None}_{split}_{template}.jsonl".replace("/", "_").replace(" ", "_")
    return ReleasedName(language, dataset, config, f"{language}/{file.replace('-', '_') if name == 'xp3x' else file}")


def _p3_name(text: str) -> str:
    return re.sub(r"[^\w.]+", "_", text)
