"""Checks between a prompt and its translations: each returns a figure, and a message where it is not as it should be.

An identifier of languages is asked where one is installed (extra ``langid``). One fault cannot be seen: placeholders
that were permuted and are in the order of the original again.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from xmtf.errors import TemplateError
from xmtf.extras import EXTRAS, missing_modules
from xmtf.languages.codes import SENTENCE_MARKS, get_language, main_script
from xmtf.languages.identifier import accepted_languages, shared_identifier
from xmtf.templates.languages.names import base_name
from xmtf.templates.languages.pieces import read_pieces
from xmtf.templates.languages.segments import Unit, segment
from xmtf.templates.languages.translated import source_hash
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.lint.parts import Sides, read_sides
from xmtf.templates.rendering.render import ANSWER_CHOICES
from xmtf.templates.sandbox.plurals import plural_categories
from xmtf.templates.template import Template

__all__ = ["FIGURES", "Comparison", "check_translations", "choices_lost", "compare", "original_name"]

FIGURES = (
    "placeholders-differ",
    "lines-differ",
    "space-lost",
    "not-translated",
    "choices-differ",
    "odd-choices",
    "choices-unequal",
    "choice-not-named",
    "target-stays",
    "wrong-language",
    "wrong-script",
    "length",
    "html-entity",
    "end-differs",
    "plural",
)
"""Checks of translations, in the order in which reports show them."""

_LETTERS = 60
"""Fewer letters say nothing about language and length."""
_NO_SPACES = {"Hani", "Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
_DENSE = {"Hani", "Hans", "Hant", "Jpan", "Kore"}
_SCRIPTS = {"Jpan": {"Hira", "Kana", "Hani"}, "Kore": {"Hang"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
_ENDS = {"Deva": "।", "Beng": "।", "Arab": "؟۔؛", "Armn": "։", "Ethi": "።፧", "Mymr": "။", "Khmr": "។", "Grek": ";"}
_COUNT = re.compile(
    r"^\{\{[-+]?\s*(?:n|num_\w+|n_\w+|\w*count\w*|number_of_\w+|[^|]*\|\s*(?:length|count))\s*[-+]?\}\}$"
)
_CLOSING = "\"')]}»”’」』 "


@dataclass(frozen=True, slots=True)
class Comparison:
    """A translation next to its original.

    Attributes:
        looked_at: Checks that could say something about it.
        messages: Check -> what is not as it should be.
        length: Letters of the translation, as a multiple of the original's; None where that is too short.
    """

    looked_at: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict, hash=False)
    length: float | None = None


def original_name(template: Template) -> str:
    """Return the name of the template that another one is a translation of; its own where it is none."""
    told = template.translated.original if template.translated is not None else ""
    return told or base_name(template.name)


def check_translations(files: Mapping[str, Sequence[Template]]) -> Iterator[Finding]:
    """Yield translations that do not agree with their originals.

    The original, which a translation names in its metadata or by its name without the suffix, is searched for in the
    same file, then in other files of the same dataset.

    Args:
        files: Key of each file of one dataset -> its templates.
    """
    originals: dict[str, list[tuple[str, Template]]] = defaultdict(list)
    for key, templates in files.items():
        for template in templates:
            if template.translated is None and base_name(template.name) == template.name:
                originals[template.name].append((key, template))
    pairs = []
    for key, templates in files.items():
        for template in templates:
            name = original_name(template)
            candidates = originals.get(name, []) if name != template.name else []
            original = next((o for k, o in candidates if k == key), candidates[0][1] if candidates else None)
            if original is not None:
                yield from _findings(original, template, key)
                pairs.append((original, template, key))
            elif template.translated is not None:
                yield finding("no-original", template.name, f"there is no {name!r} to compare it with", key)
    yield from _unequal(pairs)


def _findings(original: Template, template: Template, key: str) -> Iterator[Finding]:
    told = template.translated
    if told is not None and told.source_hash not in ("", source_hash(original.jinja, original.answer_choices)):
        yield finding("original-changed", template.name, f"{original.name!r} has changed since it was translated", key)
    if told is not None and not told.is_used:
        return
    for check, message in compare(original, template).messages.items():
        if check not in ("wrong-script", "html-entity", "odd-choices"):  # found by the checks of one source
            yield finding(check, template.name, message, key)


def _unequal(pairs: Sequence[tuple[Template, Template, str]]) -> Iterator[Finding]:
    """Yield answer choices that two templates of a dataset translate differently."""
    seen: dict[tuple[str, str, str], tuple[str, str]] = {}
    for original, template, key in pairs:
        if template.translated is not None and not template.translated.is_used:
            continue
        for source, choice in _choice_pairs(original, template):
            by = "HT" if template.translation == "human" else "MT"
            first = seen.setdefault((template.language, by, source.casefold()), (choice, template.name))
            if first[0].casefold() != choice.casefold():
                message = f"{source!r} is {choice!r}; in {first[1]!r} it is {first[0]!r}"
                yield finding("choices-unequal", template.name, message, key)


def _choice_pairs(original: Template, template: Template) -> list[tuple[str, str]]:
    try:
        first, second = original.prepared().fixed_choices, template.prepared().fixed_choices
    except TemplateError:
        return []
    if first is None or second is None or len(first) != len(second):
        return []
    return [(source, choice) for source, choice in zip(first, second, strict=True) if len(source) > 1]


def compare(original: Template, template: Template) -> Comparison:
    """Return what checks say of a translation; nothing where one of the two does not compile."""
    try:
        sides = read_sides(original.prepared().main.tree), read_sides(template.prepared().main.tree)
    except TemplateError:
        return Comparison()
    units = segment(original.jinja).units, segment(template.jinja).units
    looked = {"placeholders-differ", "html-entity", "lines-differ"}
    found: dict[str, str] = dict(_placeholders(*sides))
    found |= _lines(original, template) | _not_translated(units[0], units[1], looked)
    found |= _choices(original, template, sides, looked) | _entities(original, template)
    found |= _language(template, sides[1], looked) | _end(sides, template.language, looked)
    found |= _counts(original, template, looked)
    if get_language(template.language).script not in _NO_SPACES:
        looked.add("space-lost")
        glued = [_glued(some) for some in units]
        if glued[1] > glued[0]:
            found["space-lost"] = f"{glued[1] - glued[0]} placeholders touch a letter without a space"
    length = _length(sides)
    if length is not None:
        looked.add("length")
        low = 0.12 if get_language(template.language).script in _DENSE else 0.4
        if not low <= length <= 2.5:
            found["length"] = f"{length:.2f} times the letters of its original"
    return Comparison(frozenset(looked), found, length)


def choices_lost(original: Template, template: Template) -> list[str]:
    """Describe which answer choices no longer mean what the prompt says: it does not name them, or the target is none.

    Raises:
        TemplateError: One of the two does not compile.
    """
    sides = read_sides(original.prepared().main.tree), read_sides(template.prepared().main.tree)
    found = _choices(original, template, sides, set())
    return [f"{check}: {found[check]}" for check in ("choice-not-named", "target-stays") if check in found]


def _placeholders(first: Sides, second: Sides) -> Iterator[tuple[str, str]]:
    expected, found = (side.fields(side.inputs) for side in (first, second))
    if sorted(set(expected)) != sorted(set(found)):
        message = f"the inputs read {', '.join(found) or 'nothing'}; the original's {', '.join(expected) or 'nothing'}"
        yield "placeholders-differ", message
    elif Counter(expected) != Counter(found):
        more, fewer = (", ".join((a - b).elements()) for a, b in _both_ways(Counter(expected), Counter(found)))
        yield "placeholders-differ", "; ".join(filter(None, (more and f"lost {more}", fewer and f"twice {fewer}")))
    elif expected != found:
        yield "placeholder-order", f"{', '.join(found)}; in the original {', '.join(expected)}"


def _both_ways(first: Counter[str], second: Counter[str]) -> tuple[tuple[Counter[str], Counter[str]], ...]:
    return (first, second), (second, first)


def _lines(original: Template, template: Template) -> dict[str, str]:
    counts = [each.jinja.strip().count("\n") + each.jinja.count("\\n") for each in (original, template)]
    return {"lines-differ": f"{counts[1]} line ends; the original has {counts[0]}"} if counts[0] != counts[1] else {}


def _not_translated(first: Sequence[Unit], second: Sequence[Unit], looked: set[str]) -> dict[str, str]:
    """Describe which printed constants, and which whole texts of several words, are the original's."""
    texts = [
        {_said(unit) for unit in some if unit.role == "constant" or len(unit.text.split()) > 2}
        for some in (first, second)
    ]
    if texts[0]:
        looked.add("not-translated")
    same = sorted(texts[0] & texts[1])
    return {"not-translated": f"still in the original's language: {', '.join(map(repr, same[:4]))}"} if same else {}


