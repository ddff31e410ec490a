"""The nouns that pass between rooms, as frozen dataclasses.

Mixtures hold these as Arrow columns (``PROMPTED_COLUMNS``), never as one Python object a row; the
dataclasses are what a single row looks like to a person, a test or an evaluation request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "BESIDE_ACCURACY",
    "CALIBRATED",
    "FEW_CHOICES",
    "IN_LANGUAGE",
    "KIND_METRICS",
    "MESSAGES",
    "OUTSIDE",
    "PROMPTED_COLUMNS",
    "PROVENANCE_COLUMNS",
    "SCORE_SCHEMA",
    "AnswerLanguage",
    "Family",
    "Metric",
    "Origin",
    "Picks",
    "Prediction",
    "PromptedExample",
    "Provenance",
    "Request",
    "Score",
    "ShotsAsked",
    "Translation",
    "in_percent",
]

Family = Literal["causal", "encoder-decoder"]
"""The two families of models."""

Translation = Literal["none", "human", "machine"]
"""How a template came into its language: written in it, or translated by a person or a machine."""

FEW_CHOICES = "fewer than two answer choices"
"""Reason of rows that cannot be ranked since there is nothing to choose from."""
KIND_METRICS: dict[str, tuple[str, ...]] = {
    "rank": ("accuracy", "calibrated_accuracy", "macro_f1"),
    "generation": (
        "bleu",
        "chrf",
        "exact_match",
        "exact_match_original",
        "exact_text",
        "f1",
        "f1_original",
        "ifeval_instruction_loose",
        "ifeval_instruction_strict",
        "ifeval_prompt_loose",
        "ifeval_prompt_strict",
        "letter_match",
        "numeric_match",
        *(f"rouge_{of}{rule}" for rule in ("", "_original") for of in ("1", "2", "l", "lsum")),
    ),
    "code": ("pass_at_k",),
    "conversation": (),
}
"""Kind of task -> the metrics that it can have."""

OUTSIDE = "target is not among the answer choices"
"""Reason of rows that cannot be ranked since no choice is right."""

SCORE_SCHEMA = 1
"""Version of :class:`Score` as written to result files."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a raw row comes from.

    Attributes:
        dataset: Hub id or own name, such as ``facebook/xnli``.
        subset: Configuration of the dataset, or ``""``.
        split: Such as ``train``.
        row: Index of the row in its split, from 0.
    """

    dataset: str
    subset: str
    split: str
    row: int

    def __str__(self) -> str:
        subset = f"/{self.subset}" if self.subset else ""
        return f"{self.dataset}{subset} [{self.split}] row {self.row}"


@dataclass(frozen=True, slots=True, order=True)
class Provenance:
    """What all examples of one template on one split of a task share; no room lists these columns again.

    Attributes:
        language: Code of the language of the targets (see :mod:`xmtf.languages.codes`), or ``code``.
        prompt_language: Code of the language that the template is written in.
        translation: How the template came into that language.
        task: Task id in the catalogue.
        cluster: Task cluster, such as ``natural language inference``.
        dataset: Hub id or own name.
        subset: Configuration, or ``""``.
        split: Such as ``train``.
        template: Name of the template.
    """

    language: str
    prompt_language: str
    translation: Translation
    task: str
    cluster: str
    dataset: str
    subset: str
    split: str
    template: str


PROVENANCE_COLUMNS = tuple(Provenance.__dataclass_fields__)
"""Names of the columns that a :class:`Provenance` becomes, in order."""


@dataclass(frozen=True, slots=True)
class PromptedExample:
    """A row after a template was applied: what a model is trained on or asked.

    Attributes:
        inputs: Rendered prompt.
        targets: Rendered answer.
        choices: Answer choices ranked over, or None where there are none.
        provenance: Columns of their own on disk.
        row: Index of the raw row in its split.
    """

    inputs: str
    targets: str
    choices: tuple[str, ...] | None
    provenance: Provenance
    row: int


MESSAGES = "messages"
"""A further column of mixtures that hold conversations: their JSON text, null for prompted examples."""

PROMPTED_COLUMNS = ("inputs", "targets", "choices", *PROVENANCE_COLUMNS, "row")
"""Column names of a mixture on disk, in order."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model: rank the choices, or generate a continuation.

    Attributes:
        prompt: Text given to the model.
        choices: Texts to rank, or ``()`` for generation.
        gold: Index of the right choice, or None for generation.
        references: Right answers for generation metrics.
        origin: The raw row.
        shots: Shown examples that are to be before the prompt, as far as they fit the model.
    """

    prompt: str
    choices: tuple[str, ...]
    gold: int | None
    references: tuple[str, ...]
    origin: Origin
    shots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one request.

    Attributes:
        choice: Index of the highest score, or None (generation, or not scorable).
        scores: Sum of log-probabilities per choice, natural log.
        text: Generated text, or None.
        error: Why the item could not be scored, or None; such items are never counted wrong or right.
        truncated: Whether the prompt was cut to the model's length.
    """

    choice: int | None = None
    scores: tuple[float, ...] = ()
    text: str | None = None
    error: str | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value with its uncertainty.

    Attributes:
        name: ``accuracy``, ``bleu``, ``chrf``, ``rouge_l``, ``exact_match``, ``f1``, ...
        value: In 0-1 or 0-100, see :func:`in_percent`.
        low: Lower end of the 95 % interval, or None.
        high: Upper end of the 95 % interval, or None.
        chance: Expected value of guessing, or None where it has no meaning.
        num_items: Items that the value was computed from.
        signature: What makes the number comparable, such as sacrebleu's signature, or ``""``.
        majority: Value of always giving the most frequent right choice, or None where it has no meaning.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    chance: float | None
    num_items: int
    signature: str = ""
    majority: float | None = None


