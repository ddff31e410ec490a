"""What checks say of the translations of a file: figures by language, what to look at, and rows in both languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import pyarrow as pa

from xmtf.evaluation.metrics.translation import chrf
from xmtf.templates.languages.segments import segment
from xmtf.templates.lint.finding import CHECKS, Finding, finding
from xmtf.templates.lint.translations import FIGURES, check_translations, compare, original_name
from xmtf.templates.template import Template
from xmtf.translation.glossary import NO_GLOSSARY, Glossary
from xmtf.translation.work import Asked, Work

__all__ = ["ROWS", "LanguageReport", "report_language", "write_report"]

ROWS = 20
"""Rows that are rendered in both languages."""


@dataclass(frozen=True, slots=True)
class LanguageReport:
    """Checks of one language.

    Attributes:
        language: The language.
        states: State -> number of translations.
        looked_at: Check -> translations that it could say something about.
        failed: Check -> translations that are not as they should be.
        length: Median of letters of a translation, as a multiple of its original's; None without any.
        chrf: chrF++ of texts translated back with their originals, 0-100; None where that was not asked for.
        findings: What exactly is not as it should be.
        pairs: Originals and translations.
    """

    language: str
    states: Counter[str]
    looked_at: Counter[str]
    failed: Counter[str]
    length: float | None
    chrf: float | None
    findings: tuple[Finding, ...]
    pairs: tuple[tuple[Template, Template], ...] = field(repr=False, default=())


def report_language(
    templates: Sequence[Template],
    language: str,
    key: str,
    back: Work | None = None,
    glossary: Glossary = NO_GLOSSARY,
) -> LanguageReport:
    """Compare the translations into one language with their originals.

    Args:
        templates: Those of a file.
        language: The language.
        key: Names the file.
        back: Translates from that language back into the originals'; None: no back-translation.
        glossary: Terms that the translations should hold.

    Raises:
        TranslationError: The engine does not answer.
    """
    originals = {each.name: each for each in templates if each.translated is None}
    made = [each for each in templates if each.language == language and original_name(each) != each.name]
    states = Counter(each.translated.state if each.translated is not None else "no state" for each in made)
    used = [each for each in made if each.translated is None or each.translated.is_used]
    pairs = tuple((originals[original_name(each)], each) for each in used if original_name(each) in originals)
    findings = tuple(check_translations({key: [*originals.values(), *used]}))
    names = {each.name for each in used}
    findings = tuple(each for each in findings if each.template in names)
    looked: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    lengths = []
    for original, translation in pairs:
        found = compare(original, translation)
        looked.update(found.looked_at)
        failed.update(check for check in found.messages if check in FIGURES)
        lengths += [] if found.length is None else [found.length]
        lost = _lost_terms(original, translation, glossary)
        looked["glossary"] += lost is not None
        if lost:
            failed["glossary"] += 1
            findings += (finding("glossary", translation.name, f"without {', '.join(lost)}", key),)
    failed["choices-unequal"] = len({each.template for each in findings if each.check == "choices-unequal"})
    score = None if back is None else _back(pairs, back)
    return LanguageReport(
        language, states, looked, +failed, median(lengths) if lengths else None, score, findings, pairs
    )


def _lost_terms(original: Template, translation: Template, glossary: Glossary) -> list[str] | None:
    """Return terms of the glossary that a translation does not hold; None where the original holds none."""
    first, second = (f"{each.jinja} {each.answer_choices or ''}" for each in (original, translation))
    terms = glossary.within(first)
    return [term for term in terms.values() if term.casefold() not in second.casefold()] if terms else None


def _back(pairs: Sequence[tuple[Template, Template]], work: Work) -> float | None:
    """Return chrF++ of the originals' texts and the translations' translated back, of texts that are in one place."""
    texts, references = [], []
    for original, translation in pairs:
        first, second = segment(original.jinja).units, segment(translation.jinja).units
        if [unit.role for unit in first] == [unit.role for unit in second]:
            for unit, there in zip(first, second, strict=True):
                texts.append(Asked(there.role, there.parts))
                references.append(" ".join(unit.text.split()))
    outcomes = work.translate(texts)
    work.memory.save()
    answers = ["".join(part if isinstance(part, str) else " " for part in outcomes[text].parts or ()) for text in texts]
    if not texts:
        return None
    return chrf([" ".join(answer.split()) for answer in answers], [[text] for text in references], work.target).value


def write_report(
    reports: Sequence[LanguageReport], title: str, table: pa.Table | None = None, where: Mapping[str, str] | None = None
) -> str:
    """Return the report as Markdown.

    Args:
        reports: One for each language.
        title: Names the file.
        table: Rows that are rendered side by side.
        where: ``dataset``, ``subset`` and ``split`` of the rows.
    """
    lines = [
        f"# Translations of {title}",
        "",
        "Failures, of the translations that each check applies to.",
        "",
    ]
    columns = [check for check in (*FIGURES, "glossary") if any(each.looked_at[check] for each in reports)]
    has_back = any(each.chrf is not None for each in reports)
    head = ["language", "states", *columns, "length (median)", *(["back-translation chrF++"] if has_back else [])]
    lines += [_row(head), _row(["---"] * len(head))]
    for each in reports:
        states = ", ".join(f"{state}: {count}" for state, count in sorted(each.states.items()))
        figures = [
            f"{each.failed[check]} of {each.looked_at[check]}" if each.looked_at[check] else "" for check in columns
        ]
        length = "" if each.length is None else f"{each.length:.2f}"
        back = [] if not has_back else ["" if each.chrf is None else f"{each.chrf:.1f}"]
        lines.append(_row([each.language, states, *figures, length, *back]))
    lines += ["", *(f"- {check}: {CHECKS[check][1]}" for check in columns)]
    lines += ["", "Not detectable: placeholders that were permuted and are in the original's order again.", ""]
    for each in reports:
        if each.findings:
            lines += [
                f"## {each.language}",
                "",
                *(f"- {f.check} {f.template!r}: {f.message}" for f in each.findings),
                "",
            ]
        if table is not None and each.pairs:
            lines += _side_by_side(each, table, where or {})
    return "\n".join(lines)


def _side_by_side(report: LanguageReport, table: pa.Table, where: Mapping[str, str]) -> list[str]:
    dataset, subset, split = (where.get(name, "") for name in ("dataset", "subset", "split"))
    lines = [f"## {report.language}: {min(ROWS, table.num_rows)} rows in both languages", ""]
    lines += [_row(["row", "template", "original", "translation"]), _row(["---"] * 4)]
    some = table.slice(0, ROWS)
    rendered = [
        [each.render_table(some, dataset=dataset, subset=subset, split=split) for each in pair] for pair in report.pairs
    ]
    for row in range(some.num_rows):
        number = row % len(report.pairs)
        texts = []
        for one in rendered[number]:
            inputs, targets = one.inputs[row].as_py(), one.targets[row].as_py()
            texts.append("(no example)" if inputs is None else f"{inputs} **{' / '.join(targets or ())}**")
        lines.append(_row([str(row), report.pairs[number][0].name, *texts]))
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"
