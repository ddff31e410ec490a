"""Open a token folder: which items belong to the group, what fits a row, with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xmtf.artefacts.checksums import check_outputs
from xmtf.artefacts.manifest_parts import TokenDetails
from xmtf.errors import ConfigError, DataError
from xmtf.execution import warn
from xmtf.files import content_hash, read_manifest
from xmtf.languages.codes import normalize_language
from xmtf.recipe.load import LoadedRecipe
from xmtf.recipe.schema import Packing, Tokenization
from xmtf.records import Family
from xmtf.run_folder import tokenizer_of
from xmtf.tokens.rows.batches import Pair
from xmtf.tokens.rows.blending import Blend, Once
from xmtf.tokens.rows.fitting import Fitted, fit_items
from xmtf.tokens.rows.loader import LanguageRows, Loader, SplitName
from xmtf.tokens.rows.packing import Rows, RowStream, fits, one_pass, pack
from xmtf.tokens.rows.shelf import UNSHARED, Shelf
from xmtf.tokens.rows.splits import split_bounds
from xmtf.tokens.store.prefixes import store_prefix
from xmtf.tokens.store.store import open_store
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["NoExamplesError", "open_loader", "row_capacity"]


class NoExamplesError(ConfigError):
    """A group of a token folder has no example, or none that fits a row."""

    code = "no-examples"
    remedy = "Use longer rows (`tokens.packing.sequence_length`), or more examples: none was left to train on."


def open_loader(
    tokens: Path,
    loaded: LoadedRecipe,
    *,
    group: SplitName = "train",
    family: Family,
    shelf: Shelf = UNSHARED,
) -> Loader:
    """Open a token folder for training or validation.

    Args:
        tokens: Folder that :func:`xmtf.tokens.tokenize_mixture` wrote.
        loaded: The recipe: packing, weights, seed and rows of a step.
        group: The head of each language's items, over and over, or its tail, each item once.
        family: Which kind of rows.
        shelf: Where the processes of this machine share what is the same in all of them.

    Raises:
        ConfigError: The folder is of the other family.
        NoExamplesError: The group is empty, or no example of it fits a row.
        DataError: A file does not match its format.
    """
    manifest = read_manifest(tokens)
    if manifest.stage != "tokens":
        raise ConfigError(f"{tokens}: is a {manifest.stage} folder, not one of token files")
    details = TokenDetails.of(manifest, tokens)
    if details.family != family:
        raise ConfigError(f"{tokens}: contains tokens for a {details.family} model, not {family}")
    tokenizer = _tokenizer(tokens, details)
    recipe = loaded.recipe
    if recipe.tokens.packing.overlong_targets == "truncate" and family == "causal":
        raise ConfigError(
            f"{loaded.path}: tokens.packing.overlong_targets: truncate is for encoder-decoder models only, whose "
            f"targets have a separate length; omit it"
        )
    capacity = row_capacity(recipe.tokens.packing, family)
    group_names: list[tuple[str, str]] = []
    languages = []
    skipped = truncated = cut_targets = 0
    what = content_hash([manifest.fingerprint, recipe.tokens.model_dump(mode="json"), recipe.seed, capacity, group])
    for language in sorted(details.languages):
        shared = _Shared(shelf, f"{what[:16]}-{language}")
        opened = _open_language(
            tokens, details, language, group, recipe.tokens, capacity, recipe.seed, group_names, shared
        )
        skipped += opened[1].skipped
        truncated += opened[1].truncated
        cut_targets += opened[1].cut_targets
        if opened[0] is not None:
            languages.append(opened[0])
        elif opened[1].skipped:
            warn(f"  {language}: skipped in {group}: none of its {opened[1].skipped} examples fits a row")
    _warn_of_cuts(group, skipped, truncated, cut_targets)
    weights = _weights(recipe.tokens, {rows.language: rows.tokens for rows in languages})
    kept = tuple(rows for rows in languages if weights.get(rows.language))
    if not kept:
        raise _no_rows(tokens, group, capacity, skipped)
    check_outputs(tokens)
    return Loader(
        family=family,
        languages=kept,
        weights={rows.language: weights[rows.language] for rows in kept},
        capacity=capacity,
        rows_per_step=recipe.training.global_batch_rows,
        tokenizer=tokenizer,
        group_names=group_names,
        skipped=skipped,
        truncated=truncated,
        _blend=_order([weights[rows.language] for rows in kept], [rows.stream for rows in kept], group),
    )


def _warn_of_cuts(group: SplitName, skipped: int, truncated: int, cut_targets: int) -> None:
    if skipped or truncated:
        warn(f"  {group}: {skipped:,} examples do not fit a row and are skipped, {truncated:,} have truncated inputs")
    if cut_targets:
        warn(f"  {group}: {cut_targets:,} examples have truncated targets")


def _no_rows(tokens: Path, group: SplitName, capacity: tuple[int, ...], skipped: int) -> NoExamplesError:
    if not skipped:
        return NoExamplesError(
            f"{tokens}: has no {group} examples; change mixture.validation_fraction, or use more examples"
        )
    return NoExamplesError(
        f"{tokens}: no example of the {group} group fits a row of {' + '.join(map(str, capacity))} tokens "
        f"({skipped} too long); raise tokens.packing.sequence_length or the mixture's size"
    )


def _order(weights: list[float], streams: list[RowStream], group: SplitName) -> Blend | Once:
    return Blend(weights) if group == "train" else Once(weights, lambda stream, row: streams[stream].has(row))


def row_capacity(packing: Packing, family: Family) -> tuple[int, ...]:
    """Return the tokens of a row on each side; a causal row has one more than the model reads."""
    if family == "causal":
        return (packing.sequence_length + 1,)
    return (packing.sequence_length, packing.target_length or packing.sequence_length)


def _open_language(
    folder: Path,
    details: TokenDetails,
    language: str,
    group: SplitName,
    tokens: Tokenization,
    capacity: tuple[int, ...],
    seed: int,
    group_names: list[tuple[str, str]],
    shared: _Shared,
) -> tuple[LanguageRows | None, Fitted]:
    """Open one language; None in place of its rows where nothing of it fits."""
    prefix = store_prefix(folder, details.prefix, language)
    masks = open_store(prefix.masks) if prefix.has_masks else None
    pair = Pair(open_store(prefix.inputs), open_store(prefix.targets), masks)
    count = len(pair.targets)
    clusters = _read_clusters(prefix.clusters, len(details.clusters))
    if len(pair.inputs) != count or len(clusters) != count:
        raise DataError(f"{prefix.inputs}: {len(pair.inputs)} inputs, {count} targets, {len(clusters)} clusters")
    if masks is not None and not np.array_equal(masks.index.sizes, pair.targets.index.sizes):
        raise DataError(f"{prefix.masks}: its masks and targets differ in length; delete the folder to rebuild it")
    held_out = details.languages[language].validation
    last = split_bounds(count, details.validation_fraction)[0] if held_out is None else count - held_out
    first, end = (0, last) if group == "train" else (last, count)
    fitted = shared.fitted(
        lambda: fit_items(
            np.array(pair.inputs.index.sizes[first:end]),
            np.array(pair.targets.index.sizes[first:end]),
            capacity,
            tokens.packing.overlong,
            overlong_targets=tokens.packing.overlong_targets,
            keep_first=len(details.ends.begin_of_inputs),
            keep_last=bool(details.ends.end_of_inputs),
            where=f"{folder}: {language} ({group})",
        )
    )
    fitting = fits(fitted.sizes, capacity)
    if not fitting.any():
        return None, fitted
    packing = tokens.packing
    # BLOOMZ gives every language the same seed; elsewhere languages of equal size must not run in step.
    own_seed: int | list[int] = seed if packing.policy == "next_fit" else [seed, *language.encode(), len(group)]
    chunks = pack(packing.policy, fitted.sizes, capacity, own_seed, packing.window)
    if group == "validation":
        chunks = one_pass(chunks, fitted.sizes, capacity, alone=packing.policy == "pad")
    rows = LanguageRows(
        language,
        pair,
        first,
        fitted,
        shared.groups(
            _group_numbers(clusters[first:end], details.clusters, language, group_names), clusters[first:end]
        ),
        RowStream(shared.rows(chunks)),
        int(fitted.sizes[:, fitting].sum()),
    )
    return rows, fitted


@dataclass(frozen=True, slots=True)
class _Shared:
    """What of one language and group the processes of a machine share.

    Attributes:
        shelf: Where.
        name: Of the language, the group, and all that decides about them.
    """

    shelf: Shelf
    name: str

    def fitted(self, fit: Callable[[], Fitted]) -> Fitted:
        """Return what is left of each item."""

        def make() -> list[npt.NDArray[Any]]:
            found = fit()
            counts = np.array([found.skipped, found.truncated, found.cut_targets], dtype=np.int64)
            return [found.sizes, found.head, found.tail, found.target, counts]

        sizes, head, tail, target, counts = self.shelf.arrays(f"{self.name}-fitted", make)
        return Fitted(sizes, head, tail, target, *map(int, counts))

    def groups(self, numbers: npt.NDArray[np.int32], clusters: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
        """Return the group of each item."""
        groups: npt.NDArray[np.int32] = self.shelf.arrays(f"{self.name}-groups", lambda: [numbers[clusters]])[0]
        return groups

    def rows(self, chunks: Iterator[Rows]) -> Iterator[Rows]:
        """Yield the rows."""
        return self.shelf.rows(f"{self.name}-rows", chunks)


def _tokenizer(tokens: Path, details: TokenDetails) -> Tokenizer:
    folder = tokenizer_of(tokens).resolve()  # never taken for an id of the hub
    if not folder.is_dir():
        raise DataError(f"{folder}: missing; delete {tokens} to rebuild it")
    tokenizer = load_tokenizer(folder)
    if tokenizer.fingerprint != details.tokenizer:
        raise DataError(f"{folder}: is not the tokenizer with which the token files were built")
    return tokenizer


def _read_clusters(path: Path, number: int) -> npt.NDArray[np.uint16]:
    try:
        clusters: npt.NDArray[np.uint16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete the folder to rebuild it") from None
    if clusters.dtype != np.uint16 or clusters.ndim != 1 or clusters.max(initial=0) >= max(number, 1):
        raise DataError(f"{path}: does not contain the task clusters of its language; delete the folder to rebuild it")
    return clusters


def _group_numbers(
    clusters: npt.NDArray[np.uint16], names: list[str], language: str, group_names: list[tuple[str, str]]
) -> npt.NDArray[np.int32]:
    """Return the group of each cluster; new (language, cluster) pairs are appended to ``group_names``."""
    number = np.full(len(names), -1, dtype=np.int32)
    for cluster in np.unique(clusters):
        number[cluster] = len(group_names)
        group_names.append((language, names[cluster]))
    return number


def _weights(tokens: Tokenization, sizes: dict[str, int]) -> dict[str, float]:
    """Return the weight of each language, from its tokens or as given, times its multiplier.

    With a temperature of 2, 900 and 100 tokens weigh as 30 and 10.
    """
    given: Any = tokens.weights
    if isinstance(given, dict) and "temperature" in given:
        total, power = max(1, sum(sizes.values())), 1.0 / given["temperature"]
        weights = {language: (size / total) ** power for language, size in sizes.items()}
    elif isinstance(given, dict):
        named = _named(given, "tokens.weights")
        missing = sorted(set(sizes) - set(named))
        if missing:
            raise ConfigError(f"tokens.weights: no weight for {', '.join(missing)}; give 0 to exclude a language")
        weights = {language: named[language] for language in sizes}
    else:
        weights = {language: float(size) if given == "size" else 1.0 for language, size in sizes.items()}
    factors = _named(tokens.multipliers, "tokens.multipliers")
    weights = {language: weight * factors.get(language, 1.0) for language, weight in weights.items()}
    for language, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ConfigError(f"tokens.weights: the weight of {language} is {weight}; it must be 0 or more")
    total = sum(weights.values())
    return {language: weight / total for language, weight in weights.items()} if total else {}


def _named(given: Mapping[str, float], where: str) -> dict[str, float]:
    """Return the numbers by code.

    Raises:
        ConfigError: Two keys name the same language.
    """
    named: dict[str, float] = {}
    spelt: dict[str, str] = {}
    for name, value in given.items():
        code = normalize_language(name, where)
        if code in spelt:
            raise ConfigError(
                f"{where}: {spelt[code]!r} and {name!r} are the same language ({code}); give it one number"
            )
        named[code], spelt[code] = float(value), name
    return named
