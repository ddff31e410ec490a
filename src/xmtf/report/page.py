"""The page of a run: one HTML file that works without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xmtf import __version__
from xmtf.report.collect import LABELS, Run
from xmtf.report.tables import Table

__all__ = ["render_page"]


def render_page(run: Run, title: str, tables: Sequence[Table], plots: Mapping[str, Path]) -> str:
    """Return the page as HTML.

    Args:
        run: A collected run.
        title: Heading of the page.
        tables: Tables of the run; ``results`` and ``mixture-by-cluster`` stand open, the others fold.
        plots: Name of each figure -> its SVG file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xmtf.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    by_name = {table.name: table for table in tables}
    inline = {name: _inline(path) for name, path in plots.items()}
    return environment.get_template("page.html.j2").render(
        title=title,
        description=run.recipe.get("description", ""),
        facts=_facts(run),
        results=by_name.get("results"),
        suites_plot=inline.get("suites"),
        composition=by_name.get("mixture-by-cluster"),
        composition_plot=inline.get("composition"),
        composition_open=len(set(run.composition["language"].to_pylist())) <= 60,
        dropped=_dropped(run),
        loss=inline.get("loss"),
        samples=_samples(run),
        details=[table for table in tables if table.name.startswith(("results-", "mixture-by-language"))],
        detail_plots=[(inline["languages"], "Accuracy by language")] if "languages" in inline else [],
        recipe=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        version=__version__,
    )


def _inline(path: Path) -> str:
    """Return an SVG file as an element; its ids are made unique, since several stand on one page."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    prefix = f"{path.stem}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}', text)
    return re.sub(r"url\(#", f"url(#{prefix}", text)


def _facts(run: Run) -> list[tuple[str, str]]:
    counts = run.composition
    facts = [
        (f"{sum(counts['rows'].to_pylist()):,}", "training examples"),
        (f"{len(set(counts['language'].to_pylist()))}", "languages"),
        (f"{len(set(counts['cluster'].to_pylist()))}", "task clusters"),
    ]
    if run.model is not None:
        parameters = run.model.counts.get("num_parameters")
        steps = run.model.counts.get("step")
        facts += [(_short(parameters), "parameters")] if parameters else []
        facts += [(f"{steps:,}", "training steps")] if steps else []
    seconds = sum({event["stage"]: event["seconds"] for event in run.log if event["event"] == "stage"}.values())
    return [*facts, (f"{seconds / 60:.1f} min", "last run, all stages")] if seconds else facts


def _short(number: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)


def _dropped(run: Run) -> list[tuple[str, int]]:
    dropped = run.mixture.counts.get("dropped", {}) if run.mixture is not None else {}
    return sorted(((reason.replace("_", " "), count) for reason, count in dropped.items()), key=lambda pair: -pair[1])


def _samples(run: Run) -> list[dict[str, Any]]:
    """Join the sample generations of all labels: one entry per prompt, one answer per label."""
    joined: dict[tuple[str, ...], dict[str, Any]] = {}
    for label in LABELS:
        for sample in run.results.samples.get(label, []):
            key = (sample["suite"], sample["task"], sample["template"], sample["prompt"])
            entry = joined.setdefault(key, {**sample, "answers": []})
            entry["answers"].append((label, sample["text"]))
    return list(joined.values())
