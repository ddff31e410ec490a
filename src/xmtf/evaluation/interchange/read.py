"""Find out which harness wrote what lies in a folder or file, and read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xmtf.errors import DataError, SourceError, UnknownNameError
from xmtf.evaluation.interchange import bigscience, lighteval, lm_eval
from xmtf.evaluation.interchange.imported import Imported, check_importable, write_imported
from xmtf.evaluation.interchange.t_zero import read_merged_csv, read_t_zero
from xmtf.records import Score

__all__ = ["FORMATS", "import_results"]

FORMATS = ("lm-eval", "lighteval", "bigscience", "t-zero")
"""Layouts that are read: EleutherAI's harness, lighteval, BigScience's fork of the harness, t-zero."""


def import_results(
    source: Path, out: Path, *, model: str | None = None, layout: str | None = None, overwrite: bool = False
) -> list[Score]:
    """Read the results of another harness into a results folder.

    Args:
        source: A results file, or a folder that is searched for them.
        out: Results folder to write: ``scores.jsonl``, and ``items/`` where the harness kept items.
        model: What results call the model; default what the files say, else the folder's name.
        layout: One of ``FORMATS``; default whichever is found.
        overwrite: Whether results that are there are replaced.

    Returns:
        The scores.

    Raises:
        SourceError: Nothing there that could be read, or results of several models.
        UnknownNameError: No such layout.
        DataError: A file is broken.
    """
    if layout is not None and layout not in FORMATS:
        raise UnknownNameError("layout", layout, FORMATS, "--layout")
    check_importable(out, overwrite=overwrite)
    if not source.exists():
        raise SourceError(f"{source}: no such file or folder")
    models: dict[str, str] = {}
    found = [job for wanted in FORMATS if layout in (None, wanted) for job in _read(source, wanted, models)]
    # Files are read in the order of their names, which end with the time: of runs of one job the last stays.
    jobs = {(job.harness, job.dataset, job.config, job.split, job.template): job for job in found}.values()
    if not jobs:
        raise SourceError(
            f"{source}: no results of lm-eval or lighteval (results_*.json), of BigScience's fork (agg.*.json, "
            "slim.*.json) or of t-zero (results.json, merged.csv)"
        )
    if len(models) > 1 and model is None:
        raise SourceError(
            f"{source}: contains results of several models ({', '.join(models)}); import them one at a time"
        )
    name, fingerprint = next(iter(models.items()), (source.resolve().name, ""))
    return write_imported(
        jobs, out, model=model or name, fingerprint=fingerprint if len(models) == 1 else "", overwrite=overwrite
    )


def _read(source: Path, layout: str, models: dict[str, str]) -> Iterator[Imported]:
    """Yield the jobs of one layout, and note the models that its files are about."""
    if layout == "t-zero":
        yield from _read_t_zero(source)
        return
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    aggregates = {path.name.replace("agg.", "slim.", 1) for path in files if "agg." in path.name}
    for path in files:
        if path.suffix != ".json" or path.name in ("results.json", "merged.json") or path.name in aggregates:
            continue  # slim files repeat what agg files say
        told = _json(path)
        if layout == "lm-eval" and lm_eval.is_lm_eval(told):
            name, fingerprint = lm_eval.model_of(told)
            models[name] = fingerprint
            yield from lm_eval.read_lm_eval(path)
        elif layout == "lighteval" and lighteval.is_lighteval(told):
            name, fingerprint = lighteval.model_of(told)
            models[name] = fingerprint
            yield from lighteval.read_lighteval(path, told)
        elif layout == "bigscience" and bigscience.is_bigscience(told):
            models.setdefault(bigscience.model_of(told), "")
            yield from bigscience.read_bigscience(path)


def _json(path: Path) -> Any:
    """Read a JSON file in which numbers may be NaN, as Python writes them.

    Raises:
        DataError: It is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None


def _read_t_zero(source: Path) -> Iterator[Imported]:
    """Yield the jobs of a tree, or of a ``merged.csv`` where there is no tree."""
    if source.is_dir():
        found = False
        for job in read_t_zero(source):
            found = True
            yield job
        tables = [] if found else sorted(source.rglob("merged.csv"))
    else:
        tables = [source] if source.suffix == ".csv" else []
    for path in tables:
        yield from read_merged_csv(path)
