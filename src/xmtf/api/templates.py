"""Templates from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from xmtf.api.recipes import RecipeLike, opened
from xmtf.errors import ConfigError, TemplateError, UnknownNameError
from xmtf.records import Origin
from xmtf.tasks import load_catalogue
from xmtf.tasks.prompting.show import preview_row
from xmtf.templates import Mode, Template, read_template_file
from xmtf.templates.preview import Preview

__all__ = ["render"]

_GIVEN = Origin("a given row", "", "", 0)


def render(
    what: str | Path | Template,
    row: int | Mapping[str, object] = 0,
    *,
    template: str = "*",
    split: str | None = None,
    recipe: RecipeLike | None = None,
    mode: Mode = "fixed",
    offline: bool = False,
) -> list[Preview]:
    """Render one row under each template of a task.

    >>> shown = render("cldr-kinds/fr", 0, template="question")
    >>> shown[0].targets[0] in shown[0].choices, shown[0].problem
    (True, None)

    A row that is given needs no data, and a template that is given no task:

    >>> wet = Template("wet", "{{what}} So it is wet: true or false? ||| {{answer}}")
    >>> [shown] = render(wet, {"what": "It rains.", "answer": "true"})
    >>> shown.inputs, shown.targets
    ('It rains. So it is wet: true or false?', ('true',))

    Args:
        what: Task, such as ``xnli/fr``, a file of templates, or a template.
        row: Which row of the task's split, from 0, or the row itself: column -> value.
        template: Pattern of the names of the templates.
        split: Split to take the row from; default the task's first.
        recipe: A recipe whose catalogues and own tasks are known as well.
        mode: ``fixed``, or ``legacy`` for what promptsource did.
        offline: Never touch the network.

    Returns:
        One entry for each template: its inputs, targets and choices, or the ``problem`` that makes the row no example.

    Raises:
        UnknownNameError: There is no such task or template.
        SourceError: The split cannot be read, or has no such row.
        ConfigError: A template or a file is to be rendered on a row number.
    """
    task = None
    if isinstance(what, Template):
        templates: Sequence[Template] = [what]
    elif str(what).endswith((".yaml", ".yml")):
        templates = read_template_file(Path(what))
    else:
        catalogue = load_catalogue(None if recipe is None else opened(recipe, ()))
        task = catalogue.tasks.get(str(what))
        if task is None:
            raise UnknownNameError("task", str(what), catalogue.tasks)
        templates = task.templates()
    chosen = _matching(templates, template, str(what))
    if isinstance(row, Mapping):
        return [_preview(each, row, mode) for each in chosen]
    if task is None:
        raise ConfigError("render: a template by itself has no rows; pass a row, such as {'premise': 'It rains.'}")
    return preview_row(task, chosen, split=split, row=row, mode=mode, offline=offline)


def _matching(templates: Iterable[Template], pattern: str, place: str) -> list[Template]:
    found = [each for each in templates if each.name == pattern or fnmatchcase(each.name, pattern)]
    if not found:
        raise UnknownNameError("template", pattern, [each.name for each in templates], place)
    return found


def _preview(template: Template, row: Mapping[str, object], mode: Mode) -> Preview:
    about = (template.name, template.language, _GIVEN)
    try:
        rendered = template.render(row, mode=mode)
    except TemplateError as error:
        return Preview(*about, None, (), None, str(error))
    if rendered is None:
        return Preview(*about, None, (), None, "the template does not apply to this row: it renders nothing")
    return Preview(*about, rendered.inputs, rendered.targets, rendered.answer_choices, None)