def _said(unit: Unit) -> str:
    return " ".join(unit.text.casefold().split())


def _choices(original: Template, template: Template, sides: tuple[Sides, Sides], looked: set[str]) -> dict[str, str]:
    first, second = original.prepared().fixed_choices, template.prepared().fixed_choices
    if first is None or second is None:
        return {}
    looked |= {"choices-differ", "odd-choices"}
    if len(first) != len(second):
        return {"choices-differ": f"{len(second)} answer choices; the original has {len(first)}"}
    found = {}
    if len({choice.casefold() for choice in second}) < len({choice.casefold() for choice in first}):
        found["odd-choices"] = f"two answer choices are the same: {', '.join(second)}"
    looked |= {"choices-unequal"}
    prompts = [side.prompt.casefold() for side in sides]
    named = [place for place, choice in enumerate(first) if len(choice) > 1 and choice.casefold() in prompts[0]]
    if named:
        looked.add("choice-not-named")
        lost = [second[place] for place in named if second[place].casefold() not in prompts[1]]
        if lost:
            found["choice-not-named"] = f"the original's inputs name it, these do not: {', '.join(map(repr, lost))}"
    if tuple(first) != tuple(second):
        looked.add("target-stays")
        if ANSWER_CHOICES not in template.prepared().main.names:
            found["target-stays"] = "the target is not one of answer_choices, so it stays in the original's language"
    return found


