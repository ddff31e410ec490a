"""The best checkpoint of a run, found after training: each is asked the suites of its recipe, as validations ask them.

For runs that no validation could watch suites of, because their processes share the weights. What was measured is a
line of the run's log, so that a command that was stopped measures the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from xmtf.guards.unfinished import temporary_folder
from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.artefacts.event_log import append_event, read_events
from xmtf.files import content_hash, read_manifest
from xmtf.runs.measures import suite_measures
from xmtf.models import load_model
from xmtf.models.device import choose_device
from xmtf.models.dtype import choose_dtype
from xmtf.models.files.identity import model_identity
from xmtf.models.save import check_model_replaced
from xmtf.recipe import Recipe, load_recipe
from xmtf.run_folder import RunFolder
from xmtf.training import Measure
from xmtf.training.export import export_checkpoint, is_the_model, own_checkpoints
from xmtf.training.loop.validation import composite

__all__ = ["ScoredCheckpoint", "check_model_replaced", "export_chosen", "score_checkpoints"]

EVENT = "choice"
"""Event of the log: what one checkpoint came to."""


@dataclass(frozen=True, slots=True)
class ScoredCheckpoint:
    """What a checkpoint came to.

    Attributes:
        step: Its step.
        values: Suite -> value, as validations log it.
        score: Geometric mean over kinds of the mean over suites; higher is better.
    """

    step: int
    values: dict[str, float]
    score: float


def score_checkpoints(run_folder: Path, *, examples: int | None = None) -> list[ScoredCheckpoint]:
    """Measure every checkpoint of the run's own training on the suites of its recipe.

    Asked are the suites of ``training.validation_suites``, without them all of ``evaluation.suites``.

    Args:
        run_folder: Folder of the run.
        examples: Most examples of each task and template; default ``training.validation_examples``.

    Returns:
        The checkpoints, oldest first.

    Raises:
        SourceError: Not the folder of a run, or it has no checkpoint.
        ConfigError: The recipe has no suites.
    """
    run = RunFolder(run_folder)
    checkpoints = own_checkpoints(run_folder)
    loaded = load_recipe(run.recipe, [] if examples is None else [f"training.validation_examples={examples}"])
    if not loaded.recipe.evaluation.suites:
        raise ConfigError(f"{run.recipe}: has no evaluation.suites, so checkpoints cannot be compared")
    if not loaded.recipe.training.validation_suites:
        training = loaded.recipe.training.model_copy(update={"validation_suites": ("*",)})
        loaded = replace(loaded, recipe=loaded.recipe.model_copy(update={"training": training}))
    measures = suite_measures(loaded, run.checkpoints)
    asked = content_hash([measure.fingerprint for measure in measures])
    known = _known(run.log, asked)
    found = []
    for path, progress in checkpoints.items():
        name = f"{path.name} {path.stat().st_mtime_ns}"
        if name not in known:
            known[name] = _score(run_folder, progress.step, measures, loaded.recipe)
            line = {"checkpoint": name, "asked": asked, "step": progress.step}
            append_event(run.log, {"event": EVENT, **line, "values": known[name].values, "score": known[name].score})
        found.append(known[name])
        say(f"step {progress.step}: {known[name].score:.4f}")
    return found


def _known(log: Path, asked: str) -> dict[str, ScoredCheckpoint]:
    events = read_events(log) if log.is_file() else ()
    return {
        event["checkpoint"]: ScoredCheckpoint(event["step"], event["values"], event["score"])
        for event in events
        if event.get("event") == EVENT and event.get("asked") == asked
    }


def _score(run_folder: Path, step: int, measures: tuple[Measure, ...], recipe: Recipe) -> ScoredCheckpoint:
    values: dict[str, float] = {}
    by_kind: dict[str, list[float]] = {}
    with temporary_folder(run_folder / "choosing") as folder:
        model = RunFolder(folder).model
        export_checkpoint(run_folder, model, step=step)
        device = choose_device(recipe.training.device)
        dtype = choose_dtype(recipe.evaluation.dtype, str(model), device)
        subject = load_model(str(model), device=str(device), dtype=dtype).model
        for measure in measures:
            values[measure.name] = measure(subject).value
            by_kind.setdefault(measure.kind, []).append(values[measure.name])
    return ScoredCheckpoint(step, values, composite(by_kind))


def export_chosen(run_folder: Path, out: Path, chosen: ScoredCheckpoint, *, dtype: str, replace: bool) -> str | None:
    """Write a checkpoint as a model folder; return the identity of its weights where they are not the run's model's."""
    export_checkpoint(run_folder, out, step=chosen.step, dtype=dtype, replace=replace)
    return None if is_the_model(run_folder, read_manifest(out)) else model_identity(str(out))
