"""How ``xmtf data`` prints plans, counts and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from xmtf.artefacts.manifest_parts import MixtureCounts, MixtureDetails, TokenCounts, TokenDetails
from xmtf.cli.terminal.printing import cell_text, print_json, print_records, print_text
from xmtf.json_types import JsonObject
from xmtf.mixture.describe.stats import rate_table
from xmtf.sources.terms import NOT_STATED, ON_REQUEST
from xmtf.text.table import visible

if TYPE_CHECKING:
    from xmtf.files import Manifest

__all__ = ["print_built", "print_example", "print_packed", "print_plan"]

_MOST_RATES = 60
"""Tasks whose rates are printed."""


def print_plan(records: Sequence[JsonObject]) -> None:
    """Print the number of tasks, splits and template runs of a plan, by cluster and by language."""
    for column in ("cluster", "language"):
        groups: dict[str, list[JsonObject]] = {}
        for record in records:
            groups.setdefault(record[column], []).append(record)
        rows = [{column: name} | _sizes(group) for name, group in groups.items()]
        print_records(sorted(rows, key=lambda row: (-row["splits"], row[column])))
        print_text()
    print_records(
        [
            {"licence": name, "datasets": len(datasets), "for example": ", ".join(sorted(datasets)[:3])}
            for name, datasets in _by_licence(records).items()
        ]
    )
    print_text()
    if gated := sorted({record["dataset"] for record in records if record["gated"]}):
        print_text(f"access {ON_REQUEST}: {', '.join(gated)}\n")
    sizes = ", ".join(f"{cell_text(name, count)} {name}" for name, count in _sizes(records).items())
    print_text(f"{sizes}, {len({record['language'] for record in records}):,} languages")


def _by_licence(records: Sequence[JsonObject]) -> dict[str, set[str]]:
    """Return licence -> datasets, that of most datasets first."""
    found: dict[str, set[str]] = {}
    for record in records:
        found.setdefault(record["licence"] or NOT_STATED, set()).add(record["dataset"])
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _sizes(records: Sequence[JsonObject]) -> JsonObject:
    templates = [record["num_templates"] for record in records]
    return {
        "tasks": len({record["task"] for record in records}),
        "splits": len(records),
        "splits x templates": "-" if None in templates else sum(templates),
    }


def print_built(manifest: Manifest, folder: Path, *, as_json: bool) -> None:
    """Print the counts of a built mixture by cluster and language, its rates, and why rows were dropped."""
    from xmtf.tasks import DropReport

    if as_json:
        print_json({"folder": str(folder), "fingerprint": manifest.fingerprint} | manifest.counts)
        return
    counts, details = MixtureCounts.of(manifest, folder), MixtureDetails.of(manifest, folder)
    for column, examples_of in (("cluster", counts.clusters), ("language", counts.languages)):
        print_records(
            [
                {column: name, "examples": examples, "share": examples / counts.out}
                for name, examples in examples_of.items()
            ]
        )
        print_text()
    rates = manifest.recipe["mixture"]["rates"]
    if rates["policy"] != "all" or "languages" in rates:
        _print_rates(folder)
    _print_dropped(counts.dropped)
    for line in DropReport.of(details).lines(counts.dropped):
        print_text(line)
    print_text(f"{folder}: {counts.out:,} of {counts.rendered:,} examples, in {manifest.wall_time_s:.1f} s")


def print_packed(manifest: Manifest, folder: Path, *, as_json: bool) -> None:
    """Print what token files hold by language, and what was dropped."""
    if as_json:
        print_json({"folder": str(folder)} | manifest.counts)
        return
    counts, details = TokenCounts.of(manifest, folder), TokenDetails.of(manifest, folder)
    print_records(
        [
            {
                "language": language,
                "examples": held.out,
                "input tokens": held.input_tokens,
                "target tokens": held.target_tokens,
                "bytes per token": held.bytes / max(1, held.tokens),
            }
            for language, held in details.languages.items()
        ]
    )
    print_text()
    _print_dropped(counts.dropped)
    print_text(
        f"{folder}: {counts.out:,} of {counts.examples:,} examples, {counts.tokens:,} tokens with a vocabulary of "
        f"{details.vocab_size:,}, in {manifest.wall_time_s:.1f} s"
    )


def _print_dropped(dropped: Mapping[str, int]) -> None:
    records = [{"dropped": reason, "examples": examples} for reason, examples in dropped.items() if examples]
    if records:
        print_records(sorted(records, key=lambda record: -int(record["examples"])))
        print_text()


def _print_rates(folder: Path) -> None:
    records = rate_table(folder)
    print_records(records[:_MOST_RATES])
    if len(records) > _MOST_RATES:
        print_text(f"... and {len(records) - _MOST_RATES:,} smaller tasks: xmtf data stats {folder} --by task")
    print_text()


def print_example(row: JsonObject) -> None:
    """Print one example for reading."""
    subset = f"/{row['subset']}" if row["subset"] else ""
    head = visible(
        f"== {row['task']} ({row['cluster']}, {row['language']}); {row['dataset']}{subset} [{row['split']}] "
        f"row {row['row']}; template {row['template']!r} in {row['prompt_language']}"
    )
    typer.secho(head, bold=True)
    print_text(row["inputs"])
    print_text(f"-> {row['targets']}")
    if row["choices"]:
        print_text(f"   of: {' | '.join(row['choices'])}")
    print_text()
