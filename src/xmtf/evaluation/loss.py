"""Loss on the targets of a mixture, language by language, and on plain text: how surprised a model is.

The numbers come from the same pass as rank classification, with the target as the only choice and its
end-of-text token scored, as in training. Two means are given: over tokens (its exponential is the
perplexity), and over targets of the mean over their tokens (what training with ``loss: target`` lowers).
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.artefacts.ownership import new_file
from xmtf.errors import ConfigError, DataError, SourceError
from xmtf.evaluation.asking.journal import answer_missing, plan_name, request_key
from xmtf.evaluation.asking.subject import load_subject, say_special_texts
from xmtf.evaluation.asking.waiting import waiting_answers
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.processes import require_one_process
from xmtf.evaluation.harness.texts import answer_texts
from xmtf.evaluation.suites.setup import Setup
from xmtf.files import read_manifest
from xmtf.mixture import mixture_languages, read_mixture
from xmtf.mixture.validation import ROW_COLUMNS, held_out_rows, validation_limits
from xmtf.records import Origin, Request
from xmtf.results.estimates import percentiles, resampled_values
from xmtf.results.resampling import JobCounts, Resamples, row_set
from xmtf.sources.files.kinds import kind_of
from xmtf.sources.files.lines import read_whole_text
from xmtf.sources.tables import read_blocks
from xmtf.text.table import aligned

__all__ = ["MixtureLoss", "Part", "loss_lines", "mixture_loss", "summarize", "text_loss"]

Part = Literal["validation", "train", "all"]
"""Which rows of each language: the tail kept for validation, the rest, or both."""


@dataclass(frozen=True, slots=True)
class MixtureLoss:
    """Loss on one language of a mixture, or on all of it.

    Attributes:
        language: Code, or ``all``.
        targets: Targets scored.
        tokens: Their tokens, end of text included.
        per_token: Mean negative log-probability of a token, natural log.
        perplexity: Its exponential.
        per_target: Mean over targets of the mean over their tokens.
        low: Lower end of the 95 % interval of ``per_target``; nan where there is one row alone.
        high: Upper end.
        failed: Targets that could not be scored.
    """

    language: str
    targets: int
    tokens: int
    per_token: float
    perplexity: float
    per_target: float
    low: float
    high: float
    failed: int


def mixture_loss(
    setup: Setup,
    mixture: Path,
    *,
    model: str,
    part: Part = "validation",
    limit: int | None = None,
    out: Path | None = None,
    replace: bool = False,
) -> list[MixtureLoss]:
    """Measure the loss of a model on a mixture.

    Args:
        setup: How texts become ids, device and batches.
        mixture: Folder of a mixture.
        model: Folder, GGUF file or hub id.
        part: Which rows.
        limit: Most rows of each language, the first of the part.
        out: JSONL file to write to; none by default. With one, the same call resumes what was killed.
        replace: Whether a file that is there is overwritten.

    Returns:
        One entry per language, then one for all together.

    Raises:
        DataError: Not a mixture.
        ConfigError: The part has no rows, ``out`` already exists, or there are several processes.
    """
    require_one_process("evaluate loss")
    new_file(out, replace=replace)
    requests = {language: rows for language, rows in _requests(mixture, part, limit) if rows}
    if not requests:
        raise ConfigError(f"{mixture}: has no {part} rows; use another part, or a larger mixture")
    subject = load_subject(setup, model, model)
    subject = dataclasses.replace(subject, rules=dataclasses.replace(subject.rules, end_of_choices=True))
    with waiting_answers(out, subject.identity(setup), replace=replace) as waiting:
        asked = {request_key(request): request for request in chain(*requests.values())}
        answer_missing(
            waiting.journal,
            asked,
            plan_name(list(asked), subject.batch_tokens),
            lambda chosen, known: subject.ask(chosen, known=known),
            label="measuring loss",
            unit="targets",
        )
        say_special_texts(subject)
        found = {
            language: [waiting.journal.answer(request_key(row)) for row in rows] for language, rows in requests.items()
        }
        origins = {language: [request.origin for request in rows] for language, rows in requests.items()}
        losses = [summarize(language, answers, origins[language]) for language, answers in found.items()]
        losses.append(summarize("all", list(chain(*found.values())), list(chain(*origins.values()))))
        waiting.write(map(asdict, losses))
    return losses


def text_loss(
    setup: Setup,
    files: Sequence[Path],
    *,
    model: str,
    limit: int | None = None,
    out: Path | None = None,
    replace: bool = False,
) -> list[MixtureLoss]:
    """Measure the loss of a model on plain text, each token after all that are before it.

    Args:
        setup: Device and batches.
        files: Files of rows (JSON lines, CSV, Parquet, ...) with the column ``text``, or text files whose paragraphs
            are the texts.
        model: Folder, GGUF file or hub id.
        limit: Most texts of each file, its first.
        out: As of :func:`mixture_loss`.
        replace: As of :func:`mixture_loss`.

    Returns:
        One entry per file, named by it, then one for all together; ``targets`` are texts.

    Raises:
        SourceError: A file cannot be read, or has no text.
        ConfigError: ``out`` already exists, or there are several processes.
    """
    require_one_process("evaluate loss")
    new_file(out, replace=replace)
    texts = {str(path): _texts(path)[:limit] for path in files}
    subject = load_subject(setup, model, model)
    with waiting_answers(out, subject.identity(setup), replace=replace) as waiting:
        found = answer_texts(subject, waiting.journal, texts, label="measuring loss")
        say_special_texts(subject)
        losses = [summarize(name, answers) for name, answers in found.items()]
        losses.append(summarize("all", list(chain(*found.values()))))
        waiting.write(map(asdict, losses))
    return losses


def _texts(path: Path) -> list[str]:
    if kind_of(path) is None:
        texts = read_whole_text(path).split("\n\n")
    else:
        texts = [text for block in read_blocks(path) for text in _column(block, path)]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise SourceError(f"{path}: has no text")
    return texts


def _column(block: pa.Table, path: Path) -> list[str]:
    """Return the column ``text`` of some rows."""
    if "text" not in block.column_names:
        raise SourceError(f"{path}: has no field `text`; it has {', '.join(block.column_names)}")
    texts = block.column("text")
    if texts.null_count:
        raise SourceError(f"{path}: a line has no field `text`, or it is null; remove the line")
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise SourceError(f"{path}: its field `text` holds values of type {texts.type}; write them as text, in quotes")
    found: list[str] = texts.to_pylist()
    return found


def _requests(mixture: Path, part: Part, limit: int | None) -> Iterator[tuple[str, list[Request]]]:
    fraction = MixtureDetails.of(read_manifest(mixture), mixture).validation_fraction
    if fraction is None:
        raise DataError(f"{mixture}: does not record which part of it is for validation; rebuild it")
    limits = validation_limits(mixture, fraction) if part != "all" else {}
    for language in mixture_languages(mixture):
        rows: list[Request] = []
        columns = ["inputs", "targets", "task", *ROW_COLUMNS]
        for table in read_mixture(mixture, language=language, columns=columns):
            chosen = table
            if part != "all":
                is_held_out = held_out_rows(table, limits[language])
                chosen = table.filter(is_held_out if part == "validation" else ~is_held_out)
            chosen = chosen.slice(0, None if limit is None else limit - len(rows))
            rows += [
                Request(
                    row["inputs"],
                    (row["targets"],),
                    0,
                    (row["targets"],),
                    Origin(row["task"], "", row["split"], row["row"]),
                )
                for row in chosen.to_pylist()
            ]
            if limit is not None and len(rows) >= limit:
                break
        yield language, rows


def summarize(language: str, answers: Sequence[Answer], origins: Sequence[Origin] | None = None) -> MixtureLoss:
    """Sum up the scores of targets, each the only choice of its request.

    Args:
        language: Code, or a name.
        answers: One a target.
        origins: Row of each target: targets of one row are resampled together. By default each is its own row.
    """
    scored = [(-answer.scores[0], answer.num_tokens[0]) for answer in answers if answer.error is None]
    if not scored:
        nan = math.nan
        return MixtureLoss(language, 0, 0, nan, nan, nan, nan, nan, len(answers))
    origins = origins or [Origin("", "", "", place) for place in range(len(answers))]
    tokens = sum(count for _, count in scored)
    per_token = math.fsum(loss for loss, _ in scored) / tokens
    means = [loss / count for loss, count in scored]
    low, high = _interval(
        means, [origin for origin, answer in zip(origins, answers, strict=True) if answer.error is None]
    )
    return MixtureLoss(
        language=language,
        targets=len(scored),
        tokens=tokens,
        per_token=per_token,
        perplexity=math.exp(min(per_token, 700.0)),
        per_target=math.fsum(means) / len(means),
        low=low,
        high=high,
        failed=len(answers) - len(scored),
    )


def _interval(means: Sequence[float], origins: Sequence[Origin]) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over targets: rows are drawn, each with all of its templates."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, origin in enumerate(origins):
        places[row_set("", origin.dataset, origin.split)].append(place)
    jobs = [
        JobCounts(
            rows_of,
            np.array([origins[place].row for place in members], dtype=np.int64),
            np.array([(means[place], 1.0) for place in members]),
        )
        for rows_of, members in places.items()
    ]
    resamples = Resamples(jobs)
    if resamples.num_rows < 2:
        return math.nan, math.nan
    return percentiles(resampled_values("loss", jobs, resamples))


def loss_lines(losses: Sequence[MixtureLoss]) -> list[str]:
    """Return the losses as lines of aligned columns."""
    rows = [("language", "targets", "tokens", "per token", "perplexity", "per target")]
    for loss in losses:
        interval = "" if math.isnan(loss.low) else f" [{loss.low:.3f}, {loss.high:.3f}]"
        per_target = f"{loss.per_target:.3f}{interval}"
        failed = f"  {loss.failed} failed" if loss.failed else ""
        counts = (f"{loss.targets:,}", f"{loss.tokens:,}")
        rows.append((loss.language, *counts, f"{loss.per_token:.3f}", f"{loss.perplexity:.4g}", per_target + failed))
    return aligned(rows, numbers=range(1, 5))
