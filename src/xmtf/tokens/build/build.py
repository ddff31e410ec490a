"""Tokenise a mixture: a shard task for each of its Parquet shards, then one pair of stores a language.

Finished shards stay when the work is interrupted, and are not done again.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from xmtf.artefacts.checksums import check_outputs, remembered_sha256
from xmtf.artefacts.manifest_parts import MixtureCounts, SpecialIds, TokenCounts, TokenDetails
from xmtf.artefacts.ownership import check_ours, claim, free_name, refuse_loss, stage_of
from xmtf.errors import ConfigError, DataError
from xmtf.execution import (
    Plan,
    ShardTask,
    check_engine,
    num_workers,
    read_plan,
    run_shown,
    run_task,
    say,
    share_of,
    warn,
    write_plan,
)
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    alone_in,
    atomic_path,
    content_hash,
    discard_folder,
    file_sha256,
    is_finished,
    link_or_copy,
    read_manifest,
    slug,
    sweep,
    write_manifest,
)
from xmtf.guards.alone import alone_at
from xmtf.json_types import JsonObject
from xmtf.mixture.io.read import mixture_files
from xmtf.mixture.validation import validation_limits
from xmtf.recipe.effects import FORMATS, marked, stage_fingerprint
from xmtf.recipe.load import LoadedRecipe
from xmtf.recipe.schema import Execution, Recipe, Tokenization
from xmtf.recipe.sections.chat import read_template
from xmtf.recipe.sections.tokenization import TokenCaps
from xmtf.records import Family
from xmtf.run_folder import tokenizer_of
from xmtf.tokens.build.caps import check_caps
from xmtf.tokens.build.conversations import ChatRules, plan_chat, spec_of
from xmtf.tokens.build.encode import Ends
from xmtf.tokens.build.sampling import sample_texts
from xmtf.tokens.store.index import choose_dtype
from xmtf.tokens.tokenizer.composed import composed_line
from xmtf.tokens.tokenizer.ends import begin_of_inputs
from xmtf.tokens.tokenizer.loading import hub_tokenizer_files, load_tokenizer, tokenizer_files
from xmtf.tokens.tokenizer.special_texts import special_line
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.training import train_tokenizer

__all__ = ["run_token_tasks", "tokenize_mixture", "tokenizer_for", "tokens_fingerprint", "write_tokens_plan"]

_FORMAT = FORMATS["tokens"]
_ENCODE = "xmtf.tokens.build.encode:encode_shard"
_SHARDS = "shards"
_LANGUAGES = "languages"
_STAGE = "tokens"
_PLAN = "plan.jsonl"
"""File in the folder of the shards with their tasks, for a build on many machines."""
_INLINE_TOKENS = 2**26
"""Languages with fewer tokens together are joined here: that takes a second, and workers take longer to start."""
_DEFAULT_VOCAB_SIZE = 8192


@dataclass(frozen=True, slots=True)
class _Encoding:
    """What every shard is encoded with."""

    tokenizer: Tokenizer
    ends: Ends
    chat: ChatRules | None


def tokenize_mixture(
    loaded: LoadedRecipe,
    mixture: Path,
    out: Path,
    *,
    family: Family,
    base: str | None = None,
    replace: bool = False,
) -> Manifest:
    """Turn a mixture into token files, or return the manifest of the finished folder.

    Args:
        loaded: The recipe.
        mixture: Folder of a finished mixture.
        out: Folder that receives ``tokenizer/``, the token files and ``manifest.json``.
        family: Decides the special tokens of a trained tokenizer, and ``space_before_targets: auto``.
        base: Pretrained model whose tokenizer is taken where the recipe names none.
        replace: Whether they may take the place of finished token files of another recipe.

    Raises:
        ConfigError: ``out`` belongs to another stage, the mixture is not built, the tokenizer does not fit, or no row
            has two filled sides.
        DataError: A file of the mixture is missing or damaged; names it.
        UserError: Another process writes token files there.
    """
    watch, recipe = Stopwatch(), loaded.recipe
    prefix = slug(recipe.name)
    if not (mixture / MANIFEST).is_file():
        raise ConfigError(f"{mixture}: the mixture is not finished; build it first")
    settings, inputs = _depends_on(loaded, read_manifest(mixture).fingerprint, family, base)
    fingerprint = stage_fingerprint("tokens", settings, inputs)
    if _stands(out, fingerprint):
        if any((out / name).exists() for name in (_SHARDS, _LANGUAGES)):  # of a run that was killed at its very end
            with alone_in(out / _SHARDS, what="work"):
                _tidy(out)
        return read_manifest(out)
    with _preparing(loaded, mixture, out, family, base, replace=replace) as encoding:
        tokenizer, ends, chat = encoding.tokenizer, encoding.ends, encoding.chat
        counts, languages, clusters, files = _encode_all(mixture, out, encoding, recipe)
        _say_counts(counts, with_chat=chat is not None)
        details = TokenDetails(
            languages=languages,
            clusters=clusters,
            dtype=choose_dtype(tokenizer.vocab_size).name,
            family=family,
            prefix=prefix,
            validation_fraction=recipe.mixture.validation_fraction,
            ends=ends,
            begin_of_inputs=tokenizer.begin_text,
            tokenizer=tokenizer.fingerprint,
            vocab_size=tokenizer.vocab_size,
            special=SpecialIds(tokenizer.pad, tokenizer.eos, tokenizer.bos),
        )
        saved = sorted((tokenizer_of(out)).iterdir())
        outputs = files | {str(path.relative_to(out)): file_sha256(path) for path in saved}
        written = (counts.to_json(), details.to_json())
        manifest = Manifest("tokens", fingerprint, settings, inputs, outputs, *written, wall_time_s=watch.seconds)
        write_manifest(out, manifest)
        _tidy(out)
    return manifest


def write_tokens_plan(
    loaded: LoadedRecipe, mixture: Path, out: Path, *, family: Family, base: str | None = None, replace: bool = False
) -> int:
    """Prepare the tokenisation on many machines: write the tokenizer and the plan; return the number of shard tasks.

    Of token files that are finished already the plan has none. Arguments and errors are those of
    :func:`tokenize_mixture`, which finds the finished shards and completes the folder.
    """
    if not (mixture / MANIFEST).is_file():
        raise ConfigError(f"{mixture}: the mixture is not finished; build it first")
    fingerprint = tokens_fingerprint(loaded, read_manifest(mixture).fingerprint, family=family, base=base)
    if _stands(out, fingerprint):
        with alone_in(out / _SHARDS, what="work"):
            write_plan(out / _SHARDS / _PLAN, Plan(_ENCODE))
        return 0
    with _preparing(loaded, mixture, out, family, base, replace=replace) as encoding:
        plan = _plan(mixture_files(mixture), mixture, out, encoding, loaded.recipe)
        write_plan(out / _SHARDS / _PLAN, plan)
    return len(plan.tasks)


def run_token_tasks(out: Path, index: int, jobs: int | None = None) -> Iterator[tuple[int, JsonObject]]:
    """Encode shards of a written plan, unless they are done; yield the number of each and what it reports.

    Args:
        out: Folder of the token files.
        index: The task; with ``jobs`` the job, from 0.
        jobs: Share the tasks among so many jobs.

    Raises:
        DataError: No plan is written for ``out``.
        ConfigError: The plan has no such task, or there is no such job.
    """
    path = out / _SHARDS / _PLAN
    if not path.exists():
        raise DataError(f"{path}: there is no plan; write one with `xmtf data plan RECIPE --write --step tokens`")
    plan = read_plan(path)
    numbers = share_of(path, plan, index, jobs)
    with alone_in(out / _SHARDS, what="work", with_helpers=True):
        for number in numbers:
            yield number, run_task(plan, number, out / _SHARDS)


def _stands(out: Path, fingerprint: str) -> bool:
    """Return whether the token files are finished; leftovers of killed processes are swept."""
    if out.is_dir() and stage_of(out) == _STAGE:
        sweep(out)
    return is_finished(out, fingerprint)


@contextlib.contextmanager
def _preparing(
    loaded: LoadedRecipe, mixture: Path, out: Path, family: Family, base: str | None, *, replace: bool
) -> Iterator[_Encoding]:
    """Hold ``out``, with the tokenizer in it that its shards are encoded with."""
    recipe = loaded.recipe
    check_ours(out, "token files", (_STAGE,))
    if (out / MANIFEST).exists() and not replace:
        refuse_loss(out, ["the finished token files there"], f"another --out, such as {free_name(out)},")
    _check_caps(recipe, mixture)
    check_engine(recipe.execution)
    check_outputs(mixture, lambda name: name.endswith(".parquet"))
    with contextlib.ExitStack() as held:
        held.enter_context(alone_at(out))
        claim(out, _STAGE, "token files")
        held.enter_context(alone_in(out / _SHARDS, what="work"))
        tokenizer = tokenizer_for(loaded, mixture, family=family, base=base)
        (out / MANIFEST).unlink(missing_ok=True)
        ends = _ends(recipe.tokens, tokenizer, family)
        # whoever loads an export with transformers gets what training read: of a causal model no end behind a prompt,
        # unless it was trained with one; an encoder-decoder's is also what ends its targets
        keep_end = family == "encoder-decoder" or bool(ends.end_of_inputs)
        tokenizer = tokenizer.adding(ends.begin_of_inputs, keep_end=keep_end)
        parts = [path for paths in mixture_files(mixture).values() for path in paths]
        chat, tokenizer = plan_chat(loaded, parts, tokenizer, family)
        tokenizer.save(tokenizer_of(out))
        yield _Encoding(tokenizer, ends, chat)


def _check_caps(recipe: Recipe, mixture: Path) -> None:
    """Refuse patterns of caps that match nothing of the mixture, as far as its manifest has counts."""
    counts = MixtureCounts.of(read_manifest(mixture), mixture)
    if recipe.tokens.cap_tokens is not None and counts.tasks:
        check_caps(recipe.tokens.cap_tokens, counts.languages, counts.tasks)


def tokens_fingerprint(loaded: LoadedRecipe, mixture: str, *, family: Family, base: str | None = None) -> str:
    """Return the fingerprint of the token files that :func:`tokenize_mixture` would make.

    Args:
        loaded: The recipe.
        mixture: Fingerprint of the mixture.
        family: As there.
        base: As there.
    """
    return stage_fingerprint("tokens", *_depends_on(loaded, mixture, family, base))


def _depends_on(
    loaded: LoadedRecipe, mixture: str, family: Family, base: str | None
) -> tuple[JsonObject, dict[str, str]]:
    """Return the settings and the hashes of the inputs that decide the token files."""
    choice = loaded.recipe.tokens.tokenizer
    if choice.path is None and base is not None and choice.train_vocab_size is not None:
        raise ConfigError(
            f"{loaded.path}: tokens.tokenizer.train_vocab_size: {base} already has a tokenizer; remove it"
        )
    settings = marked(loaded.recipe, "tokens", loaded.recipe) | {"family": family}
    template = read_template(loaded)
    named = {} if template is None else {"chat_template": content_hash(template)}
    return settings, {"mixture": mixture, "tokenizer": _identity(loaded, base), **named}


def _tidy(out: Path) -> None:
    """Delete unfinished work, and what killed processes left."""
    for name in (_SHARDS, _LANGUAGES):
        discard_folder(out / name)


def tokenizer_for(loaded: LoadedRecipe, mixture: Path, *, family: Family, base: str | None = None) -> Tokenizer:
    """Return the tokenizer of a recipe: the one it names, the base model's, or one trained on the mixture.

    Raises:
        ConfigError: It does not fit the family or ``model.vocab_size``.
        SourceError: It is not there.
    """
    recipe, choice = loaded.recipe, loaded.recipe.tokens.tokenizer
    if choice.path is not None:
        beside = loaded.path.parent / choice.path
        tokenizer = load_tokenizer(beside if beside.exists() else choice.path, offline=recipe.offline)
    elif base is not None:
        tokenizer = load_tokenizer(base, offline=recipe.offline)
    else:
        size = choice.train_vocab_size or recipe.model.vocab_size or _DEFAULT_VOCAB_SIZE
        say(f"  training a tokenizer of {size:,} tokens")
        space = recipe.tokens.wants_space(family)
        texts = sample_texts(mixture, choice.train_examples, recipe.mixture.validation_fraction, space=space)
        tokenizer = train_tokenizer(texts, size, family)
    if recipe.model.vocab_size is not None:
        tokenizer.require_fit(recipe.model.vocab_size, f"model.vocab_size of {loaded.path}")
    if family == "encoder-decoder" and tokenizer.pad == tokenizer.eos:
        raise ConfigError(f"{tokenizer.label}: has no padding token, with which an encoder-decoder starts decoding")
    return tokenizer


def _identity(loaded: LoadedRecipe, base: str | None) -> str:
    """Return what tells one tokenizer from another before it is read: the hash of its files."""
    ref = loaded.recipe.tokens.tokenizer.path or base
    if ref is None:
        return "trained on the mixture"
    beside = loaded.path.parent / ref
    path = beside if beside.exists() else Path(ref)
    files = tokenizer_files(path) or hub_tokenizer_files(ref, offline=loaded.recipe.offline)
    return content_hash([(file.name, remembered_sha256(file)) for file in files])


def _ends(tokens: Tokenization, tokenizer: Tokenizer, family: Family) -> Ends:
    if tokenizer.bos is None and tokens.end_of_inputs == "bos":
        raise ConfigError(f"tokens.end_of_inputs: {tokenizer.label} has no begin-of-text token")
    space = tokens.wants_space(family) and not tokenizer.puts_space
    return Ends(space, begin_of_inputs(tokens, tokenizer), tokens.end_of_inputs, tokens.end_of_targets)


def _say_counts(counts: TokenCounts, *, with_chat: bool) -> None:
    if with_chat:
        tell = warn if counts.shortened or any(counts.dropped.values()) else say
        tell(f"  {chat_line(counts)}")
    if counts.special_texts:
        say(f"  {special_line(counts.special_texts)}")
    if counts.composed_texts:
        warn(f"  {composed_line(counts.composed_texts)}")


def chat_line(counts: TokenCounts) -> str:
    """Describe how many items the chat template wrote, and how many of them lost something."""
    lost = f", {counts.shortened:,} of them truncated at the oldest exchanges" if counts.shortened else ""
    known = ("empty inputs", "empty targets")
    dropped = {reason: count for reason, count in counts.dropped.items() if count and reason not in known}
    left = "".join(f"; dropped: {count:,}: {reason}" for reason, count in sorted(dropped.items()))
    return f"the chat template rendered {counts.conversations:,} conversations{lost}{left}"


def _encode_all(
    mixture: Path, out: Path, encoding: _Encoding, recipe: Recipe
) -> tuple[TokenCounts, dict[str, TokenCounts], list[str], dict[str, str]]:
    """Encode every shard, merge every language; return counts, those of each language, clusters, hashes of files."""
    shards, dtype = mixture_files(mixture), choose_dtype(encoding.tokenizer.vocab_size)
    plan = _plan(shards, mixture, out, encoding, recipe)
    execution, prefix = recipe.execution, slug(recipe.name)
    with _one_thread_each(execution, len(plan.tasks)):
        results = run_shown(plan, out / _SHARDS, execution, "tokenising")
    total = _sum_counts(results)
    if total.out == 0:
        raise ConfigError(f"{mixture}: no example has tokens on both sides; dropped {total.dropped}")
    caps = recipe.tokens.cap_tokens
    if caps is not None:
        check_caps(caps, shards, {name for result in results for name in result["tasks"]})
    by_language: dict[str, list[tuple[ShardTask, JsonObject]]] = {language: [] for language in shards}
    for task, result in zip(plan.tasks, results, strict=True):
        by_language[task.spec["language"]].append((task, result))
    clusters = sorted({name for result in results for name in result["clusters"]})
    if total.tokens < _INLINE_TOKENS:
        execution = execution.model_copy(update={"engine": "inline"})
    merging = _merging(by_language, out, clusters, dtype, prefix, masked=encoding.chat is not None, caps=caps)
    files: dict[str, str] = {}
    left_out: dict[str, JsonObject] = {}
    for task, merged in zip(
        merging.tasks, run_shown(merging, out / _LANGUAGES, execution, "joining languages"), strict=True
    ):
        for name in merged["files"]:
            with atomic_path(out / name) as temporary:
                temporary.unlink()
                link_or_copy(out / _LANGUAGES / task.name / name, temporary)
        files |= merged["files"]
        left_out[task.name] = merged.get("left_out", {})
    languages = {
        name: _sum_counts([result for _, result in parts], [left_out[name]]) for name, parts in by_language.items()
    }
    return _sum_counts(results, left_out.values()), languages, clusters, files


def _merging(
    by_language: dict[str, list[tuple[ShardTask, JsonObject]]],
    out: Path,
    clusters: list[str],
    dtype: np.dtype[np.generic],
    prefix: str,
    *,
    masked: bool,
    caps: TokenCaps | None,
) -> Plan:
    """Return the plan of joining the shards of each language."""
    tasks = []
    for language, parts in by_language.items():
        spec = {
            "language": language,
            "prefix": prefix,
            "shards": [str((out / _SHARDS / task.name).resolve()) for task, _ in parts],
            "shards_hash": content_hash([task.fingerprint for task, _ in parts]),
            "names": [result["clusters"] for _, result in parts],
            "clusters": clusters,
            "dtype": dtype.str,
            "format": _FORMAT,
        } | ({"masked": True} if masked else {})
        if caps is not None:
            spec |= {"caps": caps.model_dump(), "tasks": [result["tasks"] for _, result in parts]}
        tasks.append(ShardTask(language, spec, float(sum(result["out"] for _, result in parts))))
    return Plan("xmtf.tokens.build.merge:merge_language", tuple(tasks))


def _plan(shards: dict[str, list[Path]], mixture: Path, out: Path, encoding: _Encoding, recipe: Recipe) -> Plan:
    tokenizer, chat = encoding.tokenizer, encoding.chat
    parts = {name: found for name, found in read_manifest(mixture).outputs.items() if name.endswith(".parquet")}
    for name in parts:
        if not (mixture / name).is_file():
            raise DataError(f"{mixture}: {name} is missing; delete the folder to rebuild it")
    tasks, limits = [], validation_limits(mixture, recipe.mixture.validation_fraction)
    for language, paths in shards.items():
        for path in paths:
            name = str(path.relative_to(mixture))
            if name not in parts:
                raise DataError(f"{mixture}: {name} is not in its manifest; delete the folder to rebuild it")
            spec = {
                "language": language,
                "shard": str(path.resolve()),
                "shard_hash": parts[name],
                "tokenizer": str(tokenizer_of(out).resolve()),
                "tokenizer_hash": tokenizer.fingerprint,
                "ends": asdict(encoding.ends),
                "begin_of_inputs": tokenizer.begin_text,
                "special_tokens": recipe.tokens.special_tokens,
                "dtype": choose_dtype(tokenizer.vocab_size).str,
                "validation": limits[language],
                "format": _FORMAT,
            }
            spec |= {} if chat is None else {"chat": spec_of(chat)}
            spec |= {} if recipe.tokens.cap_tokens is None else {"origins": True}
            rows = pq.read_metadata(path).num_rows
            tasks.append(ShardTask(f"{language}-{path.stem}", spec, cost=float(rows)))
    return Plan(_ENCODE, tuple(tasks))


@contextlib.contextmanager
def _one_thread_each(execution: Execution, tasks: int) -> Iterator[None]:
    """Keep workers of a pool from each starting a thread on every core."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    if min(num_workers(execution), tasks) > 1:
        os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _sum_counts(parts: list[JsonObject], left_out: Iterable[JsonObject] = ()) -> TokenCounts:
    """Add up what shards report, less what caps leave out."""
    keys = ("in", "out", "input_tokens", "target_tokens", "bytes", "validation")
    chat = {key: sum(part.get(key, 0) for part in parts) for key in ("conversations", "shortened")}
    reasons = {reason for part in parts for reason in part["dropped"]}
    dropped = {reason: sum(part["dropped"].get(reason, 0) for part in parts) for reason in sorted(reasons)}
    taken, out, inputs, targets, size, held_out = (sum(part[key] for part in parts) for key in keys)
    for capped in filter(None, left_out):
        inputs, targets = inputs - capped["input_tokens"], targets - capped["target_tokens"]
        size, out = size - capped["bytes"], out - sum(capped["dropped"].values())
        for reason, count in capped["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + count
    special = sum((Counter(part["special_texts"]) for part in parts), Counter[str]())
    composed = sum(part.get("composed_texts", 0) for part in parts)
    spelt = dict(sorted(special.items()))
    return TokenCounts(taken, out, inputs, targets, size, dropped, spelt, held_out, composed, **chat)
