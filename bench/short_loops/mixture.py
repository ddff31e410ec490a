"""The strongest short loops for a mixture that we know: Jinja compiled once for each template, rows in batches.

No deduplication, no filter but for empty texts, no held-out guard, no provenance, no manifest: prompts, and nothing
else. ``bench/mixture.py`` measures them beside ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.parquet as pq

Row = dict[str, Any]
Pair = tuple[str, str]


def compiled(jinja: str, choices: str) -> Callable[[Row], Pair]:
    """Return what renders a row; two empty texts where a row has no target, or cannot be rendered."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(jinja)
    options = [choice.strip() for choice in choices.split("|||")]

    def render(row: Row) -> Pair:
        try:
            inputs, bar, targets = template.render(**row, answer_choices=options).partition("|||")
        except jinja2.UndefinedError:
            return "", ""
        return (inputs.strip(), targets.strip()) if bar else ("", "")

    return render


def write(path: Path, pairs: Iterable[Pair]) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for inputs, targets in pairs:
            if inputs and targets:
                file.write(json.dumps({"inputs": inputs, "targets": targets}, ensure_ascii=False) + "\n")
                written += 1
    return written


def bare_loop(data: Path, out: Path, templates: Iterable[str], choices: str) -> int:
    """Render every row with every template in a loop; return the examples written."""
    rows = pq.read_table(data).to_pylist()
    written = 0
    for number, jinja in enumerate(templates):
        written += write(out / f"{number}.jsonl", map(compiled(jinja, choices), rows))
    return written


def batched_map(data: Path, out: Path, templates: Iterable[str], choices: str) -> int:
    """Do it with ``datasets.map`` in batches, filter and ``to_json``; return the examples written."""
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_parquet(str(data), cache_dir=str(out / "cache"), keep_in_memory=True)
    written = 0
    for number, jinja in enumerate(templates):
        render = compiled(jinja, choices)

        def batch(columns: dict[str, list[Any]], render: Callable[[Row], Pair] = render) -> dict[str, list[str]]:
            found = [render(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
            kept = [pair for pair in found if all(pair)]
            return {"inputs": [inputs for inputs, _ in kept], "targets": [targets for _, targets in kept]}

        result = rows.map(batch, batched=True, remove_columns=rows.column_names, load_from_cache_file=False)
        result.to_json(out / f"{number}.jsonl", lines=True, force_ascii=False)
        written += len(result)
    return written