@dataclass(frozen=True, slots=True)
class Picks:
    """How often each choice of a rank task was right and was picked.

    Attributes:
        labels: The choices where all items have the same ones, else their places, from ``1``.
        by_choice: Whether the labels are choices.
        gold: Items whose right choice each is.
        picked: Items for which the model picked it.
        right: Items for which it picked it rightly; divided by ``gold``: the recall.
        ties: Items whose highest score several choices share; the first of them is picked.
    """

    labels: tuple[str, ...]
    by_choice: bool
    gold: tuple[int, ...]
    picked: tuple[int, ...]
    right: tuple[int, ...]
    ties: int = 0

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Share of the items of each choice that were found; None where no item has it."""
        return tuple(right / gold if gold else None for right, gold in zip(self.right, self.gold, strict=True))


@dataclass(frozen=True, slots=True)
class AnswerLanguage:
    """In which language the generated answers of a job are.

    Attributes:
        share: Share of the judged answers that are in the language asked for, or None where that was not measured.
        low: Lower end of its 95 % interval, or None.
        high: Upper end, or None.
        judged: Answers that could be judged: long enough, and in a language that the identifier finds.
        references: Share of the references whose language the identifier finds, or None where it was not tried.
        gap: Why there is no share, or ``""``.
    """

    share: float | None
    low: float | None
    high: float | None
    judged: int
    references: float | None
    gap: str = ""


IN_LANGUAGE = "in_language"
"""Measure of generated answers: whether they are in the language asked for."""
CALIBRATED = "calibrated_accuracy"
BESIDE_ACCURACY = ("macro_f1", CALIBRATED)
"""Metrics that accompany the accuracy of the same items, and are not separate results."""

_SHARES = frozenset(
    {
        "accuracy",
        "acc_norm",
        "calibrated_accuracy",
        "exact_match",
        "exact_match_original",
        "exact_text",
        "f1",
        "f1_original",
        "ifeval_instruction_loose",
        "ifeval_instruction_strict",
        "ifeval_prompt_loose",
        "ifeval_prompt_strict",
        "letter_match",
        "macro_f1",
        "numeric_match",
    }
)


def in_percent(metric: str) -> bool:
    """Return whether a metric's values lie in 0-1 and are shown as percent; BLEU and chrF are in 0-100 already.

    >>> in_percent("accuracy"), in_percent("pass@10"), in_percent("rouge_l"), in_percent("chrf")
    (True, True, True, False)
    """
    return metric in _SHARES or metric.startswith(("pass@", "rouge_"))


@dataclass(frozen=True, slots=True)
class ShotsAsked:
    """Examples with their answers that stood before the prompts of a job.

    Attributes:
        number: Of each prompt.
        task: Task that they are rows of.
        split: Split that they are rows of.
        choice: ``fixed``, ``first`` or ``nearest``.
        language: Language of their answers.
        seed: Of the choice.
        lost: Shots that were left out since the prompt did not fit the model, of all prompts together.
        shortened: Prompts that lost any.
    """

    number: int
    task: str
    split: str
    choice: str
    language: str
    seed: int
    lost: int = 0
    shortened: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """One result: a model on one (dataset, subset, split, template).

    Attributes:
        model: Label of the model, such as ``before``, ``after`` or a hub id.
        model_fingerprint: Hash of the weights and tokenizer.
        suite: Evaluation suite in the recipe, such as ``held-out languages``.
        axis: What is held out: ``rows``, ``templates``, ``languages``, ``clusters`` or ``none``.
        kind: ``rank`` or ``generation``.
        scoring: How choices are scored, such as ``bloomz``.
        provenance: What was asked; their own fields in ``scores.jsonl``.
        metrics: Measured values.
        dropped: Rows that could not be asked or scored, counted by reason.
        template_hash: Content hash of the template.
        versions: Package versions that made the number.
        revision: Revision of the dataset that the catalogue pins, or None.
        hashes: Of ``weights``, ``tokenizer``, ``prompts`` (every prompt and choice that was asked) and ``data`` (the
            rows that were read), where known.
        parallel: Name of the set of tasks of which equal rows are translations of each other, or ``""``.
        source_languages: Other languages that are in the inputs, such as the source of a translation.
        limited: Whether only some of the rows were asked.
        computed: ``device`` and ``dtype``, as far as they are known.
        picks: Of a rank task: how often each choice was right and was picked.
        endings: Answers by why they ended: ``end of text``, ``stop text``, ``budget``.
        truncated: Items whose prompt was cut.
        answer_language: Of generated answers: whether they are in the language asked for.
        shots: Examples that stood before the prompts, or None.
        answer_after: Text that ends the reasoning before an answer, or ``""``: only what comes after it is judged.
        unanswered: Generated answers in which none was found: nothing after the reasoning, no letter, no number.
    """

    model: str
    model_fingerprint: str
    suite: str
    axis: str
    kind: str
    scoring: str
    provenance: Provenance
    template_hash: str
    metrics: tuple[Metric, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    revision: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    parallel: str = ""
    source_languages: tuple[str, ...] = ()
    limited: bool = False
    computed: dict[str, str] = field(default_factory=dict)
    picks: Picks | None = None
    endings: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    answer_language: AnswerLanguage | None = None
    shots: ShotsAsked | None = None
    answer_after: str = ""
    unanswered: int = 0
    schema: int = SCORE_SCHEMA
