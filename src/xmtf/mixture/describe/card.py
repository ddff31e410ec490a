"""The dataset card of a mixture: ``README.md`` with the metadata that ``datasets`` and the hub read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from xmtf import __version__
from xmtf.artefacts.manifest_parts import MissingSplit, SuiteHeldOut
from xmtf.languages.codes import CODE, get_language
from xmtf.mixture.describe.composition import GroupCount, totals
from xmtf.mixture.describe.licences import licence_rows, licence_summary

__all__ = ["CardFacts", "dataset_card"]

_COLUMNS = (
    ("inputs", "rendered prompt"),
    ("targets", "rendered answer"),
    ("choices", "answer choices that the prompt ranks over, or null"),
    ("language", "language of the targets"),
    ("prompt_language", "language that the template is written in"),
    ("translation", "how the template was translated into that language: none, human, machine"),
    ("task", "task id"),
    ("cluster", "task cluster"),
    ("dataset, subset, split, row", "the raw row"),
    ("template", "name of the template"),
)


_PROVENANCE = """\
Built by xmtf {version} with seed {seed}. `slices.jsonl` lists every source split with its templates and how many
examples were rendered and kept, `composition.jsonl` counts examples by language, prompt language, task and template,
and
`manifest.json` holds the resolved recipe, the fingerprint of every source and the SHA-256 of every file."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells.

    Attributes:
        name: Name of the recipe.
        description: Its description.
        seed: Its seed.
        counts: Composition of the mixture.
        dropped: Examples left out, by reason.
        licences: Dataset -> licence.
        validation_fraction: Share of each language that is meant for validation.
        held_out: What the mixture must not contain, by kind: ``languages``, ``clusters``, ``templates``, ``datasets``.
        suites: What is really held out of each evaluation suite of the recipe.
        relatives: Held-out language -> the members of its macrolanguage that the mixture holds.
        missing: Splits that were unavailable and were skipped.
        partial: Splits of which the hub converted only the beginning.
    """

    name: str
    description: str
    seed: int
    counts: list[GroupCount]
    dropped: dict[str, int]
    licences: dict[str, str]
    validation_fraction: float
    held_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    suites: Sequence[SuiteHeldOut] = ()
    relatives: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: Sequence[MissingSplit] = ()
    partial: Sequence[str] = ()


def dataset_card(facts: CardFacts) -> str:
    """Return the card as Markdown with a YAML header; ``datasets.load_dataset`` reads its ``configs``."""
    header = StringIO()
    yaml = YAML()
    yaml.version = (1, 2)
    yaml.allow_unicode = True
    yaml.dump(_quoted(_metadata(facts)), header)
    _, _, metadata = header.getvalue().rpartition("---\n")  # the version directive is not for the card
    return f"---\n{metadata}---\n\n{_body(facts)}"


_MISREAD = re.compile(r"(y|n|yes|no|on|off|true|false|null|~|=|<<|[-+.\d][-+.,:_\da-fox]*)?", re.IGNORECASE)
"""Texts that readers of YAML 1.1, such as datasets, take for something other than text: Norwegian is `no`."""


def _quoted(value: Any) -> Any:
    """Return the metadata with texts that YAML 1.1 would not read as text in quotes."""
    if isinstance(value, dict):
        return {key: _quoted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_quoted(part) for part in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and _MISREAD.fullmatch(value) else value


def _metadata(facts: CardFacts) -> dict[str, object]:
    languages = sorted({count.provenance.language for count in facts.counts})
    examples = sum(count.examples for count in facts.counts)
    return {
        "pretty_name": facts.name,
        "language": [language for language in languages if language != CODE],
        "license": "other",
        "multilinguality": ["multilingual" if len(languages) > 1 else "monolingual"],
        "size_categories": [_size_category(examples)],
        "task_categories": ["other"],
        "tags": ["prompts", "multitask finetuning", "xmtf"],
        "configs": [
            {"config_name": "default", "data_files": _files("*"), "default": True},
            *({"config_name": language, "data_files": _files(language)} for language in languages),
        ],
    }


def _files(language: str) -> list[dict[str, str]]:
    return [{"split": "train", "path": f"language={language}/part-*.parquet"}]


def _size_category(examples: int) -> str:
    bounds = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
    return next((name for bound, name in bounds if examples < bound), "n>10M")


def _body(facts: CardFacts) -> str:
    examples = sum(count.examples for count in facts.counts)
    by_dataset = totals(facts.counts, ["dataset"])
    examples_of = {name: row[0] for (name,), row in by_dataset.items()}
    sections = [
        f"# {facts.name}",
        facts.description,
        f"{examples:,} prompted examples, built with xmtf from a recipe; the same recipe and seed ({facts.seed}) give "
        "the same bytes. The examples of each language are shuffled"
        + (
            f"; about {facts.validation_fraction:.0%} of each (all examples of the chosen rows) are for validation."
            if facts.validation_fraction
            else "."
        ),
        "## Columns\n\n" + _table(["column", "meaning"], _COLUMNS),
        "## Languages\n\n" + _table(["code", "language", "examples"], _language_rows(facts)),
        "## Task clusters\n\n" + _clusters_table(facts),
        "## Sources and licences\n\nThe examples keep the licences of the datasets that they are made from. "
        + licence_summary(examples_of, facts.licences)
        + "\n\n"
        + _table(["licence", "its name states", "datasets", "examples"], licence_rows(examples_of, facts.licences))
        + "\n\n"
        + _table(
            ["dataset", "licence", "examples"],
            [(name, facts.licences.get(name, "not stated"), f"{row[0]:,}") for (name,), row in by_dataset.items()],
        ),
        "## Excluded\n\n" + _left_out(facts),
        "## Provenance\n\n" + _PROVENANCE.format(version=__version__, seed=facts.seed),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _language_rows(facts: CardFacts) -> list[tuple[str, str, str]]:
    rows = totals(facts.counts, ["language"]).items()
    return [(code, "programs" if code == CODE else get_language(code).name, f"{row[0]:,}") for (code,), row in rows]


def _clusters_table(facts: CardFacts) -> str:
    rows = totals(facts.counts, ["cluster"]).items()
    return _table(["cluster", "examples"], [(name, f"{row[0]:,}") for (name,), row in rows])


def _left_out(facts: CardFacts) -> str:
    held_out = [f"- held out {kind}: {', '.join(names)}" for kind, names in facts.held_out.items() if names]
    held_out += [f"- relatives of {code} that are kept: {', '.join(kept)}" for code, kept in facts.relatives.items()]
    held_out += [f"- for the suite {each.suite}: {', '.join(each.held_out) or 'nothing'}" for each in facts.suites]
    dropped = [(reason, f"{count:,}") for reason, count in sorted(facts.dropped.items(), key=lambda item: -item[1])]
    table = _table(["reason", "examples"], dropped) if dropped else "No example was dropped."
    paragraphs = ["\n".join(held_out), _missing(facts), table]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _missing(facts: CardFacts) -> str:
    """Describe which sources are not in the mixture, or not whole; of many splits of a dataset their number."""
    lines = []
    if facts.missing:
        datasets = Counter(each.dataset for each in facts.missing)
        named = ", ".join(f"{name} ({count:,})" for name, count in sorted(datasets.items()))
        lines.append(
            f"{len(facts.missing):,} splits of the recipe were unavailable and are not in the mixture; "
            f"`manifest.json` lists each with the reason: {named}."
        )
    if facts.partial:
        lines.append(
            f"For {len(facts.partial):,} splits only the beginning was available, which is all that the hub converted: "
            f"{', '.join(facts.partial)}."
        )
    return " ".join(lines)


def _table(header: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
