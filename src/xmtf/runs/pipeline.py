"""The stages of a run, in order: what is done, what is left.

::

    mixture ─▶ tokens ─▶ initial ─▶ before ─▶ train ─▶ after ─▶ report

Every stage reads artefact folders and writes one whose manifest carries a fingerprint of all that it depends on. A
stage whose folder is finished with the same fingerprint does nothing, so an interrupted run resumes where it stopped
and a second run ends at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xmtf.results.files import SCORES
from xmtf.results.scores import read_scores
from xmtf.errors import UnknownNameError
from xmtf.artefacts.event_log import append_event
from xmtf.execution import say, warn
from xmtf.extras import require_extra
from xmtf.files import MANIFEST, Manifest, Stopwatch, alone_in, write_text
from xmtf.artefacts.manifest_parts import MixtureCounts, MixtureDetails
from xmtf.runs.measures import suite_measures
from xmtf.models import model_family
from xmtf.models.files.references import plain_reference
from xmtf.artefacts.ownership import check_run_folder, claim_run_folder
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.written import write_recipe
from xmtf.runs.replacing import prepare
from xmtf.run_folder import PAGE, RunFolder, tokenizer_of

__all__ = ["STAGES", "RunOutcome", "outcome_of", "run_recipe", "stages"]

StageName = Literal["mixture", "tokens", "initial", "before", "train", "after", "report"]
STAGES: tuple[StageName, ...] = ("mixture", "tokens", "initial", "before", "train", "after", "report")

_WITHOUT_MODELS = ("mixture", "tokens")
"""The stages that touch no model, before all that do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run: its name and what it does."""

    name: StageName
    work: Callable[[], Manifest]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run came to.

    Attributes:
        folder: The run folder.
        summary: Lines for the person who started it.
        finished: Names of the stages that are finished, in order.
    """

    folder: Path
    summary: tuple[str, ...]
    finished: tuple[str, ...]


def run_recipe(
    loaded: LoadedRecipe,
    *,
    until: str | None = None,
    replace: bool = False,
    share: Callable[[StageName], None] = lambda stage: None,
    keep: Callable[[StageName], None] = lambda stage: None,
) -> RunOutcome:
    """Carry out a recipe: every stage that is not finished, in order.

    Args:
        loaded: The recipe.
        until: Last stage to do; all of them by default.
        replace: Replace a finished model, results, or checkpoints of another training that are in the run folder.
        share: Called before each stage; may put its finished folder there.
        keep: Called after each stage; may copy its finished folder elsewhere.

    Raises:
        UserError: The recipe or its data are wrong, or another process works in the run folder.
        MissingExtraError: A stage that is asked for needs a library that is not installed.
    """
    if until is not None and until not in STAGES:
        raise UnknownNameError("stage", until, STAGES)
    if until not in _WITHOUT_MODELS:
        require_extra()
        _refuse_one_process(loaded, until)
    folder = loaded.run_folder
    if loaded.recipe.offline:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    check_run_folder(folder)
    with alone_in(folder):
        claim_run_folder(folder)
        prepare(loaded, replace=replace)
        write_recipe(loaded)
        finished: list[str] = []
        for stage in stages(loaded):
            share(stage.name)
            _do(stage, loaded.run.log)
            keep(stage.name)
            finished.append(stage.name)
            if stage.name == until:
                return RunOutcome(folder, (f"{folder}: finished up to {until}",), tuple(finished))
        return outcome_of(loaded)


def _refuse_one_process(loaded: LoadedRecipe, until: str | None) -> None:
    """Refuse an evaluation that one process cannot do, before a run begins that ends in it.

    Raises:
        ConfigError: ``evaluation.parallel`` cuts the model, and results are still to be made.
    """
    evaluation = loaded.recipe.evaluation
    if not evaluation.suites or evaluation.parallel is None:
        return
    left = ["before"] if evaluation.before and until != "initial" else []
    left += ["after"] if until in (None, "after", "report") else []
    if not all((loaded.run.results(label) / MANIFEST).exists() for label in left):
        evaluation.parallel.copies(1)


def outcome_of(loaded: LoadedRecipe) -> RunOutcome:
    """Return what a run came to of which every stage is finished."""
    return RunOutcome(loaded.run_folder, _summary(loaded.run), tuple(stage.name for stage in stages(loaded)))


