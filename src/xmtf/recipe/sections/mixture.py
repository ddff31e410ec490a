"""The keys of a recipe that say what a mixture takes, and what it must not contain."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from xmtf.errors import ConfigError, nearest
from xmtf.plugins import plugins
from xmtf.recipe.effects import affects, within
from xmtf.recipe.sections.section import Name, Section, is_list, is_none, is_same, is_task, normalized_patterns
from xmtf.recipe.where import Where
from xmtf.records import KIND_METRICS
from xmtf.remote.storage import check_address, is_remote

__all__ = [
    "CapPolicy",
    "ChoicePolicy",
    "HeldOut",
    "Identify",
    "LabelPolicy",
    "Mixture",
    "NearDuplicates",
    "NullPolicy",
    "OwnTask",
    "PromptedFolder",
    "Quality",
    "Rates",
    "TaskSelection",
    "check_kind_metrics",
]

MIXED = affects(mixture="result")
TASK = affects(mixture="read", guard="read", evaluation="read")
SELECTING = affects(mixture="result", guard="read", evaluation="result")

CapPolicy = Literal["random", "shortest", "longest", "alphabetical", "score"]
NullPolicy = Literal["drop", "empty", "error"]
LabelPolicy = Literal["drop", "error"]
ChoicePolicy = Literal["drop", "keep", "error"]


class Quality(Section):
    """What the texts of an example must be like, inputs and targets together; programs are left alone."""

    min_letters: Annotated[float | None, MIXED] = Field(default=None, gt=0, le=1)
    """Least share of letters and their marks among the characters that are no white space."""
    max_repeated: Annotated[float | None, MIXED] = Field(default=None, ge=0, lt=1)
    """Largest share of runs of five words (40 characters of scripts without spaces) that stood before in the text."""
    max_run: Annotated[int | None, MIXED] = Field(default=None, ge=1)
    """Most characters of ASCII in a row without a space; longer ones are addresses, or encoded bytes."""

    @model_validator(mode="after")
    def _check(self) -> Quality:
        if not self.rules():
            raise ValueError("give min_letters, max_repeated or max_run")
        return self

    def rules(self) -> dict[str, float]:
        """Return the rules that are given."""
        return {name: float(value) for name, value in self if value is not None}


class Identify(Section):
    """When an example is left out since its target is in another language; extra `langid`."""

    confidence: Annotated[float, MIXED] = Field(default=0.9, gt=0, le=1)
    """How sure the identifier has to be, 0 to 1. Targets of under 20 letters, programs, and languages that it does not
    know are not judged; languages that it confuses pass for one another."""


class NearDuplicates(Section):
    """Rows of tasks that are left out since nearly the same row, or its translation, is there."""

    similarity: Annotated[float | None, MIXED] = Field(default=0.8, gt=0.2, le=1)
    """Rows whose texts share so large a share of their runs of five characters (Jaccard, estimated by MinHash) with an
    earlier row in their language are left out; empty searches for none. Of columns that templates read. Extra
    `dedup`."""
    translations: Annotated[Literal["all", "one"], MIXED] = "all"
    """`one` keeps each row of a parallel set (equal numbers are translations) in one language, drawn by the seed."""


class OwnTask(Section):
    """A task on the user's own file, joined to the catalogue under its id."""

    id: Annotated[Name, TASK]
    """Name of the task."""
    path: Annotated[Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None, TASK] = None
    """Parquet, Arrow, JSONL, JSON, CSV or TSV file, also packed, or several with the same columns, whose rows are read
    in order; relative to the recipe. `{subset}` is filled in."""
    files: Annotated[dict[Name, Name | Annotated[tuple[Name, ...], Field(min_length=1)]] | None, TASK] = Field(
        default=None, min_length=1, exclude_if=is_none
    )
    """Split -> its file or files, instead of `path`, `split` and `role`: `train` is trained on, `test` evaluated,
    prompts are chosen on `validation` or `dev`, examples are shown from `shots`, else from those."""
    subsets: Annotated[dict[Name, Name] | Annotated[tuple[Name, ...], Field(min_length=1)] | None, TASK] = Field(
        default=None, exclude_if=is_none
    )
    """Subset -> language, or a list of languages: the task becomes one for each, `<id>/<subset>`. Its name stands for
    `{subset}` in paths and templates."""
    separator: Annotated[str | None, TASK] = Field(default=None, min_length=1, max_length=1, exclude_if=is_none)
    """What parts the cells of a CSV or TSV file; empty finds it."""
    templates: Annotated[Name | None, TASK] = None
    """promptsource YAML file with the prompts; relative to the recipe. Tasks of kind `conversation` have none,
    those of kind `code` can do without. `{subset}` is filled in."""
    language: Annotated[Name | None, TASK] = None
    """Language of the targets; any code, or `code`."""
    language_column: Annotated[Name | None, affects(mixture="read")] = Field(default=None, exclude_if=is_none)
    """Column that says the language of the targets of each row, in any code, instead of `language`; rows without a
    known language are dropped and counted. Tasks to train on alone."""
    where: Annotated[Where | None, TASK] = Field(default=None, exclude_if=is_none)
    """Rows that belong to the task: column -> value, list of values, or comparisons (`{score: {ge: 0.8}, not: {...}}`);
    the others are counted."""
    cluster: Annotated[Name, TASK] = "own"
    """Task cluster."""
    split: Annotated[Name, TASK] = "train"
    """Name of the split that the file holds."""
    role: Annotated[Literal["train", "evaluation"], TASK] = "train"
    """Whether the file is meant to be trained on or evaluated on."""
    kind: Annotated[Literal["rank", "generation", "code", "conversation"], TASK] = "generation"
    """How the task is evaluated: `rank` needs answer choices in the template, `code` runs programs. The rows of
    `conversation` are messages, which are trained on and need no templates."""
    metrics: Annotated[tuple[str, ...], affects(evaluation="read")] = ("exact_match",)
    """Metrics of a generation task; a rank task has accuracy and what goes with it."""
    nulls: Annotated[NullPolicy, TASK] = "drop"
    """A row whose missing value a template prints is dropped and counted, prints nothing (`empty`), or is an error."""
    labels: Annotated[LabelPolicy, TASK] = "drop"
    """A row whose label picks no answer choice (negative, too large, null, no whole number) is dropped and counted, or
    is an error."""
    choices: Annotated[ChoicePolicy | None, TASK] = None
    """A row with an empty answer choice, equal ones, a single one, or a target that is none of them is dropped and
    counted (in rank tasks by default), kept with a note (in others), or is an error."""
    parallel: Annotated[bool, TASK] = False
    """Whether its rows are translations of the rows of equal number of other own tasks that are marked: of those whose
    `id` is the same before the last `/` (`mine/fr`, `mine/sw`), or without a `/`."""

    @model_validator(mode="after")
    def _check(self) -> OwnTask:
        if "metrics" in self.model_fields_set:
            check_kind_metrics(self.kind, self.metrics)
        self._check_files()
        self._check_languages()
        roles = set(self.roles())
        if self.kind == "conversation" and (self.templates is not None or roles != {"train"}):
            what = "templates" if self.templates is not None else "role" if self.files is None else "files"
            raise ValueError(f"{what}: conversations are used as they are; omit it")
        without = self.kind == "conversation" or (self.kind == "code" and roles == {"evaluation"})
        if self.templates is None and not without:
            raise ValueError(
                "templates: give a file; only tasks of kind conversation, or of kind code with role evaluation, need "
                "none"
            )
        return self

    def paths(self) -> dict[str, tuple[str, ...]]:
        """Return split -> its files, as the recipe names them."""
        given = {self.split: self.path} if self.files is None else self.files
        return {split: (each,) if isinstance(each, str) else tuple(each or ()) for split, each in given.items()}

    def roles(self) -> dict[str, tuple[str, ...]]:
        """Return role -> splits."""
        if self.files is None:
            return {self.role: (self.split,)}
        found: dict[str, tuple[str, ...]] = {}
        for split in self.files:
            found[_ROLES[split]] = (*found.get(_ROLES[split], ()), split)
        if "validation" in found:
            found.setdefault("shots", found["validation"])
        return found

    def _check_files(self) -> None:
        if (self.path is None) == (self.files is None):
            raise ValueError("path: give the file, or `files` with the files of each split")
        if self.files is not None and (self.role != "train" or self.split != "train"):
            raise ValueError("files: names the splits and their roles; omit `split` and `role`")
        unknown = [split for split in self.files or () if split not in _ROLES]
        if unknown:
            near = nearest(unknown[0], _ROLES)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_ROLES)}"
            raise ValueError(f"files: {unknown[0]!r} is not a split; {hint}")
        named = [path for paths in self.paths().values() for path in paths]
        if self.subsets is None and (filled := [path for path in (*named, self.templates or "") if _SUBSET in path]):
            raise ValueError(f"{filled[0]!r}: {_SUBSET} is replaced by each of `subsets`, but there are none")
        same = [path for path in named if self.subsets is not None and _SUBSET not in path]
        if same:
            raise ValueError(f"{same[0]!r}: has no {_SUBSET}, so all subsets would have the same rows")

    def _check_languages(self) -> None:
        if isinstance(self.subsets, dict) and (self.language or self.language_column):
            raise ValueError("subsets: give the languages either there, or in `language` or `language_column`")
        if self.subsets is None and (self.language is None) == (self.language_column is None):
            raise ValueError("language: give it, or `language_column` if each row has its own")
        if self.language is not None and self.language_column is not None:
            raise ValueError("language: give it, or `language_column` if each row has its own")
        if self.language_column is not None and set(self.roles()) != {"train"}:
            raise ValueError("language_column: an evaluated task has a single language; select its rows with `where`")


