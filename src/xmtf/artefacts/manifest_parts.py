"""What each stage writes under ``details`` and ``counts`` of its manifest: one record a stage, for all rooms.

``of`` reads a record from a manifest, ``to_json`` writes it. Defaults stand for what earlier versions did not write;
keys that no field is named after are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from xmtf.errors import DataError
from xmtf.files import MANIFEST, Manifest
from xmtf.json_types import JsonObject
from xmtf.records import Family

__all__ = [
    "DatasetVersion",
    "DropNote",
    "Ends",
    "EvaluationCounts",
    "EvaluationDetails",
    "FirstDropped",
    "MissingSplit",
    "MixtureCounts",
    "MixtureDetails",
    "ModelDetails",
    "ReportDetails",
    "SpecialIds",
    "SuiteHeldOut",
    "TokenCounts",
    "TokenDetails",
    "TrainCounts",
]

Counts = dict[str, int]


class _Part:
    """One key of a manifest as a record."""

    __slots__ = ()
    _KEY: ClassVar[Literal["details", "counts"]] = "details"
    _DEFAULTS_ARE_WRITTEN: ClassVar[bool] = True

    @classmethod
    def of(cls, manifest: Manifest, folder: Path) -> Self:
        """Read the record from a manifest.

        Args:
            manifest: Of the stage.
            folder: Where it stands, as errors name it.

        Raises:
            DataError: A value is missing or of another type; names the file and the key.
        """
        try:
            return cast("Self", _adapter(cls).validate_json(orjson.dumps(getattr(manifest, cls._KEY)), strict=True))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join([cls._KEY, *map(str, problem["loc"])])
            fault = "is missing" if problem["type"] == "missing" else problem["msg"].lower()
            raise DataError(f"{folder / MANIFEST}: {place}: {fault}; delete {folder} to rebuild it") from None

    def to_json(self) -> JsonObject:
        """Return what is in the manifest."""
        written = _adapter(type(self)).dump_json(self, by_alias=True, exclude_defaults=not self._DEFAULTS_ARE_WRITTEN)
        return cast("JsonObject", orjson.loads(written))


_ADAPTERS: dict[type[_Part], TypeAdapter[Any]] = {}


def _adapter(kind: type[_Part]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


@dataclass(frozen=True, slots=True)
class SuiteHeldOut:
    """What is held out of a suite: ``axis`` as the suite says, and all axes that the mixture bears out."""

    suite: str
    axis: str
    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstDropped:
    """The first row that was dropped for a reason, and more about the reason."""

    task: str
    split: str
    template: str
    row: int
    detail: str


@dataclass(frozen=True, slots=True)
class DropNote:
    """What looks like a mistake in a template or in the rows of a split."""

    task: str
    split: str
    template: str
    note: str


@dataclass(frozen=True, slots=True)
class LintFinding:
    """What lint found of a template on rows that the mixture takes."""

    task: str
    split: str
    template: str
    check: str
    severity: Literal["error", "warning", "info"]
    message: str


@dataclass(frozen=True, slots=True)
class MissingSplit:
    """A split that the recipe names and that was unavailable: ``problem`` says why."""

    task: str
    dataset: str
    subset: str
    split: str
    problem: str


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """Which version of a dataset was read: empty where it is not known, as of files that the user put there."""

    revision: str
    commit: str


@dataclass(frozen=True, slots=True)
class MixtureDetails(_Part):
    """Details of a mixture.

    Attributes:
        validation_fraction: Share of each language that is not trained on; None in some earlier versions.
        rows: File of each part -> its rows.
        card: Keys of the recipe that the card alone shows; None in earlier versions.
        suites: What is held out of each suite of the recipe.
        firsts: Reason -> the first row that was dropped for it.
        notes: What looks like a mistake.
        findings: What lint found.
        relatives: Held-out language -> the members of its macrolanguage that the mixture holds.
        missing: Splits that were unavailable and were skipped.
        partial: Splits of which the hub converted only the beginning.
        versions: Dataset -> its versions; more than one where its splits are of several.
    """

    validation_fraction: float | None = None
    rows: Counts = field(default_factory=dict)
    card: JsonObject | None = None
    suites: tuple[SuiteHeldOut, ...] = ()
    firsts: dict[str, FirstDropped] = field(default_factory=dict)
    notes: tuple[DropNote, ...] = ()
    findings: tuple[LintFinding, ...] = ()
    relatives: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[MissingSplit, ...] = ()
    partial: tuple[str, ...] = ()
    versions: dict[str, tuple[DatasetVersion, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MixtureCounts(_Part):
    """Counts of a mixture.

    Attributes:
        rendered: Rows x templates; ``in``.
        out: Examples.
        dropped: Examples left out, by reason.
        overlaps: Examples left out because a suite asks about them.
        languages: Language -> examples; so are ``clusters``, ``datasets``, ``tasks`` and ``templates``.
        characters: ``inputs`` and ``targets``.
        missing: Splits that were unavailable and were skipped.
        partial: Splits of which the hub converted only the beginning.
    """

    _KEY = "counts"
    rendered: Annotated[int, Field(alias="in")] = 0
    out: int = 0
    dropped: Counts = field(default_factory=dict)
    overlaps: int = 0
    languages: Counts = field(default_factory=dict)
    clusters: Counts = field(default_factory=dict)
    datasets: Counts = field(default_factory=dict)
    tasks: Counts = field(default_factory=dict)
    templates: Counts = field(default_factory=dict)
    characters: Counts = field(default_factory=dict)
    missing: int = 0
    partial: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """What is at the ends of inputs and targets.

    Attributes:
        space_before_targets: One space is put before every target, also one that begins with a space.
        begin_of_inputs: Ids that are before inputs, where a text does not bring them along.
        end_of_inputs: The end-of-text token is after inputs; ``bos``: the begin-of-text token does.
        end_of_targets: The end-of-text token is after targets.
    """

    space_before_targets: bool
    begin_of_inputs: tuple[int, ...] = ()
    end_of_inputs: bool | Literal["bos"] = False
    end_of_targets: bool = True


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Ids of the special tokens; None where the tokenizer has none."""

    pad: int | None
    eos: int | None
    bos: int | None


