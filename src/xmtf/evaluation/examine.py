"""What a model can do before it is trained or measured: whether it packs, how it ranks, what ends its answers."""

from __future__ import annotations

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation.ranking.rank import way_of_scoring
from xmtf.models import check_packing, find_model, load_model
from xmtf.tokens import load_tokenizer

__all__ = ["examine_model"]


def examine_model(ref: str) -> dict[str, object]:
    """Return what is found out about a model by loading it, by heading."""
    loaded = load_model(ref)
    try:
        packing = f"separate (deviation {check_packing(loaded.model):.1e})"
    except ConfigError as error:
        packing = f"{'refused' if loaded.family == 'causal' else 'one example per row'}: {error}"
    return {
        "model": loaded.label,
        "family": loaded.family,
        "packing": packing,
        "ranking": way_of_scoring(loaded.model),
    } | _examine_tokenizer(ref)


def _examine_tokenizer(ref: str) -> dict[str, object]:
    """Return what is before prompts and what ends answers."""
    try:
        tokenizer = load_tokenizer(str(find_model(ref)))
    except (ConfigError, SourceError) as error:
        return {"tokenizer": str(error)}
    return {
        "begin of inputs": tokenizer.begin_text,
        "end of answers": ", ".join(f"{tokenizer.token(number)} ({number})" for number in tokenizer.ends),
    }
