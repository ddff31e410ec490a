"""The last step of a build: write the parts, then everything that describes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from xmtf.artefacts.manifest_parts import MixtureCounts, MixtureDetails
from xmtf.errors import ConfigError
from xmtf.execution import Plan, run_shown
from xmtf.files import (
    Manifest,
    Stopwatch,
    atomic_folder,
    file_sha256,
    read_jsonl,
    read_manifest,
    write_jsonl,
    write_manifest,
    write_text,
)
from xmtf.mixture.describe.card import CardFacts, dataset_card
from xmtf.mixture.describe.composition import (
    COMPOSITION,
    OVERLAPS,
    QUARANTINE,
    SLICES,
    GroupCount,
    merge_composition,
    read_composition,
    totals,
)
from xmtf.mixture.plan.held_out import relatives_kept
from xmtf.mixture.plan.plan import MixturePlan
from xmtf.mixture.sort.merge import Shard, place_parts, plan_parts
from xmtf.recipe.effects import marked
from xmtf.tasks.prompting.drop_report import DropReport, explain_drop

__all__ = ["finish_mixture", "order_parts", "refresh_card"]


_CARD = "README.md"


def order_parts(plan: MixturePlan, shards: list[Shard], work: Path) -> tuple[Plan, MixtureCounts, DropReport]:
    """Decide which examples of finished shards stay, and in which part; the plan returned writes the parts.

    Raises:
        ConfigError: As :func:`finish_mixture`.
    """
    recipe = plan.loaded.recipe
    report = DropReport()
    for shard in shards:
        report.merge(shard.result)
    _refuse_errors(plan, report)
    parts = plan_parts(work, shards, recipe.mixture, recipe.execution)
    counts = _counts(shards)
    if not parts.tasks:
        raise ConfigError(f"{plan.loaded.path}: {_nothing_left(counts, report)}")
    return parts, counts, report


def finish_mixture(plan: MixturePlan, shards: list[Shard], work: Path, out: Path, watch: Stopwatch) -> Manifest:
    """Merge finished shards into ``out`` and describe it.

    Raises:
        ConfigError: No example is left; says what dropped them. Or lint finds errors, which ``mixture.lint`` refuses.
    """
    recipe = plan.loaded.recipe
    parts, counts, report = order_parts(plan, shards, work)
    results = run_shown(parts, work / "parts", recipe.execution, "writing")
    composition = merge_composition(result["composition"] for result in results)
    with atomic_folder(out, alone=True) as folder:
        names = list(place_parts(work, folder, parts))
        outputs = dict(zip(names, (result["sha256"] for result in results), strict=True))
        outputs |= _describe(plan, shards, composition, counts.dropped, work, folder)
        manifest = Manifest(
            "mixture",
            plan.fingerprint,
            recipe=plan.recipe,
            inputs=plan.inputs,
            outputs=outputs,
            counts=replace(
                _with_totals(counts, composition),
                missing=len(plan.gathered.missing),
                partial=len(plan.gathered.partial),
            ).to_json(),
            details=MixtureDetails(
                validation_fraction=recipe.mixture.validation_fraction,
                rows=_rows(names, results),
                card=_named(plan),
                suites=plan.suites,
                firsts=report.firsts,
                notes=tuple(report.notes),
                findings=tuple(report.findings),
                relatives=_relatives(plan, composition),
                missing=plan.gathered.missing,
                partial=plan.gathered.partial,
                versions=plan.gathered.versions,
            ).to_json(),
            wall_time_s=watch.seconds,
        )
        write_manifest(folder, manifest)
    return manifest


def refresh_card(plan: MixturePlan, out: Path) -> Manifest:
    """Return the manifest of a finished mixture, its card under the name and description that the recipe has now."""
    manifest = read_manifest(out)
    details = MixtureDetails.of(manifest, out)
    _refuse_errors(plan, DropReport.of(details))
    if details.card in (None, _named(plan)):
        return manifest
    write_text(out / _CARD, _card(plan, read_composition(out), MixtureCounts.of(manifest, out).dropped))
    manifest = replace(
        manifest,
        outputs=manifest.outputs | {_CARD: file_sha256(out / _CARD)},
        details=replace(details, card=_named(plan)).to_json(),
    )
    write_manifest(out, manifest)
    return manifest


def _relatives(plan: MixturePlan, composition: list[GroupCount]) -> dict[str, tuple[str, ...]]:
    languages = {code for (code,) in totals(composition, ["language"])}
    return relatives_kept(plan.loaded.recipe.mixture.held_out, languages)


def _refuse_errors(plan: MixturePlan, report: DropReport) -> None:
    if plan.loaded.recipe.mixture.lint != "error" or not (errors := report.errors()):
        return
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise ConfigError(
        f"{plan.loaded.path}: {errors[0]}{more}; fix the template, exclude it, or set mixture.lint to show"
    )


def _named(plan: MixturePlan) -> dict[str, Any]:
    """Return what the card says of the recipe and no other file does: the keys that ``continue`` a mixture."""
    return marked(plan.loaded.recipe, "mixture", plan.loaded.recipe, effects=("continues",))


def _counts(shards: list[Shard]) -> MixtureCounts:
    """Return examples in, out and dropped by reason, over all shards."""
    dropped = sum((_dropped_of(shard) for shard in shards), Counter[str]())
    total = sum(shard.result["in"] for shard in shards)
    return MixtureCounts(
        total,
        total - dropped.total(),
        dict(sorted(dropped.items())),
        sum(shard.result["overlaps"] for shard in shards),
    )


def _dropped_of(shard: Shard) -> Counter[str]:
    dropped = Counter(shard.result["dropped"])
    dropped.update(shard.dropped)
    return +dropped


def _nothing_left(counts: MixtureCounts, report: DropReport) -> str:
    if counts.rendered == 0:
        return "the mixture has no examples: its tasks have no rows"
    reasons = sorted(counts.dropped.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    if reasons[0][0] in report.firsts:
        return (
            f"none of {counts.rendered:,} examples is left in the mixture; dropped: {listed}; "
            f"{explain_drop(reasons[0][0], report.firsts[reasons[0][0]])}"
        )

    return (
        f"none of {counts.rendered:,} examples is left in the mixture; dropped: {listed}; "
        "relax mixture.min_input_characters, mixture.max_characters or mixture.held_out"
    )


def _with_totals(counts: MixtureCounts, composition: list[GroupCount]) -> MixtureCounts:
    def examples(*columns: str) -> dict[str, int]:
        return {": ".join(key): sums[0] for key, sums in totals(composition, columns).items()}

    return replace(
        counts,
        languages=examples("language"),
        clusters=examples("cluster"),
        datasets=examples("dataset"),
        tasks=examples("task"),
        templates=examples("task", "template"),
        characters={
            "inputs": sum(count.input_characters for count in composition),
            "targets": sum(count.target_characters for count in composition),
        },
    )


def _rows(names: list[str], results: list[dict[str, Any]]) -> dict[str, int]:
    return {name: result["rows"] for name, result in zip(names, results, strict=True)}


def _describe(
    plan: MixturePlan,
    shards: list[Shard],
    composition: list[GroupCount],
    dropped: dict[str, int],
    work: Path,
    folder: Path,
) -> dict[str, str]:
    """Write the files next to the parts; return their hashes."""
    write_jsonl(folder / COMPOSITION, (count.to_json() for count in composition))
    write_jsonl(folder / SLICES, _slice_lines(plan, shards))
    for name in (OVERLAPS, QUARANTINE):
        paths = [work / "shards" / shard.name / name for shard in shards]
        write_jsonl(folder / name, (line for path in paths if path.exists() for line in read_jsonl(path)))
    write_text(folder / _CARD, _card(plan, composition, dropped))
    names = (COMPOSITION, SLICES, OVERLAPS, QUARANTINE, _CARD)
    return {name: file_sha256(folder / name) for name in names}


def _card(plan: MixturePlan, composition: list[GroupCount], dropped: dict[str, int]) -> str:
    recipe = plan.loaded.recipe
    held_out = recipe.mixture.held_out
    facts = CardFacts(
        name=recipe.name,
        description=recipe.description,
        seed=recipe.seed,
        counts=composition,
        dropped=dropped,
        licences=plan.gathered.licences | {part.dataset: part.licence for part in plan.portions if part.licence},
        validation_fraction=recipe.mixture.validation_fraction,
        held_out={
            "languages": held_out.languages,
            "clusters": held_out.clusters,
            "templates": held_out.templates,
            "datasets": held_out.datasets,
        },
        suites=plan.suites,
        relatives=_relatives(plan, composition),
        missing=plan.gathered.missing,
        partial=plan.gathered.partial,
    )
    return dataset_card(facts)


def _slice_lines(plan: MixturePlan, shards: list[Shard]) -> list[dict[str, Any]]:
    lines = []
    for part, shard in zip(plan.portions, shards, strict=True):
        dropped = _dropped_of(shard)
        lines.append(
            {
                "language": part.language,
                "cluster": part.cluster,
                "task": part.task,
                "dataset": part.dataset,
                "subset": part.subset,
                "split": part.split,
                "licence": part.licence or None,
                "templates": list(part.templates),
                "in": shard.result["in"],
                "out": shard.result["in"] - dropped.total(),
                "dropped": dict(sorted(dropped.items())),
            }
        )
    return lines
