"""``xmtf template export``, ``import`` and ``status``: translations out to people who review them, and back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.cli.template.places import check_out, template_file
from xmtf.cli.terminal.options import Offline, PrintJson, Replace
from xmtf.cli.terminal.printing import print_columns, print_json
from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.execution import say, warn
from xmtf.files import atomic_path
from xmtf.languages.codes import normalize_language
from xmtf.tasks import load_catalogue
from xmtf.tasks.prompting.show import preview_row
from xmtf.templates import open_collection
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.languages.translated import STATES
from xmtf.translation.exchange import Format, format_of, read_rows, write_rows
from xmtf.translation.exchange.review import import_rows
from xmtf.translation.exchange.rows import rows_of

if TYPE_CHECKING:
    from xmtf.templates import Template
    from xmtf.translation.exchange import Row

PlaceArgument = Annotated[str, typer.Argument(metavar="TASK|FILE", help="Task id, key of our collections, or a file.")]


def export(
    place: PlaceArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv, .po or .xliff.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="File format; default: by the file's extension.")
    ] = None,
    languages: Annotated[
        str, typer.Option("--language", help="Languages, including new ones; default: those of the translations.")
    ] = "",
    source: Annotated[str, typer.Option("--from", help="Language of the originals.")] = "en",
    task: Annotated[str | None, typer.Option("--task", help="Task whose first row is rendered as context.")] = None,
    offline: Offline = False,
    replace: Replace = False,
    as_json: PrintJson = False,
) -> None:
    """Export translations for people to review.

    A language without translations is exported empty, for translation by hand.

    Example: xmtf template export mine/xnli/templates.yaml --language fr --out fr.po
    Example: xmtf template export mine/xnli/templates.yaml --format csv --out review.csv
    """
    form = form or format_of(out)
    if form is None:
        raise ConfigError(f"--out {out}: give --format xliff, po or csv")
    check_out(out, "--out", replace)
    path, _ = template_file(place, Path())
    templates = read_promptsource(path).templates
    there = sorted({each.language for each in templates if each.translated is not None})
    codes = [normalize_language(code.strip(), "--language") for code in languages.split(",") if code.strip()] or there
    if not codes:
        raise ConfigError(f"{path}: has no translations with a state; give a language with --language to start one")
    if form != "csv" and len(codes) > 1:
        raise ConfigError(f"--format {form} holds one language; give one of {', '.join(codes)} with --language")
    rows = rows_of(templates, normalize_language(source), codes, _contexts(place, task, templates, offline))
    if not rows:
        raise ConfigError(f"{path}: has no template in {source!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        temporary.write_bytes(write_rows(rows, form, normalize_language(source), path.parent.name))
    counts = _per_language(codes, rows)
    if as_json:
        named = [dict(zip(("language", "texts", "translated"), each, strict=True)) for each in counts]
        print_json({"file": str(out), "languages": named})
        return
    print_columns([("language", "texts", "translated"), *((code, str(all_), str(done)) for code, all_, done in counts)])
    say(f"written: {out}")


def _per_language(codes: list[str], rows: list[Row]) -> list[tuple[str, int, int]]:
    found = []
    for code in codes:
        some = [row for row in rows if row.language == code]
        found.append((code, len(some), sum(bool(row.target) for row in some)))
    return found


def _contexts(place: str, task: str | None, templates: tuple[Template, ...], offline: bool) -> dict[str, str]:
    """Return name of a template -> its first row rendered, where a task is named and its rows are there."""
    tasks = load_catalogue(None).tasks
    name = task or place
    if name not in tasks:
        if task is not None:
            raise UnknownNameError("task", task, tasks)
        return {}
    try:
        shown = preview_row(tasks[name], templates, offline=offline)
    except SourceError as error:
        warn(f"  no rendered rows added as context: {error}")
        return {}
    return {each.template: f"{each.inputs} => {', '.join(each.targets)}" for each in shown if each.inputs is not None}


def import_(
    source: Annotated[Path, typer.Argument(metavar="EXPORTED", help="Exported file, as edited by people.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The template file.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="File format; default: by the file's extension.")
    ] = None,
    reviewer: Annotated[str, typer.Option("--reviewer", help="Name of the reviewer, stored in the metadata.")] = "",
    as_json: PrintJson = False,
) -> None:
    """Import reviewed translations.

    Broken placeholders are reported by line, and then nothing is imported. A translation becomes reviewed if the file
    marks all of its texts so; unchanged entries keep their bytes.

    Example: xmtf template import fr.po mine/xnli/templates.yaml --reviewer 'A. Reader'
    """
    form = form or format_of(source)
    if form is None:
        raise ConfigError(f"{source}: give --format xliff, po or csv")
    for each in (source, path):
        if not each.is_file():
            raise ConfigError(f"{each}: no such file")
    rows = read_rows(source, form)
    done = import_rows(path, rows, source, reviewer.strip(), datetime.now(UTC).date().isoformat())
    if as_json:
        print_json({"file": str(path), "counts": dict(sorted(done.counts.items()))})
        return
    counts = ", ".join(f"{what}: {number}" for what, number in sorted(done.counts.items()))
    say(f"{path}: {counts or 'nothing to import'}")


def status(
    places: Annotated[list[str] | None, typer.Argument(help="Tasks, keys or files; default: all of ours.")] = None,
    as_json: PrintJson = False,
) -> None:
    """Count translations by dataset, language and state.

    Example: xmtf template status mine/xnli/templates.yaml
    """
    collection = open_collection()
    files = (
        [(place, template_file(place, Path())[0]) for place in places]
        if places
        else [(key, path) for key in collection.keys() if (path := collection.path(key)) is not None]  # noqa: SIM118
    )
    counts: dict[tuple[str, str], Counter[str]] = {}
    for name, path in files:
        for each in read_promptsource(path).templates:
            if each.translated is not None:
                counts.setdefault((name, each.language), Counter())[each.translated.state] += 1
    if as_json:
        for (dataset, language), found in sorted(counts.items()):
            states: dict[str, int] = {state: found[state] for state in STATES}
            print_json({"dataset": dataset, "language": language, **states})
        return
    if not counts:
        say("no translation with a state")
        return
    total: Counter[str] = sum(counts.values(), Counter())
    rows = [(*key, *(str(found[state] or "") for state in STATES)) for key, found in sorted(counts.items())]
    rows.append(("all", str(len({language for _, language in counts})), *(str(total[state]) for state in STATES)))
    print_columns([("dataset", "language", *STATES), *rows])
