"""Languages: one short code for each, whatever the dataset calls it.

The code is the shortest ISO 639 code, with a script only where the language is usually written in another one: ``fr``,
``yo``, ``nso``, ``zh`` (simplified), ``zh-Hant``. Programming languages together are ``code``. ``languages.csv`` next
to this file lists the languages of xP3, xP3x and mT5.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from xmtf.errors import UnknownNameError, nearest

__all__ = [
    "CODE",
    "SENTENCE_MARKS",
    "Language",
    "LanguageSet",
    "get_language",
    "language_family",
    "language_set",
    "main_script",
    "normalize_language",
    "relatives",
    "same_language",
]

CODE = "code"
"""Pseudo language of everything whose targets are program text."""

SENTENCE_MARKS = ".!?…。！？｡।॥؟۔።፧၊။។៕։།༎᱾᱿꯫᠃᠉܀܁܂෴꧉᭞᭟"
"""Characters that end sentences, of any script."""

LanguageSet = Literal["bloom", "xp3", "xp3x", "mt5"]

# What datasets write that is no ISO code, or that ISO would fold into another of our languages.
_SPELLINGS = {
    "jp": "ja",
    "tw": "tw",
    "twi": "tw",
    "ak": "ak",
    "aka": "ak",
    "zh-cn": "zh",
    "zh-hans": "zh",
    "zho-hans": "zh",
    "zh-tw": "zh-Hant",
    "zh-hant": "zh-Hant",
    "zho-hant": "zh-Hant",
    "iw": "he",
    # What our catalogues write besides: known without langcodes, which takes a tenth of a second to load.
    "an": "an",
    "bbc": "bbc",
    "ben-latn": "bn-Latn",
    "hin-latn": "hi-Latn",
    "ktu": "ktu",
    "mad": "mad",
    "mni-mtei": "mni-Mtei",
    "myv": "myv",
    "nij": "nij",
    "npi-latn": "ne-Latn",
    "nqo": "nqo",
    "nqo-nkoo": "nqo",
    "orm": "om",
    "sin-latn": "si-Latn",
    "swa": "sw",
    "tyv": "tyv",
    "urd-latn": "ur-Latn",
    "vai": "vai",
    "vmw": "vmw",
    "zgh": "zgh",
}


_NO_COUNTRIES = ("ez", "qo", "un", "zz")
"""Regions of CLDR with two letters that are no countries."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the catalogue.

    Attributes:
        code: Our short code.
        xp3x: Folder of the language in xP3x, such as ``fra_Latn``, or ``""``.
        name: English name.
        script: ISO 15924 code of the script, or ``""`` for programs.
        in_xp3: Whether it is one of the 46 of BLOOM and xP3 (``code`` included).
        in_mt5: Whether it is one of the 101 that mT5 was pretrained on.
    """

    code: str
    xp3x: str
    name: str
    script: str
    in_xp3: bool
    in_mt5: bool


@cache
def _languages() -> dict[str, Language]:
    path = Path(__file__).with_name("languages.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [
            Language(row["code"], row["xp3x"], row["name"], row["script"], row["xp3"] == "yes", row["mt5"] == "yes")
            for row in csv.DictReader(stream)
        ]
    return {language.code: language for language in rows}


@cache
def _by_code() -> dict[str, str]:
    return {code.lower(): code for code in _languages()}


@cache
def _by_xp3x() -> dict[str, str]:
    return {language.xp3x.lower(): language.code for language in _languages().values() if language.xp3x}


@cache
def _only_entry() -> dict[str, str]:
    """Return the entry of each three-letter code that has one; ISO would fold ``uzn`` into another language."""
    folded = ("azj", "kzj", "prs", "uzn")
    entries: dict[str, list[str]] = {}
    for xp3x, entry in _by_xp3x().items():
        entries.setdefault(xp3x.partition("_")[0], []).append(entry)
    return {
        code: entry
        for code, (entry, *others) in entries.items()
        if len(code) == 3 and (code in folded or not (others or "-" in entry))
    }


@cache
def _related() -> dict[str, list[tuple[str, str]]]:
    """Return code -> (code of a related language, ``same`` or ``member``), both ways."""
    path = Path(__file__).with_name("relations.csv")
    found: dict[str, list[tuple[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["code"], []).append((row["of"], row["relation"]))
            found.setdefault(row["of"], []).append((row["code"], row["relation"]))
    return found


def same_language(code: str) -> tuple[str, ...]:
    """Return the codes of one language under all its codes, the given one first: aliases of CLDR.

    >>> same_language("uz"), same_language("no"), same_language("fr")
    (('uz', 'uzn-Latn'), ('no', 'nb'), ('fr',))
    """
    return (code, *(other for other, relation in _related().get(code, ()) if relation == "same"))


def relatives(code: str) -> tuple[str, ...]:
    """Return the codes of languages that share a macrolanguage with one, but are not the same.

    >>> relatives("fa"), "ary" in relatives("arz")
    (('fa-AF',), True)
    """
    return tuple(sorted(_groups().get(code, frozenset()) - set(same_language(code)) - {code}))


@cache
def _groups() -> dict[str, frozenset[str]]:
    """Return code -> all codes of its macrolanguage, of our table and of ISO 639-3 (``aln`` of Albanian)."""
    from langcodes.data_dicts import MACROLANGUAGES

    pairs = [(code, of) for code, others in _related().items() for of, _ in others]
    pairs += [(normalize_language(code), normalize_language(of)) for code, of in MACROLANGUAGES.items()]
    groups: dict[str, set[str]] = {}
    for pair in pairs:
        joined = set(pair).union(*(groups.get(code, ()) for code in pair))
        groups.update(dict.fromkeys(joined, joined))
    return {code: frozenset(joined) for code, joined in groups.items()}


@cache
def normalize_language(tag: str, where: str = "") -> str:
    """Return our short code for any spelling of a language.

    >>> [normalize_language(tag) for tag in ("fra_Latn", "arb", "swh", "jp", "zho_Hant", "zh-CN")]
    ['fr', 'ar', 'sw', 'ja', 'zh-Hant', 'zh']

    Args:
        tag: ISO 639-1 or 639-3 code, BCP 47 tag or xP3x folder.
        where: Named in the error, such as the file that holds the tag.

    Raises:
        UnknownNameError: No such language; names the nearest known codes.
    """
    known = _languages()
    text = tag.strip().replace("_", "-")
    lower = text.lower()
    if lower in _SPELLINGS:
        return _SPELLINGS[lower]
    if lower.replace("-", "_") in _by_xp3x():
        return _by_xp3x()[lower.replace("-", "_")]
    if lower in _only_entry():
        return _only_entry()[lower]
    if lower in _by_code():
        return _by_code()[lower]

    import langcodes

    try:
        language = langcodes.Language.get(text, normalize=True)
        valid = language.is_valid()
    except langcodes.tag_parser.LanguageTagError:
        valid = False
    if not valid:
        raise _unknown(tag, where)
    base = language.prefer_macrolanguage()
    code = langcodes.Language.make(language=base.language).to_tag()
    if language.territory and f"{code}-{language.territory}" in known:
        return f"{code}-{language.territory}"
    script = language.script or (language.maximize().script if language.territory else None)
    listed = known.get(lower.partition("-")[0]) or known.get(code)
    if listed is not None and script in (None, listed.script, listed.xp3x.partition("_")[2]):
        return listed.code
    usual = langcodes.Language.get(code).maximize().script
    return f"{code}-{script}" if script and script != usual else code


def _unknown(tag: str, where: str) -> UnknownNameError:
    """Return the error for a language that is not known: names its code, those of near names, or near codes.

    The code of a country names the main language there.
    """
    of_country, named = _near_code_or_name(tag.strip())
    if of_country:
        return UnknownNameError("language", tag, _languages(), where, near=[of_country])
    by_name = {language.name: language.code for language in _languages().values()}
    near = {by_name[name]: name for name in nearest(tag.strip(), by_name)}
    if named is not None:
        near = {named: get_language(named).name} | near
    return UnknownNameError("language", tag, _languages(), where, near=[f"{code} ({near[code]})" for code in near])


def _near_code_or_name(text: str) -> tuple[str, str | None]:
    """Return what is said of the code of a country, or ``""``, and the code of a language by its name, or None.

    The main language of a country is that of CLDR's likely subtags; names are English or the language's own:
    ``Uzbek``, ``farsi``, ``deutsch``.
    """
    import langcodes

    if len(text) == 2 and text.isascii() and text.isalpha() and text.lower() not in _NO_COUNTRIES:
        country = langcodes.Language.make(territory=text.upper())
        main, name = country.maximize().language, country.territory_name()
        if country.is_valid() and main not in (None, "und") and not name.startswith("Unknown Region"):
            language = get_language(str(main))
            return f"{language.code} ({language.name}; {text!r} is the country {name})", None
    for language_of_names in (None, "en"):
        try:
            return "", normalize_language(langcodes.find(text, language_of_names).to_tag())
        except LookupError:
            continue
    return "", None


def get_language(code: str) -> Language:
    """Return what is known of a language; languages outside the catalogue get their name from CLDR.

    Raises:
        UnknownNameError: No such language.
    """
    code = normalize_language(code)
    if code in _languages():
        return _languages()[code]

    import langcodes

    language = langcodes.Language.get(code)
    return Language(code, "", language.display_name(), language.maximize().script or "", in_xp3=False, in_mt5=False)


@cache
def _families() -> dict[str, str]:
    path = Path(__file__).with_name("families.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["code"]: row["family"] for row in csv.DictReader(stream)}


def language_family(code: str) -> str:
    """Return the family of a language, large families by branch, or ``""`` where our table lacks it.

    >>> language_family("sw"), language_family("ar-Latn"), language_family("zh-Hant")
    ('Niger-Congo, Bantu', 'Afro-Asiatic, Semitic', 'Sino-Tibetan, Sinitic')
    """
    return _families().get(code.partition("-")[0], "")


def language_set(name: LanguageSet) -> tuple[str, ...]:
    """Return the codes of a set, sorted: 46 for ``bloom`` and ``xp3``, 277 for ``xp3x``, 101 for ``mt5``."""
    languages = _languages().values()
    chosen = {
        "bloom": [language for language in languages if language.in_xp3],
        "xp3": [language for language in languages if language.in_xp3],
        "xp3x": [language for language in languages if language.xp3x],
        "mt5": [language for language in languages if language.in_mt5],
    }[name]
    return tuple(sorted(language.code for language in chosen))


def main_script(text: str) -> str:
    """Return the ISO 15924 code of the script that most letters of a text are in, or ``""``.

    >>> main_script("Привет, world: добрый день")
    'Cyrl'
    """
    scripts = Counter(_script(char) for char in text if char.isalpha())
    return scripts.most_common(1)[0][0] if scripts else ""


@cache
def _script(char: str) -> str:
    from fontTools.unicodedata import script

    return str(script(char))
