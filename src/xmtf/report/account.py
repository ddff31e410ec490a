"""A written account of runs: what was run, what rose on each axis and what did not, with intervals and p values.

Every number comes from the run folders; only the notes (command, machine) are the author's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.files import write_text
from xmtf.json_types import JsonObject
from xmtf.records import in_percent
from xmtf.report.cards.facts import data_text, training_text
from xmtf.report.collect import Run, collect_run
from xmtf.report.comparison.compare import Comparison, compared, paired_counts, verdict
from xmtf.report.figures.drawing.style import save_figure
from xmtf.report.figures.own import CAPTIONS, result_figures, run_figures
from xmtf.report.tables import Table, render_table
from xmtf.results.estimates import Estimate
from xmtf.results.paired import Models, paired_test
from xmtf.run_folder import LABELS

__all__ = ["Finding", "account", "corrected", "findings", "write_account"]

LEVEL = 0.05
"""A corrected p value below it counts."""
POWER = 0.8
_NORMAL = 1.96 + 0.8416
"""Quantiles of the normal distribution for a two-sided test at 5 % and a power of 80 %."""
_NO_RESULT = ("seed", "name", "description", "run_folder", "report", "execution")
"""Sections and keys of a recipe that change no result, or, with the seed, are meant to differ."""
_FIGURES = ("suites", "measures", "loss")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a suite shows of the change from before to after training.

    Attributes:
        comparison: Values, intervals and change of the whole suite.
        p_value: Of the change, two-sided, rows as units.
        corrected: The same after Holm's correction for the number of measurements of the run.
    """

    comparison: Comparison
    p_value: float
    corrected: float

    @property
    def change(self) -> Estimate:
        """The paired change."""
        return self.comparison.change or Estimate(math.nan, -math.inf, math.inf)

    @property
    def detectable(self) -> float:
        """The smallest true change that these items show in four of five runs; 0-1, nan where it is not known."""
        return _NORMAL * (self.change.high - self.change.low) / (2 * 1.96)

    @property
    def outcome(self) -> str:
        """``rose``, ``fell`` or ``no measurable change``; a change in doubt says why."""
        if self.corrected >= LEVEL or not self.change.excludes_zero:
            return "no measurable change"
        word = "rose" if self.change.value > 0 else "fell"
        return f"{word} {self.comparison.doubt}".strip()


def write_account(runs: Sequence[Path], out: Path, notes: Sequence[str] = ()) -> list[Path]:
    """Write an account as Markdown, and its figures as SVG into a folder of the same name.

    Args:
        runs: Run folders: the run that is described, then the same recipe under other seeds.
        out: The Markdown file.
        notes: Lines that no file of a run holds, such as the command and the machine.

    Returns:
        The files written.

    Raises:
        SourceError: A folder is not a run, or a run was not measured before and after training.
    """
    collected = [collect_run(folder) for folder in runs]
    drawn = run_figures(collected[0]) | result_figures(collected[0].results)
    folder = out.with_suffix("")
    files = {
        name: save_figure(drawn[name], folder, f"{out.stem}-{name}", ("svg",))[0] for name in _FIGURES if name in drawn
    }
    links = {name: f"{folder.name}/{path.name}" for name, path in files.items()}
    write_text(out, account(collected, notes, links))
    return [out, *files.values()]


def account(runs: Sequence[Run], notes: Sequence[str], figures: dict[str, str]) -> str:
    """Return the account as Markdown.

    Args:
        runs: As of :func:`write_account`, collected.
        notes: As of :func:`write_account`.
        figures: Name of a figure -> where it lies, relative to the page.
    """
    run, found = runs[0], findings(runs[0])
    title = run.recipe["report"].get("title") or run.name
    names = " ".join(str(each.folder) for each in runs)
    sections = [
        f"# {title}",
        str(run.recipe.get("description") or "").strip(),
        f"Written by `xmtf report account {names}`: every figure below comes from files of "
        f"{'these runs' if len(runs) > 1 else 'this run'}.",
        "## Results",
        _outcomes(found),
        _figure(figures, "suites"),
        render_table(_results(run, found), "md"),
        "## What did not rise",
        _not_risen(found),
        _not_compared(run, found),
        *_by_language(run, found),
        *_while_training(run, figures),
        *_seeds(runs, found),
        "## What was run",
        "\n".join(f"- {note}" for note in notes),
        _costs(runs),
        training_text(run),
        "### Data",
        data_text(run),
    ]
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def findings(run: Run) -> list[Finding]:
    """Return what every suite of a run shows, under each of its metrics.

    Raises:
        SourceError: The run was not measured before and after training.
    """
    if tuple(run.results.scores) != LABELS:
        has = ", ".join(run.results.scores) or "nothing"
        raise SourceError(
            f"{run.folder}: an account needs results before and after training, and {has} is there; finish the run"
        )
    known = [one for one in compared(run.results) if one.change is not None]
    p_values = [_p_value(run, one) for one in known]
    pairs = zip(known, p_values, corrected(p_values), strict=True)
    return [Finding(one, p_value, holm) for one, p_value, holm in pairs]


