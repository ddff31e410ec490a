"""How long a run will take here: a sample of its requests is asked and a micro-batch trained on, with the run's own code.

The sample is asked of the model that training starts from, so answers that are generated may later be shorter or
longer. Time is that of this machine as it is now, other loads included; processor time is without them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xmtf.evaluation.asking.fit_shots import fit_shots
from xmtf.evaluation.asking.journal import request_key
from xmtf.evaluation.asking.subject import load_any
from xmtf.evaluation.suites.jobs import jobs
from xmtf.evaluation.suites.setup import Setup, SuiteSlice, setup_of, suite_slices
from xmtf.execution import warn
from xmtf.guards.unfinished import scratch_folder
from xmtf.json_types import JsonObject
from xmtf.models import model_family
from xmtf.recipe import LoadedRecipe
from xmtf.records import Request
from xmtf.run_folder import RunFolder, tokenizer_of
from xmtf.runs.measures import suite_measures
from xmtf.runs.sampling import sampled_tokens
from xmtf.text.table import aligned
from xmtf.training.assembly import TrainingJob, assemble
from xmtf.training.loop.loop import Loop
from xmtf.training.loop.validation import Pace
from xmtf.training.trainer import write_initial

__all__ = ["StageTime", "estimate_run", "lines"]

_REQUESTS = 32
"""Requests that are asked, of all lengths."""
_STEPS = 3
"""Micro-batches that are trained on; the first, which warms up, does not count."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock and by the processor.

    Attributes:
        wall: By the clock.
        cpu: Of all threads of this process.
    """

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Spent:
        """Return the present readings of both."""
        return cls(time.monotonic(), time.process_time())

    def since(self, start: Spent, units: int) -> Spent:
        """Return what each of some units took from another reading to this one."""
        return Spent((self.wall - start.wall) / units, (self.cpu - start.cpu) / units)

    def times(self, units: float) -> Spent:
        """Return what so many units take."""
        return Spent(units * self.wall, units * self.cpu)


@dataclass(frozen=True, slots=True)
class StageTime:
    """What a stage will take.

    Attributes:
        stage: Its name.
        work: How much there is to do.
        spent: About how long, or None where it is not known.
    """

    stage: str
    work: str
    spent: Spent | None

    def to_json(self) -> JsonObject:
        """Return the stage with seconds by the clock and by the processor, null where they are not known."""
        wall, cpu = (None, None) if self.spent is None else (round(self.spent.wall, 1), round(self.spent.cpu, 1))
        return {"stage": self.stage, "work": self.work, "seconds": wall, "cpu_seconds": cpu}


def estimate_run(loaded: LoadedRecipe) -> list[StageTime]:
    """Return what the stages of a run take that ask or train a model; nothing is written into its folder.

    Raises:
        UserError: The recipe, its data or its model are wrong.
    """
    family = model_family(loaded.recipe.model, offline=loaded.recipe.offline)
    with sampled_tokens(loaded, family) as tokens, scratch_folder("xmtf-estimate-") as folder:
        if tokens is None:
            warn("the data of the mixture are not on this machine: training is not measured")
        initial = loaded.recipe.model.base
        if initial is None and tokens is not None:
            initial = str(RunFolder(folder).initial)
            write_initial(loaded.recipe, tokenizer_of(tokens), Path(initial))
        asked, per_request = _evaluation(loaded, initial) if initial is not None else (None, None)
        training = [StageTime("train", "not measured", None)] if tokens is None else []
        if tokens is not None and initial is not None:
            job = TrainingJob(_one_micro_batch(loaded), tokens, initial, family, RunFolder(folder / "run"))
            training = _training(loaded, job, per_request)
    evaluation = loaded.recipe.evaluation
    asking = [stage for stage in ("before", "after") if evaluation.suites and (stage == "after" or evaluation.before)]
    first, last = asking[:-1], asking[-1:]
    return [
        *(_asking(stage, asked, per_request) for stage in first),
        *training,
        *(_asking(stage, asked, per_request) for stage in last),
    ]


def lines(stages: Sequence[StageTime]) -> list[str]:
    """Return stage, work, time and processor time of each stage and of all together, as aligned columns."""
    known = [stage.spent for stage in stages if stage.spent is not None]
    rest = " and more" if len(known) < len(stages) else ""
    total = [sum(spent.wall for spent in known), sum(spent.cpu for spent in known)]
    rows = [
        ("stage", "work", "time", "processor time"),
        *((stage.stage, stage.work, *_durations(stage.spent)) for stage in stages),
        ("together", "without data, tokens and report", f"{_duration(total[0])}{rest}", f"{_duration(total[1])}{rest}"),
    ]
    return aligned(rows, numbers=(2, 3))


def _durations(spent: Spent | None) -> tuple[str, str]:
    return ("not known", "not known") if spent is None else (_duration(spent.wall), _duration(spent.cpu))


def _evaluation(loaded: LoadedRecipe, model: str) -> tuple[int, Spent | None]:
    """Return how many requests an evaluation asks, and what one takes."""
    setup = setup_of(loaded)
    if not setup.settings.suites:
        return 0, None
    return _timed(setup, suite_slices(setup), model)


def _timed(setup: Setup, slices: Iterable[SuiteSlice], model: str) -> tuple[int, Spent]:
    all_jobs = [job for job in jobs(setup, slices) if job.requests]
    subject = load_any(setup, model, "before")
    requests = {request_key(one): one for job in fit_shots(all_jobs, subject) for one in job.requests}
    sample = _spread(sorted(requests.values(), key=lambda one: (bool(one.choices), len(one.prompt))))
    start = Spent.now()
    for _ in subject.ask(sample):
        pass
    return len(requests), Spent.now().since(start, len(sample))


def _spread(ordered: Sequence[Request]) -> list[Request]:
    """Return requests at even distances of an order, so that they are as long on average as all are."""
    count = min(_REQUESTS, len(ordered))
    return [ordered[(2 * place + 1) * len(ordered) // (2 * count)] for place in range(count)]


def _one_micro_batch(loaded: LoadedRecipe) -> LoadedRecipe:
    """Return the recipe with steps of one micro-batch and nothing measured between them."""
    training = loaded.recipe.training
    rows = training.micro_batch_rows
    quiet = {"global_batch_rows": rows, "validation_suites": (), "validation_texts": (), "trackers": ()}
    return replace(loaded, recipe=loaded.recipe.model_copy(update={"training": training.model_copy(update=quiet)}))


def _training(loaded: LoadedRecipe, job: TrainingJob, per_request: Spent | None) -> list[StageTime]:
    """Return what training takes, and what is measured while it lasts."""
    training = loaded.recipe.training
    loop = assemble(job, "estimate")
    try:
        per_micro_batch = _per_step(loop)
        row = loop.feed.loader.tokens_per_row
    finally:
        loop.saver.close()
        loop.feed.close()
        loop.log.close()
    rows = training.global_batch_rows
    steps = training.steps or max(1, -(-(training.tokens or 0) // (rows * row)))
    micro_batches = steps * rows / training.micro_batch_rows
    stages = [StageTime("train", f"{steps:,} steps of {rows * row:,} tokens", per_micro_batch.times(micro_batches))]
    measures = suite_measures(loaded, job.tokens)
    if measures:
        pace = Pace.of(training, steps, rows)
        times = pace.first + -(-steps // pace.every)
        asked = sum(measure.num_requests for measure in measures)
        spent = None if per_request is None else per_request.times(times * asked)
        stages.append(StageTime("suites while training", f"{times} times {asked:,} requests", spent))
    return stages


def _per_step(loop: Loop) -> Spent:
    """Return what a step takes of one micro-batch, once the first has warmed up."""
    start = Spent.now()
    for step in range(_STEPS):
        if step == 1:
            start = Spent.now()
        loop.step(step, loop.feed.get(step))
    return Spent.now().since(start, _STEPS - 1)


def _asking(stage: str, requests: int | None, per_request: Spent | None) -> StageTime:
    if requests is None or per_request is None:
        return StageTime(stage, "requests of the suites", None)
    return StageTime(stage, f"{requests:,} requests", per_request.times(requests))


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, round(seconds / 60))} min"
