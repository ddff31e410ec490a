"""What a page shows, gathered before it is written: figures, the parts of runs, and all the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmtf.artefacts.manifest_parts import MixtureCounts
from xmtf.report.collect import Run
from xmtf.report.comparison.compare import Comparison
from xmtf.report.comparison.results import Results
from xmtf.report.items import ItemSet
from xmtf.report.tables import Table
from xmtf.run_folder import LABELS, RunFolder

__all__ = ["Content", "Demonstration", "Plot", "RunPart"]

_TALL_POINTS = 700


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure on the page.

    Attributes:
        svg: The drawing, as an element.
        caption: What it shows.
        folded: Whether it is so tall that readers open it themselves.
    """

    svg: str
    caption: str
    folded: bool = False

    @classmethod
    def read(cls, path: Path, caption: str) -> Plot:
        """Read an SVG file; its ids are made unique, since several figures are on one page."""
        text = path.read_text(encoding="utf-8")
        text = text[text.index("<svg") :]
        prefix = f"{path.stem}-"
        text = re.sub(r'\bid="', f'id="{prefix}', text)
        text = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}', text)
        height = re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', text)
        tall = height is not None and float(height[1]) > _TALL_POINTS
        return cls(re.sub(r"url\(#", f"url(#{prefix}", text), caption, folded=tall)


@dataclass(frozen=True, slots=True)
class RunPart:
    """What the page tells of one run's training.

    Attributes:
        run: The run.
        tables: Its mixture.
        plots: Its mixture and its losses.
    """

    run: Run
    tables: Sequence[Table]
    plots: Sequence[Plot]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.name

    @property
    def recipe(self) -> str:
        """The resolved recipe as text."""
        return RunFolder(self.run.folder).recipe.read_text(encoding="utf-8")

    @property
    def dropped(self) -> list[tuple[str, int]]:
        """Examples left out of the mixture, by reason, most first."""
        if self.run.mixture is None:
            return []
        dropped = MixtureCounts.of(self.run.mixture, RunFolder(self.run.folder).mixture).dropped
        return sorted(((name.replace("_", " "), count) for name, count in dropped.items()), key=lambda pair: -pair[1])


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a small model of our own did, shown in place of what was not published.

    Attributes:
        note: Whose it is.
        plots: Its programs, mixture and losses.
        texts: Rows of prompt, model and text.
    """

    note: str
    plots: Sequence[Plot]
    texts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a page shows.

    Attributes:
        title: Heading.
        description: A paragraph below it.
        results: What was measured.
        comparisons: Of whole suites.
        tables: Of the results, the first standing open.
        groups: Name of a table -> its comparisons and the column that they are grouped by.
        plots: Of the results.
        runs: One part a run.
        items: Single items.
        inline_items: Whether they are in the page or in files next to it.
        published: Tables in the form of the published work.
        published_plots: Its figures, with these results in them.
        demonstration: What stands in for texts and logs that were not published, if anything does.
    """

    title: str
    description: str
    results: Results
    comparisons: Sequence[Comparison]
    tables: Sequence[Table]
    groups: Mapping[str, tuple[str, Sequence[Comparison]]]
    plots: Sequence[Plot] = ()
    runs: Sequence[RunPart] = ()
    items: Sequence[ItemSet] = field(default_factory=tuple)
    inline_items: bool = True
    published: Sequence[Table] = ()
    published_plots: Sequence[Plot] = ()
    demonstration: Demonstration | None = None

    @property
    def is_run(self) -> bool:
        """Whether the page is that of one run, before and after training."""
        return len(self.runs) == 1 and set(self.results.scores) <= set(LABELS)
