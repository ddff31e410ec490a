"""Per-dataset fix-ups: small pure functions between a dataset as it is published and its templates.

The catalogue names an adapter by its key here. A version is part of every fingerprint: raise it when
the function changes what it returns.
"""

from __future__ import annotations

import pyarrow as pa

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.plugins import Plugin, plugins
from xmtf.sources.adapters import code, instructions, questions, reasoning, sentences, translation, xp3
from xmtf.sources.adapters.base import Adapted, Adapter
from xmtf.sources.reference import SourceRef

__all__ = ["ADAPTERS", "Adapted", "adapt", "adapter_version"]

ADAPTERS: dict[str, tuple[Adapter, int]] = {
    "afriqa": (sentences.afriqa, 1),
    "afriqa-passage": (sentences.afriqa_passage, 1),
    "apps": (code.apps, 1),
    "belebele": (questions.belebele, 1),
    "flores": (xp3.flores, 2),
    "global-mmlu": (questions.global_mmlu, 1),
    "gsm8k": (reasoning.gsm8k, 1),
    "hidden-labels": (xp3.hidden_labels, 1),
    "ifeval": (instructions.ifeval, 1),
    "mbpp": (code.mbpp, 1),
    "mgsm": (reasoning.mgsm, 1),
    "multi-eurlex": (xp3.multi_eurlex, 1),
    "ntrex": (translation.ntrex, 1),
    "ntrex-reversed": (translation.ntrex_reversed, 1),
    "ntrex-headline": (translation.ntrex_headline, 1),
    "ntrex-headline-source": (translation.ntrex_headline_source, 1),
    "nusax-mt": (translation.nusax_mt, 1),
    "options": (questions.options, 1),
    "options-from-one": (questions.options_from_one, 1),
    "paws-x": (sentences.paws_x, 1),
    "tatoeba": (xp3.tatoeba, 2),
    "tatoeba-inverted": (xp3.tatoeba_inverted, 2),
    "tydiqa-goldp": (sentences.tydiqa_goldp, 1),
    "wiki-lingua": (xp3.wiki_lingua, 2),
    "wmt": (translation.wmt, 1),
    "wmt-reversed": (translation.wmt_reversed, 1),
    "wmt22": (xp3.wmt22, 2),
    "wmt22-inverted": (xp3.wmt22_inverted, 2),
    "xcopa": (sentences.xcopa, 1),
    "xlcost": (code.xlcost, 1),
}
"""Name -> (function, version)."""


def adapt(ref: SourceRef, table: pa.Table) -> Adapted:
    """Apply the adapter of a source, or return the table as it is where there is none.

    Raises:
        UnknownNameError: No such adapter.
        ConfigError: The plug-in of the adapter cannot be loaded, or gives something else.
        SourceError: The table is not what the adapter expects.
    """
    if ref.adapter is None:
        return Adapted(table)
    if ref.adapter in ADAPTERS:
        return ADAPTERS[ref.adapter][0](ref, table)
    plugin = _plugin(ref.adapter)
    adapted = plugin.load()(ref, table)
    if not isinstance(adapted, Adapted):
        kind = type(adapted).__name__
        raise ConfigError(f"adapter {plugin.name!r} of the plug-in {plugin.package}: gives a {kind}, not an Adapted")
    return adapted


def adapter_version(name: str | None) -> int | str:
    """Return the version of an adapter, 0 for none; of a plug-in its package and version.

    Raises:
        UnknownNameError: No such adapter.
    """
    if name is None:
        return 0
    return ADAPTERS[name][1] if name in ADAPTERS else _plugin(name).signature


def _plugin(name: str) -> Plugin:
    found = plugins("adapters", frozenset(ADAPTERS))
    if name not in found:
        raise UnknownNameError("adapter", name, (*ADAPTERS, *found))
    return found[name]
