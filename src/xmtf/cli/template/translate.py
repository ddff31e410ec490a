"""``xmtf template translate``: prompts in other languages, by an engine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.cli.template.places import check_out, template_file
from xmtf.cli.terminal.options import Offline, PrintJson, Replace
from xmtf.cli.terminal.printing import print_columns, print_json
from xmtf.errors import ConfigError, SourceError
from xmtf.execution import say, warn
from xmtf.files import write_text
from xmtf.languages.codes import normalize_language
from xmtf.sources import read_source
from xmtf.tasks import load_catalogue
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.translation.engines import open_engine
from xmtf.translation.file import measure, translate_file
from xmtf.translation.glossary import NO_GLOSSARY, read_glossary
from xmtf.translation.memory import Memory
from xmtf.translation.report import ROWS, report_language, write_report
from xmtf.translation.work import Work

if TYPE_CHECKING:
    from xmtf.translation.file import Done


def translate(
    place: Annotated[str, typer.Argument(metavar="TASK|FILE", help="Task id, key of our collections, or a file.")],
    to: Annotated[str, typer.Option("--to", help="Languages to translate into, such as fr,ar,sw.")],
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="Engine: apertium, command:..., openai:MODEL and others; see docs/translation.md."
        ),
    ],
    source: Annotated[str, typer.Option("--from", help="Language of the originals.")] = "en",
    out: Annotated[
        Path | None, typer.Option("--out", help="Collection folder to write into; default: the file itself.")
    ] = None,
    glossary: Annotated[
        Path | None, typer.Option("--glossary", help="YAML: language -> term: translation; see docs/translation.md.")
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(
            "--memory", help="Translation memory; default: translation-memory.jsonl in --out, or next to the file."
        ),
    ] = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="In right-to-left languages, wrap values in Unicode isolates.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; print how much would be sent.")] = False,
    price: Annotated[
        float | None,
        typer.Option("--price", min=0, metavar="AMOUNT", help="Price per million characters, for --dry-run."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write checks of all translations, with figures, to this Markdown file."),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="For the report: translate back with the same engine and measure chrF++.")
    ] = False,
    task: Annotated[
        str | None, typer.Option("--task", help="For the report: task whose rows are rendered in both languages.")
    ] = None,
    offline: Offline = False,
    replace: Replace = False,
    as_json: PrintJson = False,
) -> None:
    """Translate templates with an engine.

    Translations that fail a check are left to a person.

    Translations are stored next to their originals, with a state. A second run sends nothing.

    Example: xmtf template translate xnli --to es,ca --engine apertium --out mine
    Example: xmtf template translate mine/templates.yaml --to fr --engine apertium --dry-run --price 20
    """
    path, target = template_file(place, out)
    check_out(report, "--report", replace)
    languages = list(dict.fromkeys(normalize_language(code.strip(), "--to") for code in to.split(",") if code.strip()))
    source = normalize_language(source, "--from")
    if not languages or source in languages:
        raise ConfigError(f"--to {to}: give languages other than the originals' ({source})")
    known = Memory(memory or (out or target.parent) / "translation-memory.jsonl")
    opened = open_engine(engine)
    works = [
        Work(opened, source, code, known, read_glossary(glossary, code) if glossary else NO_GLOSSARY, place)
        for code in languages
    ]
    if dry_run:
        _print_volumes(target if target.exists() else path, source, works, price, as_json)
        return
    done = translate_file(path, target, source, works, datetime.now(UTC).date().isoformat(), isolates=isolate)
    _print_done(done, languages, as_json)
    if report is not None:
        backs = [Work(opened, each.target, source, known) if back else None for each in works]
        _write_report(report, target, works, backs, task or place, offline)


def _write_report(
    out: Path, path: Path, works: list[Work], backs: list[Work | None], place: str, offline: bool
) -> None:
    templates = read_promptsource(path).templates
    reports = [
        report_language(templates, work.target, str(path), back, work.glossary)
        for work, back in zip(works, backs, strict=True)
    ]
    found = load_catalogue(None).tasks.get(place)
    table, where = None, {}
    if found is not None:
        split = next(name for splits in found.splits.values() for name in splits)
        where = {"dataset": found.dataset, "subset": found.subset, "split": split}
        try:
            table = read_source(found.source(split), offline=offline).table.slice(0, ROWS)
        except SourceError as error:
            warn(f"  no rows rendered side by side: {error}")
    write_text(out, write_report(reports, str(path), table, where))
    say(f"report: {out}")


def _print_volumes(path: Path, source: str, works: list[Work], price: float | None, as_json: bool) -> None:
    volumes = [measure(path, source, work) for work in works]
    if as_json:
        for each in volumes:
            actions = {action: each.actions[action] for action in ("new", "again", "fuzzy", "kept")}
            print_json({"language": each.language, **actions, "texts": each.texts, "characters": each.characters})
        return
    rows = [
        (
            each.language,
            *(str(each.actions[action]) for action in ("new", "again", "fuzzy", "kept")),
            f"{each.texts:,}",
            f"{each.characters:,}",
        )
        for each in volumes
    ]
    print_columns([("language", "new", "again", "fuzzy", "kept", "texts", "characters"), *rows])
    total = sum(each.characters for each in volumes)
    cost = f", {total * price / 1e6:,.4f} at {price:g} per million" if price is not None else ""
    say(f"{total:,} characters would be sent{cost}; nothing was sent")


def _print_done(done: Done, languages: list[str], as_json: bool) -> None:
    for problem in done.problems:
        warn(f"  {problem}")
    rows = []
    for code in languages:
        states = done.states(code)
        written = sum(entry.language == code and entry.action != "kept" for entry in done.entries)
        if as_json:
            print_json({"file": str(done.path), "language": code, "written": written, "states": dict(states)})
        rows.append(
            (code, str(written), ", ".join(f"{state or 'no state'}: {n}" for state, n in sorted(states.items())))
        )
    if not as_json:
        print_columns([("language", "written", "now"), *rows])
    for entry in done.entries:
        told = entry.template.translated if entry.template is not None else None
        if entry.action in ("new", "again") and told is not None and told.state == "for_person":
            warn(f"  left to a person: {entry.template.name!r}: {told.comment}")  # type: ignore[union-attr]
    say(f"written: {done.path}")