@dataclass(frozen=True, slots=True)
class TokenCounts(_Part):
    """Counts of token files, of all languages or of one.

    Attributes:
        examples: Of the mixture; ``in``.
        out: Items.
        input_tokens: Tokens of all inputs.
        target_tokens: Tokens of all targets.
        bytes: UTF-8 bytes of the texts.
        dropped: Examples left out, by reason.
        special_texts: Sides of examples that look like to hold a special token and were read as text, by token.
        validation: Items that are for validation, the last ones of each language; None in earlier versions.
        composed_texts: Texts whose ids may differ from SentencePiece's.
        conversations: Items that the chat template wrote, before caps in tokens; so are ``shortened`` and
            ``special_texts``.
        shortened: Those of them that lost their oldest exchanges, to fit a row.
    """

    _KEY = "counts"
    examples: Annotated[int, Field(alias="in")]
    out: int
    input_tokens: int
    target_tokens: int
    bytes: int
    dropped: Counts
    special_texts: Counts = field(default_factory=dict)
    validation: int | None = None
    composed_texts: int = 0
    conversations: int = 0
    shortened: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of both sides."""
        return self.input_tokens + self.target_tokens


@dataclass(frozen=True, slots=True)
class TokenDetails(_Part):
    """Details of token files.

    Attributes:
        languages: Language -> what its files hold.
        clusters: Task clusters, in the order of their numbers in the files.
        dtype: Of token ids in the files.
        family: Of the models that they are for.
        prefix: What the names of the files begin with.
        validation_fraction: Share of each language that is not trained on.
        ends: What is at the ends of inputs and targets.
        begin_of_inputs: The text of what is before inputs.
        tokenizer: Fingerprint of the tokenizer.
        vocab_size: Its tokens.
        special: Its special tokens.
    """

    languages: dict[str, TokenCounts]
    clusters: list[str]
    dtype: str
    family: Family
    prefix: str
    validation_fraction: float
    ends: Ends
    begin_of_inputs: str
    tokenizer: str
    vocab_size: int
    special: SpecialIds


@dataclass(frozen=True, slots=True)
class ModelDetails(_Part):
    """Details of a model folder; each kind writes those that it has.

    Attributes:
        layout: Of the processes that trained it.
        hardware: What it was trained on.
        versions: Package -> version.
        training: Name of the training, of which checkpoints and results are, too.
        step: Steps done, of an exported checkpoint.
        identity: Hash of the bytes that decide its answers.
        source: Reference of the model that it was converted from.
    """

    _DEFAULTS_ARE_WRITTEN = False
    layout: str | None = None
    hardware: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    training: str | None = None
    step: int | None = None
    identity: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class TrainCounts(_Part):
    """Counts of a trained model: how far training came, as checkpoints say it, and its size.

    Attributes:
        step: Steps done.
        tokens: Positions computed, padding included.
        real_tokens: Positions that were not padding; None in earlier versions.
        seconds: Wall seconds spent in steps.
        skipped: Steps without an update.
        best: Highest score of a checkpoint.
        best_step: Steps done when it was measured.
        best_by: What the score is.
        rows: Packed rows.
        num_parameters: Of the model.
    """

    _KEY = "counts"
    step: int = 0
    tokens: int = 0
    real_tokens: int | None = None
    seconds: float = 0.0
    skipped: int = 0
    best: float | None = None
    best_step: int | None = None
    best_by: str = ""
    rows: int = 0
    num_parameters: int | None = None


@dataclass(frozen=True, slots=True)
class EvaluationDetails(_Part):
    """Details of results.

    Attributes:
        model: Reference of the model that was asked; None where another program asked.
        family: Of the model.
        rules: How requests became token ids.
        dtype: Number format that was computed in.
        rounding: Largest difference of scores from those in fp32, where that was measured.
        ranking: How choices were ranked; None where nothing was.
        layout: How the model was cut over processes, such as ``tp 8``; None where each had the whole of it.
        answers: Name of the journal -> its lines; nothing in earlier versions.
        server: Of a model that is asked elsewhere: where, how, what it took.
        commit: Of this program where it ran from a checkout, ``+`` where files differed. It is here alone: scores and
            items are the same whatever else the checkout holds.
        versions: Dataset -> its versions on the hub, of items and shots; nothing in earlier versions.
    """

    model: str | None = None
    family: Family | None = None
    rules: JsonObject = field(default_factory=dict)
    dtype: str | None = None
    rounding: float | None = None
    ranking: str | None = None
    layout: str | None = None
    answers: Counts = field(default_factory=dict)
    server: JsonObject | None = None
    commit: str | None = None
    versions: dict[str, tuple[DatasetVersion, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationCounts(_Part):
    """Counts of results: ``jobs``, ``scores``, ``items`` that were asked, and rows ``dropped`` by reason."""

    _KEY = "counts"
    jobs: int
    scores: int
    items: int
    dropped: Counts


@dataclass(frozen=True, slots=True)
class ReportDetails(_Part):
    """Details of a report: lines that name the fonts that figures lacked."""

    _DEFAULTS_ARE_WRITTEN = False
    missing_fonts: tuple[str, ...] = ()
