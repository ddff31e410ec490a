"""Rows rendered as they will be trained on: under a template, a draft of one, or all templates of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xmtf.errors import SourceError, UnknownNameError
from xmtf.json_types import JsonObject
from xmtf.languages.codes import normalize_language
from xmtf.studio.interface.browsing import Draft, Fault, Rendering, Renderings, RenderRequest, TokenCounts
from xmtf.studio.process.jobs import to_bytes
from xmtf.studio.process.worker import WorkerError
from xmtf.studio.rows import split_of
from xmtf.studio.session import Session
from xmtf.studio.stored import Snapshot
from xmtf.templates import Template
from xmtf.tokens import Tokenizer

__all__ = ["drafted", "render"]


def drafted(snapshot: Snapshot, name: str | None, draft: Draft | None) -> Template:
    """Return the template that a request means: one of the file, one as it is being written, or a new one.

    Raises:
        TemplateError: The file has no such template.
    """
    there = snapshot.template(name) if name is not None else None
    if draft is None:
        if there is None:
            raise UnknownNameError("template", "", snapshot.ids, snapshot.key)
        return there
    begun = there or Template(name=draft.name or "new template", jinja="")
    language = draft.language or next(iter(draft.metadata.languages), "") or begun.language
    return replace(
        begun,
        name=draft.name or begun.name,
        jinja=draft.jinja,
        answer_choices=draft.answer_choices,
        language=normalize_language(language, "language"),
        metrics=tuple(draft.metadata.metrics),
        original_task=draft.metadata.original_task,
        choices_in_prompt=draft.metadata.choices_in_prompt,
    )


def render(session: Session, request: RenderRequest) -> Renderings:
    """Render rows; what is wrong with the source is the answer's ``error``."""
    served = session.place.served(request.key)
    snapshot = session.stored.now(served)
    task = served.task(request.task)
    if task is None:
        raise SourceError(f"{request.key}: no task of the catalogue has these templates, so there are no rows")
    tokenizer = session.tokenizer(request.tokenizer) if request.tokenizer else None
    is_all = request.template is None and request.draft is None
    if is_all:
        chosen = list(zip(snapshot.ids, snapshot.file.templates, strict=True))
        names, templates = [name for name, _ in chosen], [template for _, template in chosen]
    else:
        names, templates = [request.template or ""], [drafted(snapshot, request.template, request.draft)]
    split = split_of(task, request.split)
    table = session.rows.slice(task, split, request.rows)
    numbers = session.rows.data(task, split).rows[request.rows].tolist()
    try:
        if not is_all:
            session.worker.ask("compile", templates)
        found = session.worker.ask("render", task, split, templates, to_bytes(table), numbers)
    except WorkerError as error:
        return Renderings(renderings=[], error=Fault(code="template", message=str(error), line=error.line))
    shown = found["renderings"]
    counts = _counts(tokenizer, shown)
    return Renderings(
        renderings=[
            _rendering(each, request.rows[each["place"]], names[each["template"]], templates[each["template"]], tokens)
            for each, tokens in zip(shown, counts, strict=True)
        ],
        error=None,
    )


def _rendering(found: JsonObject, row: int, name: str, template: Template, tokens: TokenCounts | None) -> Rendering:
    targets, choices = found["targets"], found["choices"]
    is_choice = bool(choices and targets and targets[0] in choices)
    return Rendering(
        row=row,
        template=name or None,
        name=template.name,
        language=template.language,
        target_index=choices.index(targets[0]) if is_choice else None,
        tokens=tokens,
        **{key: found[key] for key in ("inputs", "targets", "choices", "cut", "dropped", "remedy")},
    )


def _counts(tokenizer: Tokenizer | None, found: Sequence[JsonObject]) -> list[TokenCounts | None]:
    """Return the tokens of texts that are there whole."""
    counted = [each["inputs"] is not None and not each["cut"] for each in found]
    if tokenizer is None or not any(counted):
        return [None] * len(found)
    texts = [
        text
        for each, is_counted in zip(found, counted, strict=True)
        if is_counted
        for text in (each["inputs"], each["targets"][0] if each["targets"] else "")
    ]
    sizes = iter([len(ids) for ids in tokenizer.encode(texts)])
    return [TokenCounts(inputs=next(sizes), targets=next(sizes)) if is_counted else None for is_counted in counted]
