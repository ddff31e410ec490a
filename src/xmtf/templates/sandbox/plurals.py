"""The forms that a word alongside a count has in a language, by CLDR.

Templates choose one with the filter ``plural``::

{{ n }} {{ n | plural("ru", one="вариант", few="варианта", many="вариантов", other="варианта") }}
"""

from __future__ import annotations

from functools import cache

from babel.core import Locale, UnknownLocaleError
from babel.plural import PluralRule

__all__ = ["choose_plural", "plural_categories"]

_ORDER = ("zero", "one", "two", "few", "many", "other")


@cache
def _rule(language: str) -> PluralRule | None:
    try:
        return Locale.parse(language.replace("-", "_")).plural_form
    except (UnknownLocaleError, ValueError):
        return None


def plural_categories(language: str) -> tuple[str, ...]:
    """Return the categories of numbers of a language, ``other`` last; none where CLDR does not say.

    >>> plural_categories("ru"), plural_categories("zh")
    (('one', 'few', 'many', 'other'), ('other',))
    """
    rule = _rule(language)
    return () if rule is None else tuple(name for name in _ORDER if name in {*rule.tags, "other"})


def choose_plural(number: object, language: str, **forms: str) -> str:
    """Return the form of a word that is next to a number.

    >>> [choose_plural(n, "ru", one="слово", few="слова", other="слов") for n in (1, 2, 5, 21)]
    ['слово', 'слова', 'слов', 'слово']

    Args:
        number: A whole number or a decimal.
        language: Code of the language.
        forms: Category of CLDR -> word; ``other`` stands for those that are not given.

    Raises:
        ValueError: There is no form ``other``, a category is none of the language, or CLDR does not know the language.
        TypeError: It is not a number.
    """
    rule = _rule(language)
    if rule is None:
        raise ValueError(f"plural: CLDR has no plurals for {language!r}")
    known = plural_categories(language)
    wrong = sorted(set(forms) - set(known))
    if wrong or "other" not in forms:
        said = f"{', '.join(wrong)}: not a form of {language}" if wrong else "has no form `other`"
        raise ValueError(f"plural: {said}; the forms are {', '.join(known)}")
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"plural: {type(number).__name__} is not a number")
    return str(forms.get(rule(number), forms["other"]))
