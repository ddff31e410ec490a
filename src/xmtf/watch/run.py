"""One run that is watched: its folder read again and again, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xmtf.artefacts.ownership import stage_of, work_beside
from xmtf.files import MANIFEST
from xmtf.guards.alone import LOCK
from xmtf.guards.unfinished import is_held
from xmtf.json_types import JsonObject
from xmtf.run_folder import LABELS, RunFolder
from xmtf.watch.answers import Answers, ShownAnswer
from xmtf.watch.events import number
from xmtf.watch.growing import GrowingFile
from xmtf.watch.kept_files import KeptFiles
from xmtf.watch.pace import Pace
from xmtf.watch.series import Curve, Series
from xmtf.watch.stages import (
    BUILDS,
    Stage,
    build_stage,
    plain_stage,
    recipe_stages,
    result_folders,
    running_stage,
    without_foreign,
)
from xmtf.watch.training_log import TrainingLog
from xmtf.watch.view import RunState, RunView, curves_of, shown

__all__ = ["WatchedRun"]

_SHOWN_ANSWERS = 30
_STEPS_OF_PACE = 20
"""Training events that the time left is computed from."""


@dataclass(slots=True)
class WatchedRun:
    """A folder: of a run, or of one of its stages that was made by itself (results, a mixture, token files).

    Attributes:
        path: The folder; it may come, and go.
        place: Among those that are watched.
        name: Short, and of this run alone.
        behind: Bytes of its files that were not read yet.
    """

    path: Path
    place: int = 0
    name: str = ""
    behind: int = 0
    _log: TrainingLog = field(init=False)
    _answers: dict[Path, Answers] = field(default_factory=dict)
    _files: KeptFiles = field(default_factory=KeptFiles)
    _pace: Pace = field(default_factory=Pace)
    _paced: str = ""
    _curves: tuple[dict[str, Curve], ...] | None = None
    _last: RunView | None = None
    _notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._log = TrainingLog(GrowingFile(RunFolder(self.path).log))

    def look(self, most: int) -> RunView:
        """Read what is new, about ``most`` bytes of each file, and return what is known now."""
        self._notes = []
        if not self.path.is_dir() and not work_beside(self.path).is_dir():
            return self._absent()
        alone = stage_of(self.path)
        if alone is None and work_beside(self.path).is_dir():
            alone = "mixture"  # of `xmtf data build --out`, which is not there before it is whole
        self._read(most, alone)
        stages = self._stages(alone)
        held = any(is_held(path) for path in self._locks(alone))
        stages = running_stage(stages, is_held=held)
        self._last = self._view(stages, held)
        return self._last

    def _absent(self) -> RunView:
        self.behind = 0
        if self._last is None or self._last.state == "not begun":
            return RunView(self.place, self.name, str(self.path), "not begun", "there is no such folder yet")
        says = "the folder is gone; what is shown was read before"
        last = self._last
        fields = {name: getattr(last, name) for name in RunView.__slots__}
        return RunView(**fields | {"state": "gone", "says": says, "left_s": None, "notes": ()})

    def _read(self, most: int, alone: str | None) -> None:
        folders = [self.path] if alone == "evaluation" else list(result_folders(RunFolder(self.path)))
        self._answers = {folder: self._answers.get(folder) or Answers(folder) for folder in folders}
        parts: list[TrainingLog | Answers] = [self._log, *self._answers.values()]
        for each in parts:
            try:
                if each.refresh(most) and each is self._log:
                    self._curves = None
            except OSError as error:
                self._notes.append(f"{error.filename}: cannot be read ({error.strerror or error})")
        self.behind = self._log.behind + sum(each.behind for each in self._answers.values())

    def _locks(self, alone: str | None) -> Iterator[Path]:
        """Yield the files that whoever works in the folder holds locked."""
        run = RunFolder(self.path)
        mixture = self.path if alone == "mixture" else run.mixture
        tokens = self.path if alone == "tokens" else run.tokens
        folders = [self.path, work_beside(mixture), tokens / "shards", *self._answers]
        for folder in folders:
            yield folder / LOCK
        yield self.path / ".launch.lock"
        for folder in self._answers:
            yield from folder.glob(f".*{LOCK}")

    @property
    def _recipe(self) -> JsonObject:
        return self._files.yaml(RunFolder(self.path).recipe)

    def _stages(self, alone: str | None) -> list[Stage]:
        if alone in BUILDS:
            return [build_stage(alone, self.path, self._files)]
        if alone == "evaluation":
            return [self._evaluation("evaluation", self.path)]
        run = RunFolder(self.path)
        recipe = self._recipe
        named = recipe_stages(recipe) if recipe else (*BUILDS, "train", *LABELS)
        others = [folder.name for folder in self._answers if folder.name not in named]
        stages = [self._stage(run, name) for name in (*named, *others)]
        # without a recipe nobody knows what is to come
        return without_foreign(stages if recipe else [stage for stage in stages if stage.state != "waiting"])

    def _stage(self, run: RunFolder, name: str) -> Stage:
        if name in BUILDS:
            return build_stage(name, run.mixture if name == "mixture" else run.tokens, self._files)
        if name == "train":
            return self._training(run)
        if name == "initial":
            return plain_stage(name, run.initial, self._files)
        if name == "report":
            return plain_stage(name, run.report, self._files)
        return self._evaluation(name, run.results(name))

    def _training(self, run: RunFolder) -> Stage:
        done, total, unit = self._progress()
        manifest = self._files.json(run.model / MANIFEST)
        counts = manifest.get("counts")
        exported = counts.get("step") if isinstance(counts, dict) else None
        if isinstance(exported, int) and self._log.step <= exported:
            return Stage("train", "done", exported, exported, "steps", seconds=number(manifest, "wall_time_s"))
        if self._log.step < 0 and not any(run.checkpoints.glob("step-*")):
            return Stage("train", total=total, unit=unit)
        return Stage("train", "begun", done, total, unit)

    def _progress(self) -> tuple[int, int | None, str]:
        """Return how far training is, of how much, and in what: steps, or tokens where the recipe gives those."""
        training = self._recipe.get("training")
        training = training if isinstance(training, dict) else {}
        steps, tokens = training.get("steps"), training.get("tokens")
        if not isinstance(steps, int) and isinstance(tokens, int | float):
            return int(number(self._log.latest, "tokens") or 0), int(tokens), "tokens"
        return max(0, self._log.step), steps if isinstance(steps, int) else None, "steps"

    def _evaluation(self, name: str, folder: Path) -> Stage:
        manifest, answers = self._files.json(folder / MANIFEST), self._answers.get(folder)
        if manifest:
            counts = manifest.get("counts")
            items = counts.get("items") if isinstance(counts, dict) else None
            items = items if isinstance(items, int) else None
            return Stage(name, "done", items, items, "items", seconds=number(manifest, "wall_time_s"))
        if answers is None:
            return Stage(name)
        if answers.damaged:
            self._notes.append(f"{folder}: {answers.damaged} lines of answers were changed or cut short")
        return Stage(name, "begun", answers.done, answers.total, "requests", note="" if answers.done else "preparing")

    def _view(self, stages: list[Stage], held: bool) -> RunView:
        now = next((stage for stage in stages if stage.state in ("running", "begun")), None)
        state = _state(stages, held=held, stopped=self._log.stopped is not None)
        log = self._log
        if self._curves is None:
            self._curves = (curves_of(log.curves), curves_of(log.validation), curves_of(log.measures))
        curves, validations, measures = self._curves
        validation = next(iter(log.validation.values()), Series())
        if log.damaged:
            self._notes.append(f"{log.file.path}: {log.damaged} lines were changed or cut short; they are skipped")
        if log.is_torn and not held:
            self._notes.append(f"{log.file.path}: the last line is cut short; it is skipped")
        left, speed, unit = self._speed(now)
        _, steps, of = self._progress()
        return RunView(
            self.place,
            self.name,
            str(self.path),
            state,
            self._says(state, now, stages),
            stage=now.name if now is not None else "",
            stages=tuple(stages),
            done=None if now is None else now.done,
            total=None if now is None else now.total,
            unit="" if now is None else now.unit,
            left_s=left or None if state == "running" else None,
            updated=self._updated(),
            step=log.step if log.step >= 0 else None,
            steps=steps if of == "steps" else None,
            loss=shown(_last(log.curves["loss"])),
            validation=shown(_last(validation)),
            speed=shown(speed),
            speed_unit="" if speed is None else unit,
            memory=shown(_last(log.curves["memory"])),
            planned=shown(_last(log.curves["planned"])),
            mfu=None if log.latest.get("mfu") is None else shown(number(log.latest, "mfu")),
            skipped=len(log.skipped),
            checkpoint=log.checkpoints.last_step if len(log.checkpoints) else None,
            curves=curves,
            validations=validations,
            measures=measures,
            by_language={name: shown(value) for name, value in log.by_language.items()},
            by_cluster={name: shown(value) for name, value in log.by_cluster.items()},
            lines=tuple(log.lines),
            answers=self._shown_answers(),
            notes=tuple(self._notes),
        )

    def _shown_answers(self) -> tuple[ShownAnswer, ...]:
        newest = sorted(self._answers.values(), key=lambda part: -part.updated)
        return tuple(each for part in newest for each in part.shown())[:_SHOWN_ANSWERS]

    def _speed(self, now: Stage | None) -> tuple[float | None, float | None, str]:
        """Return the seconds left of a stage, how fast it is, and in which unit that is."""
        if now is None or now.name == "train":
            return self._training_left(), _last(self._log.curves["speed"]), "tokens/s"
        answers = next(
            (each for folder, each in self._answers.items() if now.name in (folder.name, "evaluation")), None
        )
        if now.unit == "requests" and answers is not None:
            return answers.pace.left_s(answers.total), answers.pace.per_s, "requests/s"
        if (now.name + now.note) != self._paced:
            self._pace, self._paced = Pace(), now.name + now.note
        self._pace.see(now.done or 0)
        return self._pace.left_s(now.total), None, ""

    def _training_left(self) -> float | None:
        """Return the seconds that the rest takes as long as the last steps, validation and checkpoints not counted."""
        seconds, (done, total, unit) = self._log.seconds, self._progress()
        first = max(0, len(seconds) - _STEPS_OF_PACE)
        if len(seconds) < 2 or total is None or not done:
            return None
        per_step = (seconds.values[-1] - seconds.values[first]) / (seconds.steps[-1] - seconds.steps[first])
        rest = total - done if unit == "steps" else (total - done) * self._log.step / done
        return max(0.0, rest * per_step)

    def _says(self, state: RunState, now: Stage | None, stages: list[Stage]) -> str:
        if self._log.behind and self._log.file.size:
            return f"reading the log, {100 * self._log.file.offset // self._log.file.size} %"
        if state == "stopped":
            return f"stopped at step {max(0, self._log.step):,}: {(self._log.stopped or '')[:200]}"
        if state == "finished":
            return "finished"
        if now is None:
            left = [stage.name for stage in stages if stage.state == "waiting"]
            done = [stage.name for stage in stages if stage.state == "done"]
            if state == "running":
                return "starting"
            return f"{done[-1]} done; to do: {', '.join(left)}" if done else "nothing is done here yet"
        says = f"{now.name}: {now.note}" if now.note else now.name
        return says if state == "running" else f"during {says}"

    def _updated(self) -> float | None:
        """Return when something was last written, as far as what is watched tells."""
        run = RunFolder(self.path)
        made = [self.path, run.mixture, run.tokens, run.model, run.report, *self._answers]
        work = [work_beside(run.mixture) / "shards", work_beside(self.path) / "shards", run.tokens / "shards"]
        paths = [run.log, run.recipe, *work, *(path for each in self._answers.values() for path in each.paths)]
        times = []
        for path in [*paths, *(folder / MANIFEST for folder in made)]:
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return max(times, default=None)


def _last(series: Series) -> float | None:
    return series.values[-1] if len(series) else None


def _state(stages: list[Stage], *, held: bool, stopped: bool) -> RunState:
    if held:
        return "running"
    begun = any(stage.state == "begun" for stage in stages)
    if stopped and begun:
        return "stopped"
    if begun:
        return "interrupted"
    return "finished" if stages and all(stage.state == "done" for stage in stages) else "waiting"
