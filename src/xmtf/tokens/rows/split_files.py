"""Weighted split files for a token folder, so that Megatron trains on it with the weights that xmtf would take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from xmtf.artefacts.manifest_parts import TokenCounts, TokenDetails
from xmtf.artefacts.ownership import new_file
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import MANIFEST, read_manifest
from xmtf.guards.alone import alone_at
from xmtf.languages.codes import normalize_language
from xmtf.tokens.rows.splits import (
    SplitGroup,
    SplitItem,
    published_weights,
    size_weights,
    split_file_text,
    write_split_file,
)

__all__ = ["SplitWeights", "write_split_files"]

SplitWeights = Literal["tokens", "bytes", "equal", "xp3"]


def write_split_files(
    tokens: Path,
    *,
    weights: SplitWeights = "tokens",
    multipliers: Mapping[str, float] | None = None,
    replace: bool = False,
) -> list[Path]:
    """Write ``train.txt`` and, where there is a tail to validate on, ``validation.txt`` into a token folder.

    Args:
        tokens: Folder that :func:`xmtf.tokens.tokenize_mixture` wrote; its absolute path is in the files.
        weights: Share of each language: of the tokens, of the bytes of text (as the original), all equal, or the
            weights that BLOOMZ was trained with, which count code 1.3 times already.
        multipliers: Factors on the weight of a language, such as ``{"code": 1.3}``.
        replace: Whether files of other weights that are there are overwritten.

    Returns:
        The files.

    Raises:
        ConfigError: Not a token folder, its path cannot be in the format, or a file of other weights is there.
        UnknownNameError: A language without tokens or without a published weight.
    """
    if not (tokens / MANIFEST).is_file():
        raise ConfigError(f"{tokens}: there are no finished token files; build them with `xmtf data pack`")
    manifest = read_manifest(tokens)
    if manifest.stage != "tokens":
        raise ConfigError(f"{tokens}: is a {manifest.stage} folder; split files belong in a folder of token files")
    details = TokenDetails.of(manifest, tokens)
    counts = {code: found for code, found in details.languages.items() if found.out}
    factors = {normalize_language(code, "multiplier"): factor for code, factor in (multipliers or {}).items()}
    shares = size_weights(_sizes(counts, weights), factors)
    folder, prefix = tokens.resolve(), details.prefix
    ends = {code: _end_of_training(found, details.validation_fraction) for code, found in counts.items()}
    groups = {}
    for name in ("train", "validation"):
        bounds = {code: (0.0, end) if name == "train" else (end, 1.0) for code, end in ends.items()}
        items = tuple(
            SplitItem(float(f"{share:.8g}"), *bounds[code], str(folder / f"{prefix}_{code}"))
            for code, share in shares.items()
            if bounds[code][0] < bounds[code][1]
        )
        if items:
            groups[tokens / f"{name}.txt"] = [SplitGroup(name, items)]
    for path, group in groups.items():
        if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != split_file_text(path, group):
            new_file(path, replace=replace)
    with alone_at(tokens):
        for path, group in groups.items():
            write_split_file(path, group)
    return list(groups)


def _end_of_training(counts: TokenCounts, fraction: float) -> float:
    """Return which share of a language's items is trained on: Megatron multiplies it by their number and rounds."""
    if counts.validation is None:
        return round(1 - fraction, 12)
    return round(1 - counts.validation / counts.out, 12)


def _sizes(counts: Mapping[str, TokenCounts], weights: SplitWeights) -> dict[str, float]:
    if weights == "tokens":
        return {code: found.tokens for code, found in counts.items()}
    if weights == "bytes":
        return {code: found.bytes for code, found in counts.items()}
    if weights == "equal":
        return dict.fromkeys(counts, 1.0)
    published = published_weights()
    for code in counts:
        if code not in published:
            raise UnknownNameError("language", code, published, "the published weights of xP3")
    return {code: published[code] for code in counts}
