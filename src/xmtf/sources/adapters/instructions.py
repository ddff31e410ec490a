"""Prompts with instructions that a program can check (IFEval and its translations)."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from xmtf.sources.adapters.base import Adapted, column, keep, with_column
from xmtf.sources.reference import SourceRef

__all__ = ["ifeval"]


def ifeval(ref: SourceRef, table: pa.Table) -> Adapted:
    """Write what an answer is judged by as one JSON text in ``checks``.

    ``instruction_id_list`` names the instructions and ``kwargs`` has the arguments of each, null where one has no use
    for them; translations publish the list as JSON text as well.
    """
    prompts = column(ref, table, "prompt")
    names = [_listed(value) for value in column(ref, table, "instruction_id_list")]
    given = [_listed(value) for value in column(ref, table, "kwargs")]
    fits = [
        bool(prompt) and bool(name) and len(name) == len(arguments)
        for prompt, name, arguments in zip(prompts, names, given, strict=True)
    ]
    checks = [
        _checks(prompt, name, arguments) if fit else ""
        for prompt, name, arguments, fit in zip(prompts, names, given, fits, strict=True)
    ]
    return keep(with_column(table, "checks", checks), fits, "instructions without their arguments")


def _listed(value: object) -> list[object]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    return list(found) if isinstance(found, list) else []


def _checks(prompt: str, names: list[object], given: list[object]) -> str:
    arguments = [
        {name: value for name, value in each.items() if value is not None} if isinstance(each, Mapping) else {}
        for each in map(_decoded, given)
    ]
    return json.dumps(
        {"prompt": prompt, "checks": [[name, each] for name, each in zip(names, arguments, strict=True)]},
        ensure_ascii=False,
        sort_keys=True,
    )


def _decoded(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value