def _p_value(run: Run, comparison: Comparison) -> float:
    measure = "correct" if comparison.metric == "accuracy" else comparison.metric
    return paired_test(Models(measure, *paired_counts(run.results, comparison))).p_value


def corrected(p_values: Sequence[float]) -> list[float]:
    """Return p values after Holm's correction (1979): the chance of one false claim among all of them.

    >>> [round(p, 4) for p in corrected([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    result, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        result[place] = highest
    return result


def _outcomes(found: Sequence[Finding]) -> str:
    """Return what rose, in words."""
    rose = [one for one in found if one.outcome == "rose"]
    lines = [f"{len(rose)} of {len(found)} measurements rose."]
    lines += [
        f"- **{one.comparison.suite}** (held out: {one.comparison.axis}): {_of(one, one.comparison.first)} to "
        f"{_of(one, one.comparison.last)}, {_points(one, one.change.value)} [{_points(one, one.change.low)}, "
        f"{_points(one, one.change.high)}], corrected p {_p(one.corrected)}."
        for one in rose
    ]
    return lines[0] + ("\n\n" + "\n".join(lines[1:]) if rose else "")


def _not_risen(found: Sequence[Finding]) -> str:
    rest = [one for one in found if one.outcome != "rose"]
    if not rest:
        return "Every measurement rose."
    return "\n".join(
        f"- **{one.comparison.suite}** (held out: {one.comparison.axis}): {one.outcome}. "
        f"{_of(one, one.comparison.first)} to {_of(one, one.comparison.last)}, {_points(one, one.change.value)} "
        f"[{_points(one, one.change.low)}, {_points(one, one.change.high)}], corrected p {_p(one.corrected)}; a true "
        f"change of {_points(one, one.detectable, sign=False)} would be seen in four of five runs."
        for one in rest
    )


def _not_compared(run: Run, found: Sequence[Finding]) -> str:
    """Return the measurements that have no paired change, so that none is left out in silence."""
    known = {(one.comparison.suite, one.comparison.metric) for one in found}
    rest = [one for one in compared(run.results) if (one.suite, one.metric) not in known]
    return "\n".join(
        f"- **{one.suite}** ({one.metric}): not compared, as its single items are not in the results of both models, "
        "or were asked with other prompts."
        for one in rest
    )


def _results(run: Run, found: Sequence[Finding]) -> Table:
    rows = []
    for one in found:
        comparison = one.comparison
        calibrated = [comparison.beside[label].calibrated for label in LABELS]
        rows.append((
            comparison.suite, comparison.axis, comparison.metric, comparison.items_text,
            *(_share(one, value) for value in (comparison.chance, comparison.majority)),
            *(_interval(one, value) for value in (comparison.first, comparison.last)),
            f"{_points(one, one.change.value)} [{_points(one, one.change.low)}, {_points(one, one.change.high)}]",
            _p(one.p_value), _p(one.corrected), _points(one, one.detectable, sign=False),
            " → ".join("-" if value is None else _share(one, value.value) for value in calibrated),
            verdict(comparison),
        ))  # fmt: skip
    columns = (
        "suite", "held out", "metric", "items", "chance", "majority", *LABELS, "change", "p", "p, corrected",
        "detectable", "calibrated", "in words",
    )  # fmt: skip
    notes = (
        f"Shares are percent, changes are points. Brackets are 95 % intervals with rows of the data as units: prompts "
        f"of one row are not independent. p is two-sided, of exchanging the two models' answers row by row; it is "
        f"corrected (Holm) for {len(found)} measurements. `detectable` is the true change that these items show in "
        f"{POWER:.0%} of runs at p < {LEVEL:g}, uncorrected. `calibrated` subtracts what each choice gets on average.",
    )
    numeric = tuple(name not in ("suite", "held out", "metric", "in words") for name in columns)
    return Table("results", "", columns, tuple(rows), numeric, notes)


def _by_language(run: Run, found: Sequence[Finding]) -> list[str]:
    """Return a table of the languages of every suite that holds languages out."""
    suites = {one.comparison.suite for one in found if one.comparison.axis == "languages"}
    rows = [
        (one.suite, one.group, one.items_text, *(_value(value) for value in (one.first, one.last, one.change)))
        for one in compared(run.results, "language")
        if one.suite in suites and one.metric == "accuracy"
    ]
    if not rows:
        return []
    columns = ("suite", "language", "items", *LABELS, "change")
    notes = ("Single languages are not corrected for their number: read them together.",)
    table = Table("languages", "", columns, tuple(rows), (False, False, True, True, True, True), notes)
    return ["## Held-out languages, one by one", render_table(table, "md")]


def _while_training(run: Run, figures: dict[str, str]) -> list[str]:
    """Return the learning curve: the same items at every step that was measured."""
    points: dict[int, dict[str, float]] = defaultdict(dict)
    for event in run.log:
        if event["event"] == "measure":
            points[event["step"]][event["group"]] = event["value"]
    if not points:
        return []
    groups = list(dict.fromkeys(group for values in points.values() for group in values))
    rows = [
        (f"{step:,}", *(f"{100 * values[group]:.1f}" if group in values else "-" for group in groups))
        for step, values in sorted(points.items())
    ]
    table = Table("curve", "", ("step", *groups), tuple(rows), (True,) * (len(groups) + 1))
    text = "Some rows of these suites, the same at every step: mean over tasks of the median over templates, percent."
    shown = [_figure(figures, name) for name in ("measures", "loss")]
    return ["## During training", text, *shown, render_table(table, "md")]


def _seeds(runs: Sequence[Run], found: Sequence[Finding]) -> list[str]:
    """Return the changes of all runs next to each other."""
    if len(runs) == 1:
        return []
    others = [{(one.comparison.suite, one.comparison.metric): one for one in findings(run)} for run in runs[1:]]
    rows = []
    for one in found:
        key = (one.comparison.suite, one.comparison.metric)
        each = [one, *(other.get(key) for other in others)]
        rows.append((*key, *("-" if seed is None else _seed_cell(seed) for seed in each)))
    columns = ("suite", "metric", *(f"seed {run.recipe['seed']}" for run in runs))
    table = Table("seeds", "", columns, tuple(rows), (False, False, *(True for _ in runs)))
    lines = [line for run in runs[1:] if (line := _other_keys(runs[0], run))]
    about = " ".join(["The change of each run, and its corrected p value.", *lines])
    return ["## Other seeds", about, render_table(table, "md")]


def _other_keys(run: Run, other: Run) -> str:
    """Return a sentence that names the keys in which another run's recipe differs, besides the seed; or ``""``."""
    mine, theirs = (dict(_flat(each.recipe)) for each in (run, other))
    keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    told = [key for key in keys if key.partition(".")[0] not in _NO_RESULT]
    return f"{other.folder} has another recipe than {run.folder}: {', '.join(told)}." if told else ""