_SUBSET = "{subset}"
_ROLES = {
    "train": "train",
    "test": "evaluation",
    "validation": "validation",
    "dev": "validation",
    "shots": "shots",
}
"""Split of an own task with several -> what it is for."""


def check_kind_metrics(kind: str, metrics: tuple[str, ...]) -> None:
    """Refuse a metric that a kind of task cannot have.

    Raises:
        ValueError: Names it, and those that there are.
    """
    known: tuple[str, ...] = KIND_METRICS[kind]
    if kind == "generation":
        known = (*known, *plugins("metrics", frozenset((*known, "accuracy"))))
    for name in metrics:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"metrics: a task of kind {kind!r} has no {name!r}; {hint}")


class TaskSelection(Section):
    """Which tasks of the catalogue, which of their rows and which of their templates.

    A task is taken when it matches every filter given. Filters are shell patterns (`xnli/*`).
    """

    catalogue: Annotated[Name | None, SELECTING] = None
    """Catalogue file (`demo`, `open`, ...) that the tasks must be listed in."""
    tasks: Annotated[tuple[str, ...], SELECTING] = ("*",)
    """Patterns of task ids (`xnli/fr`, `cldr-*`)."""
    clusters: Annotated[tuple[str, ...], SELECTING] = ("*",)
    """Patterns of task clusters."""
    languages: Annotated[tuple[str, ...], SELECTING] = ("*",)
    """Patterns of language codes of the targets."""
    exclude_tasks: Annotated[tuple[str, ...], SELECTING] = ()
    """Patterns of task ids to leave out."""
    exclude_clusters: Annotated[tuple[str, ...], SELECTING] = ()
    """Patterns of clusters to leave out."""
    exclude_languages: Annotated[tuple[str, ...], SELECTING] = ()
    """Patterns of languages to leave out."""
    templates: Annotated[tuple[str, ...], SELECTING] = ("*",)
    """Patterns of template names."""
    exclude_templates: Annotated[tuple[str, ...], SELECTING] = ()
    """Patterns of template names to leave out."""
    prompt_languages: Annotated[tuple[str, ...], SELECTING] = ("*",)
    """Patterns of the language that the template is written in; `same` is the language of the targets. A
    translation (an entry with a `state`) into another language is taken only where a pattern other than `*` fits."""
    without_prompts: Annotated[Literal["list", "error"], affects()] = Field(default="list", exclude_if=is_list)
    """Tasks without a template in `prompt_languages` are left out and listed, or are an error."""
    splits: Annotated[tuple[str, ...], SELECTING] = ()
    """Split names; empty takes the splits that the catalogue lists for the role available."""
    cap_examples: Annotated[int | None, affects(mixture="result", evaluation="result")] = Field(default=None, ge=1)
    """Most examples kept of each (dataset, subset, split, template)."""
    cap_policy: Annotated[CapPolicy | None, MIXED] = Field(default=None, exclude_if=is_none)
    """Which examples the cap keeps; empty takes the mixture's. Mixtures only."""
    cap_score: Annotated[Name | None, MIXED] = Field(default=None, exclude_if=is_none)
    """Column that cap_policy `score` reads; empty takes the mixture's. Mixtures only."""
    where: Annotated[Where | None, SELECTING] = Field(default=None, exclude_if=is_none)
    """Rows to take of each task, before `limit_rows` and caps: column -> value, list of values, or comparisons
    (`{score: {ge: 0.8}, not: {...}}`). Rows left out are counted."""
    limit_rows: Annotated[int | None, SELECTING] = Field(default=None, ge=1)
    """Rows read of each split: a seeded random choice. Evaluation and quick looks."""
    parallel_rows: Annotated[Literal["same", "spread"], SELECTING] = Field(default="same", exclude_if=is_same)
    """Which rows `limit_rows` takes of a parallel dataset: the `same` in every language, which compares languages best,
    or `spread`, different ones as far as the split has them, which measures all languages together best."""
    rate: Annotated[float, MIXED] = Field(default=1.0, gt=0)
    """Factor on the share of each of its tasks, where rates.policy samples."""
    quality: Annotated[Quality | Literal["off"] | None, within("mixture"), MIXED] = Field(
        default=None, exclude_if=is_none
    )
    """What texts must be like, instead of the mixture's `quality`. Mixtures only."""
    near_duplicates: Annotated[Literal["off"] | None, MIXED] = Field(default=None, exclude_if=is_none)
    """`off` compares none of its rows with others. Mixtures only."""
    identify: Annotated[Identify | Literal["off"] | None, within("mixture"), MIXED] = Field(
        default=None, exclude_if=is_none
    )
    """When targets are in another language, instead of the mixture's `identify`. Mixtures only."""

    @field_validator("splits")
    @classmethod
    def _splits_once(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        for split in splits:
            if splits.count(split) > 1:
                raise ValueError(f"{split!r} is named twice; its rows would be read twice")
        return splits

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if self.parallel_rows == "spread" and self.limit_rows is None:
            raise ValueError("parallel_rows 'spread' needs limit_rows: without it every row is read")
        return self


class HeldOut(Section):
    """What the mixture must not contain; evaluation suites measure on it."""

    languages: Annotated[tuple[str, ...], MIXED] = ()
    """Patterns of languages: neither as target language nor as prompt language. A code holds out the language under
    all its codes (`uz` is `uzn_Latn` too)."""
    relatives: Annotated[bool, MIXED] = False
    """Hold out the other members of the macrolanguages of `languages` as well (Dari of `fa`, Nynorsk of `no`)."""
    clusters: Annotated[tuple[str, ...], MIXED] = ()
    """Patterns of whole task clusters."""
    datasets: Annotated[tuple[str, ...], MIXED] = ()
    """Patterns of whole datasets, as the catalogue names them (`facebook/xnli`)."""
    templates: Annotated[tuple[str, ...], MIXED] = ()
    """Patterns of template names."""
    overlap: Annotated[Literal["drop", "flag", "error"], MIXED] = "drop"
    """What to do with a training example whose inputs also are in an evaluation suite of this recipe."""
    overlap_fields: Annotated[bool, MIXED] = True
    """Treat as overlap also a training row that holds a field of a row that a suite asks about, or two short ones of
    one row. Suites whose axis is `templates` or `none` are left out: they ask about rows that may be trained on."""
    overlap_words: Annotated[int | None, MIXED] = Field(default=None, ge=5)
    """Treat as overlap also what shares so many words in a row with the rows of a suite (13 is usual); in scripts
    without spaces between words, 40 characters. The same suites are left out."""


class Rates(Section):
    """How many examples of each task the mixture holds."""

    policy: Annotated[Literal["all", "proportional", "capped", "temperature", "explicit"], MIXED] = "all"
    """`all` keeps every example. The others sample `max_examples`; the share of a task goes by its size
    (`proportional`), min(size, size_cap) (`capped`), size ** (1 / temperature) (`temperature`) or a given number
    (`explicit`), each times the `rate` of its selection."""
    max_examples: Annotated[int | None, MIXED] = Field(default=None, ge=1)
    """Examples in the mixture, for the sampling policies."""
    temperature: Annotated[float, MIXED] = Field(default=1.0, ge=1.0)
    """1 is proportional to size; larger is flatter. Policies `temperature` and `capped`, which takes
    min(size, size_cap) ** (1 / temperature) as seqio does."""
    size_cap: Annotated[int | None, MIXED] = Field(default=None, ge=1, exclude_if=is_none)
    """Policy `capped`: a task with more examples counts as one with so many."""
    tasks: Annotated[dict[str, Annotated[float, Field(gt=0)]] | None, MIXED] = Field(default=None, exclude_if=is_none)
    """Policy `explicit`: pattern of task ids -> number that the share of each such task is proportional to, whatever
    its size. The first pattern that matches counts; tasks that none matches have 1."""
    by: Annotated[Literal["task", "language"], MIXED] = Field(default="task", exclude_if=is_task)
    """Whose size the policy looks at: that of each task in each language, or of each language, whose tasks then share
    by size and `rate`."""
    languages: Annotated[dict[str, Annotated[int, Field(ge=1)]] | None, MIXED] = Field(default=None, exclude_if=is_none)
    """Quotas: pattern of language codes -> most examples of each such language, under any policy; its tasks share them
    by size and `rate`. The first pattern that matches counts."""

    @property
    def is_sampling(self) -> bool:
        """Whether examples may be left out."""
        return self.policy != "all" or self.languages is not None

    @field_validator("languages")
    @classmethod
    def _codes(cls, value: dict[str, int] | None) -> dict[str, int] | None:
        if value is None:
            return None
        return normalized_patterns(value, "mixture.rates.languages")

    @model_validator(mode="after")
    def _check(self) -> Rates:
        if self.policy != "all" and self.max_examples is None:
            raise ValueError(f"policy {self.policy!r} needs max_examples")
        if (self.policy == "capped") != (self.size_cap is not None):
            raise ValueError("policy 'capped' and size_cap require each other: give both or neither")
        if self.tasks is not None and self.policy != "explicit":
            raise ValueError(f"tasks has numbers for policy 'explicit', but the policy is {self.policy!r}")
        if self.temperature != 1.0 and self.policy in ("proportional", "explicit"):
            raise ValueError(f"policy {self.policy!r} has no temperature; use policy 'temperature' or 'capped'")
        if self.by == "language" and self.policy in ("all", "explicit"):
            raise ValueError(
                f"policy {self.policy!r} ignores languages; use proportional, capped or temperature, or give quotas "
                f"in `languages`"
            )
        return self


class PromptedFolder(Section):
    """Examples that are already prompted: a folder in the layout of xP3."""

    path: Annotated[Name, affects(mixture="read")]
    """Folder of `<language>/*.jsonl` files (or others of rows, also packed) with `inputs` and `targets`; relative to
    the recipe, or an address such as s3://bucket/xp3, whose files are copied to the cache as they are taken. The
    further fields of xP3x (language, split, template, dataset, config) are kept where they are there;
    merged files (`merged*`) are left out."""
    languages: Annotated[tuple[str, ...], MIXED] = ("*",)
    """Patterns of language codes to take."""
    files: Annotated[tuple[str, ...], MIXED] = ("*",)
    """Patterns of file names to take."""
    prompt_language: Annotated[Name, MIXED] = "en"
    """Language that prompts are written in where neither a field `prompt_language` of the record nor the suffix of its
    template's name (`..._frmt`) says it."""
    cluster: Annotated[Name, MIXED] = "prompted"
    """Task cluster that its examples are counted under."""
    licence: Annotated[str, MIXED] = ""
    """Licence of the data, for the dataset card."""
    rate: Annotated[float, MIXED] = Field(default=1.0, gt=0)
    """Sampling rate of each of its files, relative to the tasks."""

    @field_validator("path")
    @classmethod
    def _no_secrets(cls, path: str) -> str:
        if is_remote(path):
            try:
                check_address(path)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return path


class Mixture(Section):
    """Which prompted examples the model is trained on."""

    tasks: Annotated[tuple[TaskSelection, ...], within("mixture")] = ()
    """Selections from the catalogue; an example is taken once, by the first selection that takes its task."""
    prompted: tuple[PromptedFolder, ...] = ()
    """Folders of examples that are already prompted, taken after the tasks; caps do not apply to them."""
    held_out: HeldOut = HeldOut()
    rates: Rates = Rates()
    cap_examples: Annotated[int | None, MIXED] = Field(default=100_000, ge=1)
    """Most examples kept of each (dataset, subset, split, template); selections may lower it."""
    cap_policy: Annotated[CapPolicy, MIXED] = "random"
    """Which examples a cap keeps: a seeded choice, those with the shortest or longest inputs, the first ones by code
    point, or those whose row has the highest number in the column `cap_score`."""
    cap_score: Annotated[Name | None, MIXED] = Field(default=None, exclude_if=is_none)
    """Numeric column of the rows that cap_policy `score` reads, such as `laser_score`; rows without a number
    come last."""
    deduplicate: Annotated[bool, MIXED] = True
    """Drop examples whose (inputs, targets) stood before."""
    near_duplicates: NearDuplicates | None = Field(default=None, exclude_if=is_none)
    """Leave out rows that are nearly the same as earlier ones, or their translations."""
    min_input_characters: Annotated[int, MIXED] = Field(default=1, ge=0)
    """Shorter inputs are dropped and counted."""
    max_characters: Annotated[int | None, MIXED] = Field(default=None, ge=1)
    """Examples with more characters (inputs + targets) are dropped and counted."""
    quality: Quality | None = Field(default=None, exclude_if=is_none)
    """What texts must be like; the others are dropped and counted."""
    identify: Identify | None = Field(default=None, exclude_if=is_none)
    """Drop and count examples whose target is in another language than it should be."""
    mode: Annotated[Literal["fixed", "legacy"], affects(mixture="result", guard="read", evaluation="result")] = "fixed"
    """Template semantics: `legacy` is the original's to the letter, `fixed` has its known faults fixed."""
    validation_fraction: Annotated[float, affects(mixture="result", tokens="result")] = Field(default=0.05, ge=0, lt=1)
    """Share of each language's examples kept for validation, not trained on: those of some rows, under all prompts.
    A row is its dataset, split and number, so that translations of equal number are kept together."""
    shard_rows: Annotated[int, MIXED] = Field(default=50_000, ge=1)
    """Most examples in a Parquet shard."""
    lint: Annotated[Literal["show", "error"], affects()] = "show"
    """What lint finds on the first 200 rows of each task under each of its templates is shown with its count; with
    `error`, what it calls an error stops the build."""
    missing: Annotated[Literal["error", "skip"], affects()] = "error"
    """What to do where splits of `tasks` are unavailable: all are listed before anything is rendered, and then the
    build stops, or they are skipped, counted in manifest and card, and part of the mixture's identity."""
    failing_rows: Annotated[float, affects(mixture="result", evaluation="result")] = Field(default=0.5, gt=0, le=1)
    """A template that fails on a larger share of its rows stops the build."""

    @model_validator(mode="after")
    def _check(self) -> Mixture:
        if not self.tasks and not self.prompted:
            raise ValueError("give `tasks` (selections from the catalogue) or `prompted` (folders of examples)")
        scored = [part for part in self.tasks if (part.cap_policy or self.cap_policy) == "score"]
        if any(part.cap_score is None and self.cap_score is None for part in scored):
            raise ValueError("cap_policy 'score' needs cap_score, the column to read")
        idle = [part for part in self.tasks if part.cap_score is not None and part not in scored]
        if idle or (self.cap_score is not None and not scored):
            raise ValueError("cap_score has no effect without cap_policy 'score'")
        return self