def _entities(original: Template, template: Template) -> dict[str, str]:
    counts = [
        sum(f"{each.jinja}{each.answer_choices}".count(code) for code in ("&quot;", "&#", "&amp;", "&lt;", "&gt;"))
        for each in (original, template)
    ]
    return {"html-entity": f"{counts[1]} HTML entities"} if counts[1] > counts[0] else {}


def _language(template: Template, sides: Sides, looked: set[str]) -> dict[str, str]:
    text = " ".join(sides.prompt.split())
    count = sum(map(str.isalpha, text))
    own = get_language(template.language).script
    found = {}
    if count >= 12 and own:
        looked.add("wrong-script")
        script = main_script(text)
        if script != own and script not in _SCRIPTS.get(own, ()):
            found["wrong-script"] = f"written in {script}, not in {own}"
    if count >= _LETTERS and not found and not missing_modules(EXTRAS["langid"]):
        identifier = shared_identifier()
        if accepted_languages(template.language) & identifier.languages:
            looked.add("wrong-language")
            seen = identifier(text)
            if seen.confidence >= 0.9 and seen.language not in accepted_languages(template.language):
                found["wrong-language"] = f"reads as {seen.language} ({seen.confidence:.2f}), not {template.language}"
    return found


def _end(sides: tuple[Sides, Sides], language: str, looked: set[str]) -> dict[str, str]:
    """Describe where the original's inputs end with punctuation, and the translation's with none of its language."""
    pairs = zip(sides[0].ends, sides[1].ends, strict=False)
    marks = SENTENCE_MARKS + ":" + _ENDS.get(get_language(language).script, "")
    for first, second in pairs:
        if not isinstance(first, str) or first.rstrip(_CLOSING + "\n")[-1:] not in tuple(SENTENCE_MARKS + ":"):
            continue
        looked.add("end-differs")
        end = second.rstrip(_CLOSING + "\n\u2069")[-1:] if isinstance(second, str) else ""
        if not end or end not in marks + "：？！。":
            shown = second.strip()[-30:] if isinstance(second, str) else "a placeholder"
            return {"end-differs": f"the original ends with {first.strip()[-1:]!r}, this with {shown!r}"}
    return {}


def _counts(original: Template, template: Template, looked: set[str]) -> dict[str, str]:
    categories = plural_categories(template.language)
    printed = _printed_counts(original.jinja)
    if not printed or len(categories) < 2:
        return {}
    looked.add("plural")
    if "plural(" in template.jinja:
        return {}
    return {
        "plural": f"prints a count ({', '.join(printed)}); {template.language} has the forms {', '.join(categories)}"
    }


def _printed_counts(jinja: str) -> tuple[str, ...]:
    """Return the expressions of a source that print a count, by their names and filters."""
    codes = [jinja[piece.start : piece.end].strip() for piece in read_pieces(jinja) if piece.kind == "print"]
    return tuple(dict.fromkeys(code.strip("{}-+ ") for code in codes if _COUNT.match(code)))


def _length(sides: tuple[Sides, Sides]) -> float | None:
    counts = [sum(unicodedata.category(character)[0] in "LM" for character in side.text) for side in sides]
    return counts[1] / counts[0] if counts[0] >= _LETTERS / 2 else None


def _glued(units: Sequence[Unit]) -> int:
    """Count the sides of placeholders at which a letter stands."""
    count = 0
    for unit in units:
        for left, right in zip(unit.parts, unit.parts[1:], strict=False):
            if isinstance(left, str) and isinstance(right, int):
                count += left[-1:].isalpha()
            elif isinstance(left, int) and isinstance(right, str):
                count += right[:1].isalpha()
    return count
