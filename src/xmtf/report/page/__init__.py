"""The page of a report: one HTML file that works without a network, opened from a folder or served.

Next to it may lie ``items/*.js``: single items of large results, which the page loads when they are asked for. A
content security policy lets nothing else run or load, whatever text the data hold.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from xmtf import __version__
from xmtf.artefacts.manifest_parts import TrainCounts
from xmtf.json_types import JsonObject
from xmtf.report.collect import Run
from xmtf.report.comparison.compare import Comparison
from xmtf.report.comparison.results import Results
from xmtf.report.comparison.summary import headline, strips
from xmtf.report.items import script_text
from xmtf.report.page.content import Content, Demonstration, Plot, RunPart
from xmtf.report.reference import evaluation_sets, published_models, reference_rows
from xmtf.report.tables import Table
from xmtf.run_folder import LABELS, RunFolder

__all__ = ["Content", "Demonstration", "Plot", "RunPart", "page_facts", "render_page"]

_NUM_COLOURS = 6
_MOST_COLUMNS = 12
"""Tables of more columns have their first one standing while the others are scrolled."""


def render_page(content: Content) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("xmtf.report", "page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    scripts = [_asset("page.js"), *_item_scripts(content)]
    labels = list(content.results.scores)
    return environment.get_template("page.html.j2").render(
        title=content.title,
        description=content.description,
        facts=page_facts(content),
        sections=_sections(content),
        is_run=content.is_run,
        headline=headline(content.comparisons),
        has_change=any(result.change is not None for result in content.comparisons),
        labels=labels,
        colour=lambda label: _colour(label, labels),
        trend=_trend,
        strips=strips(content.comparisons),
        results=content.tables[0] if content.tables else None,
        details=content.tables[1:],
        links={name: _links(*group) for name, group in content.groups.items()} if content.items else {},
        plots=content.plots,
        published=[_keyed(table) for table in content.published],
        most_columns=_MOST_COLUMNS,
        published_plots=content.published_plots,
        demonstration=content.demonstration,
        demonstration_samples=_texts(content.demonstration.texts) if content.demonstration else [],
        runs=content.runs,
        item_index=content.items,
        item_note=_item_note(content),
        samples=_samples(content.results),
        style=_asset("page.css"),
        scripts=scripts,
        script_sources=" ".join(["'self'", "file:", *map(_script_hash, scripts)]),
        version=__version__,
    )


def _keyed(table: Table) -> Table:
    """Join the columns that name a line of a wide table into one, which stays in sight."""
    keys = table.numeric.index(True) if True in table.numeric else 0
    if keys < 2 or len(table.columns) <= _MOST_COLUMNS:
        return table
    return replace(
        table,
        columns=(", ".join(table.columns[:keys]), *table.columns[keys:]),
        rows=tuple((" \u00b7 ".join(row[:keys]), *row[keys:]) for row in table.rows),
        numeric=table.numeric[keys - 1 :],
        bold=frozenset((line, column - keys + 1) for line, column in table.bold),
    )


def page_facts(content: Content) -> list[tuple[str, str]]:
    """Return the figures at the head of the page: how large it all is."""
    if content.is_run:
        return _run_facts(content.runs[0].run)
    if not content.results.scores:
        return _published_facts()
    scores = [score for members in content.results.scores.values() for score in members]
    facts = [
        (len(content.results.scores), "models"),
        (len({score.suite for score in scores}), "suites"),
        (len({score.provenance.language for score in scores}), "languages"),
        (len({(score.provenance.dataset, score.provenance.template) for score in scores}), "templates"),
        (sum(entry.total for entry in content.items), "items"),
    ]
    return [(f"{number:,}", name.removesuffix("s") if number == 1 else name) for number, name in facts]


def _published_facts() -> list[tuple[str, str]]:
    rows = [*reference_rows("results"), *reference_rows("prompts")]
    values = sum(bool(row.get(model)) for row in rows for model in published_models())
    return [
        (f"{len(published_models())}", "models"),
        (f"{len(evaluation_sets())}", "evaluation sets"),
        (f"{values:,}", "published values"),
    ]


def _run_facts(run: Run) -> list[tuple[str, str]]:
    counts = run.composition
    facts = [
        (f"{sum(counts['rows'].to_pylist()):,}", "training examples"),
        (f"{len(set(counts['language'].to_pylist()))}", "languages"),
        (f"{len(set(counts['cluster'].to_pylist()))}", "task clusters"),
    ]
    if run.model is not None:
        counts = TrainCounts.of(run.model, RunFolder(run.folder).model)
        facts += [(_short(counts.num_parameters), "parameters")] if counts.num_parameters else []
        facts += [(f"{counts.step:,}", "training steps")] if counts.step else []
    seconds = sum(event["seconds"] for event in run.log if event["event"] == "stage")
    return [*facts, (f"{seconds / 60:.1f} min", "all stages, resumed ones included")] if seconds else facts


def _short(number: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)


def _sections(content: Content) -> list[tuple[str, str]]:
    training = [(f"run-{place}", part.name) for place, part in enumerate(content.runs, 1)]
    if len(training) == 1:
        training = [("run-1", "Training")]
    sections = [
        ("results", "Results", content.comparisons),
        ("figures", "Figures", content.plots),
        ("published", "As published", content.published or content.published_plots),
        ("demonstration", "Demonstration", content.demonstration),
        ("items", "Items", content.items),
        ("samples", "Samples", any(content.results.samples.values())),
    ]
    return [*((name, title) for name, title, there in sections if there), *training]


def _colour(label: str, labels: Sequence[str]) -> str:
    """Return the style class of a model's colour."""
    if set(labels) <= set(LABELS):
        return f"c{label}"
    return f"c{labels.index(label) % _NUM_COLOURS}"