def _flat(section: JsonObject, path: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _seed_cell(one: Finding) -> str:
    change = one.change
    low, high = _points(one, change.low), _points(one, change.high)
    return f"{_points(one, change.value)} [{low}, {high}], p {_p(one.corrected)}"


def _costs(runs: Sequence[Run]) -> str:
    """Return how long the stages of each run took, all starts together."""
    lines = []
    for run in runs:
        seconds: dict[str, float] = defaultdict(float)
        cpu: dict[str, float] = defaultdict(float)
        for event in run.log:
            if event["event"] == "stage":
                seconds[event["stage"]] += event["seconds"]
                cpu[event["stage"]] += event.get("cpu_seconds", math.nan)
        told = ", ".join(
            f"{stage} {_hours(took)}" + ("" if math.isnan(cpu[stage]) else f" ({_hours(cpu[stage])} of processor time)")
            for stage, took in seconds.items()
            if took >= 1  # less takes a stage that is found finished
        )
        if told:
            lines.append(f"- time of {run.folder.name}: {told}")
    return "\n".join(lines)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds / 60:.1f} min"


def _figure(figures: dict[str, str], name: str) -> str:
    return f"![{CAPTIONS[name]}]({figures[name]})" if name in figures else ""


def _scale(one: Finding) -> float:
    return 100.0 if in_percent(one.comparison.metric) else 1.0


def _points(one: Finding, value: float, *, sign: bool = True) -> str:
    return f"{_scale(one) * value:{'+' if sign else ''}.1f}"


def _share(one: Finding, value: float | None) -> str:
    return "-" if value is None else f"{_scale(one) * value:.1f}"


def _of(one: Finding, value: Estimate | None) -> str:
    return "-" if value is None else _share(one, value.value) + (" %" if _scale(one) == 100.0 else "")


def _interval(one: Finding, value: Estimate | None) -> str:
    if value is None:
        return "-"
    return f"{_share(one, value.value)} [{_share(one, value.low)}, {_share(one, value.high)}]"


def _value(value: Estimate | None) -> str:
    return "-" if value is None else f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
