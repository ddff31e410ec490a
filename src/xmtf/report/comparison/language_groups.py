"""Groups of languages that results are summed up by: family, script, how much text there is, seen in training or not.

=============  =======================================================================================
group          from
=============  =======================================================================================
family         ``families.csv``; large families by branch
script         ``languages.csv``, else CLDR
resources      the language's share of mT5's corpus (sampling rate in percent, as published): ``high`` from
               1, ``middle`` from 0.5, ``low`` below, ``none`` where the corpus does not have it
training       whether the mixture of the run that was measured holds the language, under any of its codes
=============  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from xmtf.errors import UnknownNameError
from xmtf.languages.codes import CODE, get_language, language_family, normalize_language, same_language
from xmtf.records import Score
from xmtf.report.reference import reference_rows

__all__ = ["LANGUAGE_GROUPS", "grouping_by_training", "language_group"]

_HIGH, _MIDDLE = 1.0, 0.5

LANGUAGE_GROUPS = ("family", "script", "resources", "training")
"""What languages are grouped by."""


def language_group(name: str, score: Score) -> str:
    """Return the group of a result's language, such as ``family: Turkic``."""
    code = score.provenance.language
    if code == CODE:
        return "programs"
    found = {"family": language_family, "script": _script, "resources": _resources}[name](code)
    return found or "not known"


def grouping_by_training(trained: frozenset[str]) -> Callable[[Score], str]:
    """Return what groups results by whether their language was trained on."""

    def group(score: Score) -> str:
        names = same_language(score.provenance.language)
        return "seen in training" if trained & set(names) else "not seen in training"

    return group


def _script(code: str) -> str:
    return get_language(code).script


def _resources(code: str) -> str:
    rate = next((rates[name] for name in same_language(code) if name in (rates := _rates())), None)
    if rate is None:
        return "none"
    return "high" if rate >= _HIGH else "middle" if rate >= _MIDDLE else "low"


@cache
def _rates() -> dict[str, float]:
    """Return language -> its share of mT5's corpus in percent; texts in another script than usual are left out."""
    found: dict[str, float] = {}
    for row in reference_rows("languages"):
        if row["corpus"] == "mT5":
            try:
                found[normalize_language(row["language"])] = float(row["size"])
            except UnknownNameError:
                continue  # such as Greek(Latin)
    return found