def _trend(reading: str) -> str:
    """Return the trend that a reading tells of; one with a reservation is none."""
    word = reading.partition(",")[0]
    return {"rises": "up", "falls": "down"}.get(word, "flat")


def _links(column: str, comparisons: Sequence[Comparison]) -> list[str]:
    """Return where the items of every comparison are: filters that the page's script reads."""
    return [
        "#items?"
        + urlencode({"suite": result.suite.removesuffix(" (chat)")} | ({column: result.group} if column else {}))
        for result in comparisons
    ]


def _item_note(content: Content) -> str:
    total, shown = (sum(getattr(entry, name) for entry in content.items) for name in ("total", "shown"))
    words = "Every evaluated item, with each model's answer."
    if shown < total:
        words = (
            f"{shown:,} of {total:,} items, sampled by rows of each dataset; the results folders contain all "
            "of them, and xmtf report build --items N shows more."
        )
    return words if content.inline_items else f"{words} They are read from the folder items next to this page."


def _item_scripts(content: Content) -> list[str]:
    if not content.items:
        return []
    index = [
        {
            "dataset": entry.dataset,
            "shown": entry.shown,
            "suites": entry.suites,
            "file": None if content.inline_items else entry.file_name,
        }
        for entry in content.items
    ]
    sets = [script_text(entry.dataset, entry.payload) for entry in content.items] if content.inline_items else []
    return [script_text("index", index), *sets]


def _samples(results: Results) -> list[JsonObject]:
    """Join the sample generations of all labels: one entry per prompt, one answer per label."""
    joined: dict[tuple[str, ...], JsonObject] = {}
    for label, samples in results.samples.items():
        for sample in samples:
            names = (sample.suite, sample.provenance.task, sample.provenance.template)
            entry = {"heading": " · ".join(names), "prompt": sample.prompt, "references": sample.references}
            joined.setdefault((*names, sample.prompt), entry | {"answers": []})["answers"].append((label, sample.text))
    return list(joined.values())


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
    """Join the answers of several models to each prompt, in the form of ``_samples``."""
    joined: dict[str, JsonObject] = {}
    for row in rows:
        entry = {"heading": "", "prompt": row["prompt"], "answers": [], "references": []}
        joined.setdefault(row["prompt"], entry)["answers"].append((row["model"], row["text"]))
    return list(joined.values())


def _asset(name: str) -> str:
    return resources.files("xmtf.report.page").joinpath(name).read_text(encoding="utf-8")


def _script_hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
