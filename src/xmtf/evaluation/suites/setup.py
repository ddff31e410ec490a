"""What an evaluation is made of, whether a recipe asks for it or the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.chat import ChatWish
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.metrics.registry import check_metrics
from xmtf.execution import warn
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import effects_of, marked
from xmtf.recipe.schema import Evaluation, Section, Suite, Tokenization
from xmtf.recipe.sections.chat import read_template, uses_chat
from xmtf.recipe.sections.processes import EvaluationParallel, Timeouts

if TYPE_CHECKING:
    from xmtf.tasks import Catalogue, Slice

__all__ = ["Setup", "SuiteSlice", "named_suites", "setup_of", "suite_slices"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What to measure and how.

    A field names the key of a recipe that it holds, whose mark tells whether results depend on it.

    Attributes:
        settings: Suites, scoring, lengths and batches.
        catalogue: Where the suites' tasks are found.
        tokens: How texts become ids.
        seed: Seeds the choice of rows where a suite limits them.
        mode: Template semantics.
        failing_rows: A template that fails on a larger share of its rows is an error.
        offline: Never touch the network.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads of torch, or None for its own choice.
        prefix_lm: Bidirectional attention over prompts.
        tokenizer: Folder, file or hub id of the tokenizer where it does not lie with the model.
        templates: Folder of collections to prompt with instead of our own, or None.
        chat_template: Source of the chat template, where it is not the tokenizer's own.
        trains_chat: Whether the recipe trains in the chat format; None where there is no recipe.
        timeouts: How long processes that evaluate together wait for each other.
    """

    settings: Evaluation = field(metadata={"key": "evaluation"})
    catalogue: Catalogue
    tokens: Tokenization = field(default_factory=Tokenization, metadata={"key": "tokens"})
    seed: int = field(default=42, metadata={"key": "seed"})
    mode: Literal["fixed", "legacy"] = field(default="fixed", metadata={"key": "mixture.mode"})
    failing_rows: float = field(default=0.5, metadata={"key": "mixture.failing_rows"})
    offline: bool = field(default=False, metadata={"key": "offline"})
    device: str = field(default="auto", metadata={"key": "training.device"})
    threads: int | None = field(default=None, metadata={"key": "training.threads"})
    prefix_lm: bool = field(default=False, metadata={"key": "training.prefix_lm"})
    tokenizer: str | None = None
    templates: Path | None = None
    chat_template: str | None = None
    trains_chat: bool | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def parallel(self) -> EvaluationParallel:
        """How processes share the model."""
        return self.settings.parallel or EvaluationParallel()

    @property
    def chat(self) -> ChatWish:
        """Whether the chat format of a model is asked for."""
        return ChatWish(self.settings.chat, self.trains_chat, self.chat_template, self.tokens.chat_arguments)

    @property
    def decoding(self) -> Decoding:
        """How answers are generated."""
        settings = self.settings
        return Decoding(max_new_tokens=settings.max_new_tokens, seed=self.seed, **settings.generation.model_dump())

    @property
    def also(self) -> tuple[str, ...]:
        """Sums that are computed alongside BLOOMZ's; see :class:`xmtf.evaluation.engine.encoding.PromptRules`."""
        asked = {self.settings.scoring, *self.settings.also}
        return tuple(name for name in ("pmi", "lm_eval") if name in asked)

    def decisive(self) -> dict[str, object]:
        """Return what decides results besides model, rows and templates: keys of a recipe and their values."""
        found: dict[str, Any] = {}
        for each in fields(self):
            key, value = each.metadata.get("key"), getattr(self, each.name)
            if isinstance(value, Section):
                found[str(key)] = marked(value, "evaluation")
            elif key is not None and effects_of(key).get("evaluation") == "result":
                found[key] = value
        return found if self.chat_template is None else found | {"chat_template": self.chat_template}


def setup_of(loaded: LoadedRecipe) -> Setup:
    """Return what a recipe evaluates."""
    from xmtf.tasks import load_catalogue

    recipe = loaded.recipe
    return Setup(
        settings=recipe.evaluation,
        catalogue=load_catalogue(loaded),
        tokens=recipe.tokens,
        seed=recipe.seed,
        mode=recipe.mixture.mode,
        failing_rows=recipe.mixture.failing_rows,
        offline=recipe.offline,
        device=recipe.training.device,
        threads=recipe.training.threads,
        prefix_lm=recipe.training.prefix_lm,
        tokenizer=_tokenizer_of(loaded),
        chat_template=read_template(loaded),
        trains_chat=uses_chat(recipe),
        timeouts=recipe.training.timeouts,
    )


