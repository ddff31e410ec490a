"""What a card tells of training and data, taken from the run's recipe and manifests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import YAMLError

from xmtf.artefacts.checksums import check_file
from xmtf.artefacts.manifest_parts import MixtureDetails, ModelDetails, TrainCounts
from xmtf.execution import warn
from xmtf.files import read_jsonl
from xmtf.languages.codes import CODE, get_language
from xmtf.report.collect import Run
from xmtf.report.reference import published_models
from xmtf.run_folder import RunFolder

__all__ = ["CardFacts", "base_model", "data_text", "facts_of", "licence", "training_text"]

_HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@[\w./-]+)?", re.ASCII)


_MIXTURES = {"xP3": "bigscience/xP3", "xP3mt": "bigscience/xP3mt", "P3": "bigscience/P3"}
"""What published models were finetuned on -> its hub id."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known of a model that others trained.

    Attributes:
        licence: As the hub writes it, or None.
        datasets: Hub ids of what it was trained on, or None.
        languages: Codes, or None.
        base: Hub id of the model that was finetuned, or None.
    """

    licence: str | None = None
    datasets: list[str] | None = None
    languages: list[str] | None = None
    base: str | None = None


def facts_of(model: str) -> CardFacts:
    """Return what the card in a model's folder says, or what is known of a published model; else nothing.

    Args:
        model: Reference of a model: a folder, or a hub id with or without its revision.
    """
    card = Path(model) / "README.md"
    if model and card.is_file():
        return _told_by(card)
    name = model.partition("@")[0]
    facts = next((facts for facts in published_models().values() if facts.hub_id == name), None)
    if facts is None:
        return CardFacts()
    mixture = _MIXTURES.get(facts.mixture)
    return CardFacts(facts.licence or None, [mixture] if mixture else None, base=facts.base or None)


def _told_by(card: Path) -> CardFacts:
    from huggingface_hub import ModelCard, ModelCardData

    try:
        data = ModelCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
    except (ValueError, TypeError, KeyError, YAMLError) as error:
        warn(f"{card}: its header cannot be read, so the new card lists no licence and no datasets ({error})")
        return CardFacts()
    assert isinstance(data, ModelCardData)
    licence, base = (one if isinstance(one, str) else None for one in (data.license, data.base_model))
    return CardFacts(licence, _listed(data.datasets), _listed(data.language), base)


def _listed(value: object) -> list[str] | None:
    names = [value] if isinstance(value, str) else value
    return [str(name) for name in names] or None if isinstance(names, list) else None


def training_text(run: Run) -> str:
    """Return facts of training as a list; what no manifest says is left out."""
    folder = RunFolder(run.folder).model
    details = ModelDetails() if run.model is None else ModelDetails.of(run.model, folder)
    counts = TrainCounts() if run.model is None else TrainCounts.of(run.model, folder)
    training = run.recipe["training"]
    facts = {
        "starting from": base_model(run) or run.recipe["model"]["base"] or "random weights",
        "parameters": _count(counts.num_parameters),
        "steps": None if run.model is None else _count(counts.step),
        "tokens": _tokens(counts),
        "rows of a step": _count(training["global_batch_rows"]),
        "precision": training["precision"],
        "loss weighting": training["loss"],
        "optimizer": _optimizer(training["optimizer"], training["schedule"]),
        "layout": details.layout,
        "hardware": details.hardware,
        "training time": f"{counts.seconds / 60:,.1f} min" if counts.seconds else None,
        "software": ", ".join(f"{name} {version}" for name, version in details.versions.items()) or None,
        "held out": "; ".join(_held_out(run)) or "nothing",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None)


def data_text(run: Run) -> str:
    """Return what the mixture is made of: counts by task cluster, languages, sources and their licences."""
    if not run.composition.num_rows:
        return "The run folder has no mixture."
    clusters: dict[str, int] = {}
    for row in run.composition.to_pylist():
        clusters[row["cluster"]] = clusters.get(row["cluster"], 0) + row["rows"]
    languages = sorted(set(run.composition["language"].to_pylist()))
    datasets = sorted(set(run.composition["dataset"].to_pylist()))
    names = ", ".join(f"{code}" if code == CODE else f"{get_language(code).name} ({code})" for code in languages)
    lines = [
        f"{sum(clusters.values()):,} prompted examples from {len(datasets)} datasets in {len(languages)} languages: "
        f"{names}.",
        "",
        "| task cluster | examples |",
        "| --- | ---: |",
        *(f"| {name} | {count:,} |" for name, count in sorted(clusters.items(), key=lambda pair: -pair[1])),
    ]
    licences = _licences(run)
    if licences:
        lines += ["", "| dataset | licence |", "| --- | --- |"]
        lines += [f"| {name} | {licences.get(name, 'not stated')} |" for name in datasets]
    return "\n".join(lines)


def licence(run: Run) -> str | None:
    """Return the licence of the base model as the hub writes it, where it is one of the published models."""
    base = base_model(run)
    return next((facts.licence for facts in published_models().values() if facts.hub_id == base), None)


def base_model(run: Run) -> str | None:
    """Return the hub id of the pretrained model, without its revision; files and packages are no id of the hub."""
    base = run.recipe["model"]["base"] or ""
    match = _HUB_ID.fullmatch(base)
    return match["id"] if match is not None and not base.endswith(".gguf") and not Path(base).exists() else None


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _tokens(counts: TrainCounts) -> str | None:
    if not counts.tokens:
        return None
    real = counts.real_tokens
    return f"{counts.tokens:,}" + (f", {real:,} without padding" if real else ", padding included")


def _optimizer(optimizer: dict[str, Any], schedule: dict[str, Any]) -> str:
    return f"{optimizer['name']}, learning rate {optimizer['learning_rate']:g}, {schedule['name']} schedule"


def _held_out(run: Run) -> list[str]:
    held_out = run.recipe["mixture"]["held_out"]
    kinds = [kind for kind in ("clusters", "datasets", "languages", "templates") if held_out.get(kind)]
    mixture = RunFolder(run.folder).mixture
    suites = MixtureDetails.of(run.mixture, mixture).suites if run.mixture is not None else ()
    return [
        *(f"{kind} {', '.join(held_out[kind])}" for kind in kinds),
        *(f"of the suite {each.suite} {', '.join(each.held_out) or 'nothing'}" for each in suites),
    ]


def _licences(run: Run) -> dict[str, str]:
    """Return dataset -> licence, as the mixture's manifest or its slices say."""
    mixture = RunFolder(run.folder).mixture
    if not (mixture / "slices.jsonl").exists():
        return {}
    check_file(mixture, "slices.jsonl")
    return {line["dataset"]: line["licence"] for line in read_jsonl(mixture / "slices.jsonl") if line.get("licence")}