def stages(loaded: LoadedRecipe) -> Iterator[Stage]:
    """Yield the stages that a recipe has, in order."""
    run = _Run(loaded)
    yield Stage("mixture", run.mixture)
    yield Stage("tokens", run.tokens)
    if loaded.recipe.model.base is None:
        yield Stage("initial", run.initial)
    if loaded.recipe.evaluation.suites and loaded.recipe.evaluation.before:
        yield Stage("before", run.before)
    yield Stage("train", run.train)
    if loaded.recipe.evaluation.suites:
        yield Stage("after", run.after)
    yield Stage("report", run.report)


def _do(stage: Stage, log: Path) -> None:
    watch, cpu = Stopwatch(), _cpu_seconds()
    say(f"{stage.name}")
    stage.work()
    say(f"{stage.name}: done in {watch.seconds:.1f} s")
    spent = {"seconds": watch.seconds, "cpu_seconds": round(_cpu_seconds() - cpu, 3)}
    append_event(log, {"event": "stage", "stage": stage.name, **spent})


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


@dataclass(frozen=True, slots=True)
class _Run:
    """The stages bound to a recipe; each imports its room when it is its turn."""

    loaded: LoadedRecipe

    @property
    def _folder(self) -> RunFolder:
        return self.loaded.run

    @property
    def _start(self) -> str:
        """The model that training starts from: the recipe's, or the random weights of this run."""
        return self.loaded.recipe.model.base or str(self._folder.initial)

    def mixture(self) -> Manifest:
        from xmtf.mixture import build_mixture

        manifest = build_mixture(self.loaded, self._folder.mixture, replace=True)
        _tell_drops(manifest, self._folder.mixture)
        return manifest

    def tokens(self) -> Manifest:
        from xmtf.tokens import tokenize_mixture

        config = self.loaded.recipe.model
        return tokenize_mixture(
            self.loaded,
            self._folder.mixture,
            self._folder.tokens,
            family=model_family(config, offline=self.loaded.recipe.offline),
            base=plain_reference(config.base) if config.base else None,
            replace=True,
        )

    def initial(self) -> Manifest:
        from xmtf.training import write_initial

        return write_initial(self.loaded.recipe, tokenizer_of(self._folder.tokens), self._folder.initial)

    def before(self) -> Manifest:
        return self._evaluate("before", self._start)

    def train(self) -> Manifest:
        from xmtf.training import TrainingJob, train

        tokens = self._folder.tokens
        family = model_family(self.loaded.recipe.model, offline=self.loaded.recipe.offline)
        measures = suite_measures(self.loaded, tokens)
        return train(TrainingJob(self.loaded, tokens, self._start, family, self._folder, measures=measures))

    def after(self) -> Manifest:
        return self._evaluate("after", str(self._folder.model))

    def _evaluate(self, label: str, model: str) -> Manifest:
        from xmtf.evaluation import evaluate

        out = self._folder.results(label)
        return evaluate(self.loaded, model=model, label=label, out=out, replace=True)

    def report(self) -> Manifest:
        from xmtf.report import MODEL_CARD, build_report
        from xmtf.report.cards import write_hub_results

        report = self._folder.report
        manifest = build_report([self._folder.path], report, self.loaded.recipe.report)
        write_text(self._folder.model / "README.md", (report / MODEL_CARD).read_text(encoding="utf-8"))
        after = self._folder.results("after") / SCORES
        write_hub_results(self._folder.model, read_scores(after) if after.exists() else ())
        return manifest


def _tell_drops(manifest: Manifest, folder: Path) -> None:
    """Describe how many examples the mixture has, and why the others were dropped."""
    from xmtf.tasks import DropReport

    counts = MixtureCounts.of(manifest, folder)
    dropped = {reason: count for reason, count in counts.dropped.items() if count}
    listed = ", ".join(f"{count:,} {reason}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1]))
    tell = warn if dropped else say
    tell(f"  {counts.out:,} of {counts.rendered:,} examples{f'; dropped: {listed}' if listed else ''}")
    for line in DropReport.of(MixtureDetails.of(manifest, folder)).lines(dropped):
        warn(f"  {line}")


def _summary(run: RunFolder) -> tuple[str, ...]:
    from xmtf.report import summary_lines

    return (
        *summary_lines(run.report),
        f"report: {run.report / PAGE}",
        f"model:  {run.model}",
    )