def _tokenizer_of(loaded: LoadedRecipe) -> str | None:
    """Return the tokenizer that a recipe trains a pretrained model with, where it is not the model's own."""
    path = loaded.recipe.tokens.tokenizer.path
    if path is None or loaded.recipe.model.base is None:
        return None
    beside = loaded.path.parent / path
    return str(beside) if beside.exists() else path


def named_suites(
    names: str,
    *,
    kind: Literal["rank", "generation"] | None = None,
    selection: Mapping[str, object] | None = None,
    loaded: LoadedRecipe | None = None,
    files: Sequence[Path] = (),
) -> tuple[tuple[Suite, ...], Catalogue]:
    """Return one suite for each comma-separated name (see :func:`xmtf.tasks.find_suites`), and their catalogue.

    Args:
        names: Such as ``xnli,xcopa`` or ``L1``.
        kind: Only tasks of this kind are taken; None takes each task as its own kind.
        selection: More fields of each :class:`xmtf.recipe.schema.TaskSelection`, such as ``limit_rows``.
        loaded: A recipe whose catalogues and own tasks are known as well.
        files: Catalogue files of the user's that are known as well.

    Raises:
        UnknownNameError: A name stands for nothing; names the nearest.
        ConfigError: No name, or a suite of another kind.
    """
    from xmtf.tasks import find_suites

    asked = [part.strip() for part in names.split(",") if part.strip()]
    if not asked:
        raise ConfigError("--suite: give at least one suite, such as --suite xnli,xcopa")
    for name, count in Counter(map(str.lower, asked)).items():
        if count > 1:
            raise ConfigError(f"--suite: {name} is given {count} times; each suite is evaluated once")
    found, catalogue = find_suites(asked, loaded, files)
    for suite in found:
        if kind is not None and suite.kind not in (None, kind):
            raise ConfigError(
                f"--suite {suite.name}: is evaluated by `xmtf evaluate {suite.kind} --suite {suite.name}`"
            )
    options = dict(selection or {})
    suites = tuple(
        Suite(name=suite.name, tasks=tuple(part.model_copy(update=options) for part in suite.tasks), kind=kind)
        for suite in found
    )
    return suites, catalogue


@dataclass(frozen=True, slots=True)
class SuiteSlice:
    """One split of a task as a suite takes it."""

    suite: Suite
    slice: Slice

    @property
    def kind(self) -> str:
        """``rank`` or ``generation``."""
        return self.slice.task.kind


def suite_slices(setup: Setup) -> list[SuiteSlice]:
    """Return what the suites measure, in order.

    Raises:
        UnknownNameError: A pattern matches nothing, or a task names an unknown metric.
        TemplateError: There is no such template folder.
        ConfigError: A suite has nothing of its kind.
    """
    found: list[SuiteSlice] = []
    catalogue = setup.catalogue if setup.templates is None else setup.catalogue.prompted_from(setup.templates)
    for suite in setup.settings.suites:
        slices = catalogue.select(suite.tasks, role="evaluation", where=f"evaluation suite {suite.name!r}")
        taken = [part for part in slices if suite.kind is None or part.task.kind == suite.kind]
        for part in taken:
            if part.task.kind == "code":
                raise ConfigError(
                    f"evaluation suite {suite.name!r}: {part.task.id} is evaluated by running programs; set the "
                    f"suite's kind to rank or generation to exclude it, and use `xmtf evaluate code`"
                )
            if part.task.kind == "generation":
                check_metrics(part.task.metrics, f"task {part.task.id}")
            if lacking := part.task.lacking_templates():
                names = ", ".join(map(repr, lacking))
                warn(f"  {part.task.id}: the folder of prompts lacks {names}: medians exclude them")
        if not taken:
            kinds = sorted({part.task.kind for part in slices})
            raise ConfigError(
                f"evaluation suite {suite.name!r}: none of its tasks is of kind {suite.kind} (only {', '.join(kinds)})"
            )
        found += [SuiteSlice(suite, part) for part in taken]
    return found
