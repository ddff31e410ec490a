"""What a recipe's mixture is made of, as a plan: one shard task for each split of each task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from xmtf.artefacts.manifest_parts import SuiteHeldOut
from xmtf.errors import ConfigError
from xmtf.execution import Plan, ShardTask
from xmtf.extras import require_extra
from xmtf.files import content_hash, slug
from xmtf.mixture.plan.gather import Gathered, gather_sources
from xmtf.mixture.plan.held_out import Trained, check_axes, place_of, suites_held_out
from xmtf.mixture.plan.near import NearPlan, plan_near
from xmtf.mixture.plan.prompted import PromptedFile, prompted_files
from xmtf.mixture.plan.rates import explicit_rates
from xmtf.mixture.select.asked_fields import GUARD_FILES
from xmtf.mixture.select.choose import Rules
from xmtf.mixture.select.letters import NORMALISATION
from xmtf.mixture.select.ngrams import HASHING
from xmtf.recipe import LoadedRecipe, Recipe
from xmtf.recipe.effects import FORMATS, marked, stage_fingerprint
from xmtf.recipe.schema import CapPolicy, Suite
from xmtf.recipe.sections.mixture import Identify, Mixture, Quality, TaskSelection
from xmtf.sources.adapters import ADAPTERS, adapter_version
from xmtf.tasks import Slice, fingerprint_slice, load_catalogue
from xmtf.versions import package_versions

__all__ = [
    "BUDGET",
    "LAYOUT",
    "Asking",
    "MixturePlan",
    "Portion",
    "mixture_slices",
    "plan_mixture",
    "read_slice",
    "select_asking",
]

LAYOUT = FORMATS["mixture"]
"""Version of what the build makes of a plan; a mixture of another version is rebuilt."""

BUDGET = 5
"""Rows read of a split for each example that a random cap keeps: templates do not apply to every row."""

_SLICE = TypeAdapter(Slice)


@dataclass(frozen=True, slots=True)
class Asking:
    """A slice that an evaluation suite of the recipe asks.

    Attributes:
        number: Number of the suite in the recipe.
        suite: Name of the suite.
        may_share_rows: Whether the suite asks about rows that may be trained on, with other prompts.
        slice: The slice.
    """

    number: int
    suite: str
    may_share_rows: bool
    slice: Slice


@dataclass(frozen=True, slots=True)
class Portion:
    """What one shard task adds to the mixture.

    Attributes:
        task: Task id.
        split: Split.
        templates: Names of the templates.
        rate: Sampling rate relative to the other portions.
        language: Language of the targets.
        cluster: Task cluster.
        dataset: Dataset, as the examples name it.
        subset: Configuration, or ``""``.
        licence: Its licence, or ``""``.
    """

    task: str
    split: str
    templates: tuple[str, ...]
    rate: float
    language: str
    cluster: str
    dataset: str
    subset: str
    licence: str


@dataclass(frozen=True, slots=True)
class MixturePlan:
    """Everything that the build of a mixture does, as data.

    Attributes:
        loaded: The recipe.
        portions: What goes in; of equal examples the earlier portion's stays.
        asking: What the held-out guard compares with.
        shards: Renders the portions; task ``i`` is portion ``i``.
        guard: Renders the inputs of the suites.
        inputs: Name of each input -> its fingerprint.
        recipe: The parts of the recipe that decide about the mixture.
        suites: What is really held out of each suite; see :mod:`xmtf.mixture.plan.held_out`.
        gathered: Where the rows come from, and what is unavailable.
        near: Finds near duplicates among the rows, where the recipe asks for it.
    """

    loaded: LoadedRecipe
    portions: tuple[Portion, ...]
    asking: tuple[Asking, ...]
    shards: Plan
    guard: Plan
    inputs: dict[str, str]
    recipe: dict[str, Any]
    suites: tuple[SuiteHeldOut, ...] = ()
    gathered: Gathered = field(default_factory=Gathered)
    near: NearPlan = field(default_factory=NearPlan)

    @property
    def fingerprint(self) -> str:
        """Hash of the recipe's part and of all inputs."""
        return stage_fingerprint("mixture", self.recipe, self.inputs)


def plan_mixture(loaded: LoadedRecipe) -> MixturePlan:
    """Describe what building the mixture of a recipe takes; reads no rows, but brings what is on the hub alone.

    Raises:
        ConfigError: The recipe takes nothing, or its keys contradict each other.
        SourceError: A dataset is nowhere, and ``mixture.missing`` does not skip it; all such are listed before.
        UnknownNameError: The recipe names something that the catalogue does not have.
    """
    recipe = loaded.recipe
    _check_rates(recipe)
    slices, folders, asking = mixture_slices(loaded), prompted_files(loaded), select_asking(loaded)
    gathered = gather_sources(loaded, slices, [(part.suite, part.slice) for part in asking])
    slices = gathered.slices
    suites = _by_suite(recipe, asking)
    trained_on = Trained.of(slices, folders, drops_rows=recipe.mixture.held_out.overlap != "flag")
    check_axes(suites, trained_on, str(loaded.path))
    fingerprints = [_fingerprint(part, recipe) for part in slices]
    asked = [_fingerprint(part.slice, recipe) for part in asking]
    readers: dict[str, list[str]] = {}
    for part in slices:
        readers.setdefault(place_of(part), []).append(f"{part.task.id}:{part.split}")
    trained = readers.keys()
    guard_tasks = [
        _guard_task(part, fingerprint, recipe, trained) for part, fingerprint in zip(asking, asked, strict=True)
    ]
    guard_hash = content_hash([task.fingerprint for task in guard_tasks])
    near = plan_near(slices, fingerprints, recipe)
    shard_tasks = [
        *(
            _shard_task(part, print_, recipe, guard_hash, near)
            for part, print_ in zip(slices, fingerprints, strict=True)
        ),
        *(_prompted_task(part, recipe, guard_hash) for part in folders),
    ]
    inputs = {task.name: task.spec["fingerprint"] for task in shard_tasks}
    inputs |= {
        f"suites/{task.name}": content_hash(
            [
                fingerprint,
                *(task.spec[name] for name in ("words", "rows", "fields")),
                _named_place(part.slice, readers),
                *(task.spec[name] for name in ("only_asked", "hashing")),
            ]
        )
        for part, task, fingerprint in zip(asking, guard_tasks, asked, strict=True)
    }
    inputs |= {f"adapter {name}": str(adapter_version(name)) for name in _of_plugins(slices)}
    inputs |= _identifier(recipe, slices, len(folders))
    inputs |= near.inputs
    if gathered.missing:
        inputs["missing"] = content_hash(sorted(f"{part.task}:{part.split}" for part in gathered.missing))
    portions = [*(_portion(part) for part in slices), *(_prompted_portion(part) for part in folders)]
    numbers = explicit_rates([part.task for part in portions], recipe.mixture.rates)
    return MixturePlan(
        loaded,
        tuple(
            dataclasses.replace(part, rate=part.rate * number) for part, number in zip(portions, numbers, strict=True)
        ),
        asking,
        Plan("xmtf.mixture.build:build_shard", tuple(shard_tasks)),
        Plan("xmtf.mixture.build:build_guard_shard", tuple(guard_tasks)),
        inputs,
        marked(recipe, "mixture", recipe),
        tuple(suites_held_out(suites, trained_on)),
        gathered,
        near,
    )


def _of_plugins(slices: Sequence[Slice]) -> list[str]:
    """Return the adapters that are not part of xmtf."""
    return sorted({part.task.adapter for part in slices if part.task.adapter} - ADAPTERS.keys())


def _named_place(part: Slice, readers: Mapping[str, list[str]]) -> object:
    """Return what tells the split of a slice from others: of a user's own file who trains on it, wherever it lies."""
    place = place_of(part)
    return place if part.task.source(part.split).path is None else sorted(readers.get(place, []))


def _by_suite(recipe: Recipe, asking: Sequence[Asking]) -> list[tuple[Suite, list[Slice]]]:
    suites = enumerate(recipe.evaluation.suites)
    return [(suite, [part.slice for part in asking if part.number == number]) for number, suite in suites]


def mixture_slices(loaded: LoadedRecipe) -> tuple[Slice, ...]:
    """Return the slices of the recipe's mixture, with the recipe's caps and row budgets; looks at no source."""
    mixture = loaded.recipe.mixture
    if not mixture.tasks:
        return ()
    slices = load_catalogue(loaded).select(
        mixture.tasks, role="train", held_out=mixture.held_out, where=f"{loaded.path}: mixture.tasks"
    )
    if not slices:
        raise ConfigError(f"{loaded.path}: mixture.tasks selects no task; see `xmtf task list`")
    return tuple(_limited(part, loaded.recipe) for part in slices)


def select_asking(loaded: LoadedRecipe) -> tuple[Asking, ...]:
    """Return what the evaluation suites of the recipe ask; looks at no source."""
    catalogue = load_catalogue(loaded)
    return tuple(
        Asking(number, suite.name, suite.axis in ("templates", "none"), part)
        for number, suite in enumerate(loaded.recipe.evaluation.suites)
        for part in catalogue.select(
            suite.tasks, role="evaluation", where=f"{loaded.path}: evaluation.suites.{number}.tasks"
        )
        if suite.kind in (None, part.task.kind)
    )


def read_slice(spec: dict[str, Any]) -> Slice:
    """Return the slice of a shard task's spec."""
    return _SLICE.validate_python(spec["slice"])


def _limited(part: Slice, recipe: Recipe) -> Slice:
    """Lower the slice's cap to the mixture's, fill in its policy, and limit the rows read to what the cap can need.

    The original always limits the rows first, at random, and caps what is left: so does ``legacy`` mode, whatever
    the policy.
    """
    mixture = recipe.mixture
    part = part.capped(mixture.cap_examples)
    cap = part.cap_examples
    policy = part.cap_policy or mixture.cap_policy
    score = (part.cap_score or mixture.cap_score) if policy == "score" else None
    limit = part.limit_rows
    if cap is not None and (policy == "random" or mixture.mode == "legacy"):
        limit = min(limit or BUDGET * cap, BUDGET * cap)
    return dataclasses.replace(part, limit_rows=limit, cap_policy=policy, cap_score=score)


def _check_rates(recipe: Recipe) -> None:
    if recipe.mixture.rates.is_sampling:
        return
    rates = {f"tasks.{number}": selection.rate for number, selection in enumerate(recipe.mixture.tasks)}
    rates |= {f"prompted.{number}": folder.rate for number, folder in enumerate(recipe.mixture.prompted)}
    for key, rate in rates.items():
        if rate != 1.0:
            raise ConfigError(
                f"mixture.{key}.rate: rates need a sampling policy, and mixture.rates.policy is 'all'; set it "
                "to proportional, capped, temperature or explicit and give mixture.rates.max_examples, or quotas in "
                "mixture.rates.languages"
            )


def _fingerprint(part: Slice, recipe: Recipe) -> str:
    return fingerprint_slice(part, mode=recipe.mixture.mode, seed=recipe.seed, offline=recipe.offline)


def _portion(part: Slice) -> Portion:
    task = part.task
    templates = tuple(template.name for template in part.templates)
    where = (task.language, task.cluster, task.dataset, task.subset, task.licence)
    return Portion(task.id, part.split, templates, part.rate, *where)


def _prompted_portion(part: PromptedFile) -> Portion:
    return Portion(part.task, part.split, (), part.rate, part.language, part.cluster, part.dataset, "", part.licence)


def _rules(
    recipe: Recipe, cap_examples: int | None, cap_policy: CapPolicy | None, selection: TaskSelection | None = None
) -> dict[str, object]:
    mixture = recipe.mixture
    quality, identify = _text_rules(mixture, selection)
    rules = Rules(
        seed=recipe.seed,
        cap_examples=cap_examples,
        cap_policy=cap_policy or mixture.cap_policy,
        deduplicate=mixture.deduplicate,
        min_input_characters=mixture.min_input_characters,
        max_characters=mixture.max_characters,
        overlap=mixture.held_out.overlap,
        overlap_fields=mixture.held_out.overlap_fields,
        overlap_words=mixture.held_out.overlap_words,
        quality=quality.rules() if quality is not None else {},
        identify=identify.model_dump() if identify is not None else None,
    )
    return dataclasses.asdict(rules)


def _text_rules(mixture: Mixture, selection: TaskSelection | None) -> tuple[Quality | None, Identify | None]:
    """Return what the texts of a selection must fulfil: its own rules, or the mixture's."""
    quality, identify = (selection.quality, selection.identify) if selection is not None else (None, None)
    return (
        None if quality == "off" else quality or mixture.quality,
        None if identify == "off" else identify or mixture.identify,
    )


def _identifier(recipe: Recipe, parts: Sequence[Slice], num_folders: int) -> dict[str, str]:
    """Return the version of the identifier of languages among the inputs, where the recipe asks it.

    Raises:
        MissingExtraError: It is not installed.
    """
    mixture = recipe.mixture
    selections = [*(mixture.tasks[part.selection] for part in parts), *(None for _ in range(num_folders))]
    if all(_text_rules(mixture, selection)[1] is None for selection in selections):
        return {}
    require_extra(["py3langid"])
    return {"identifier": f"py3langid {package_versions(['py3langid'])['py3langid']}"}


def _shard_task(part: Slice, fingerprint: str, recipe: Recipe, guard_hash: str, near: NearPlan) -> ShardTask:
    selection = recipe.mixture.tasks[part.selection]
    rules = _rules(recipe, part.cap_examples, part.cap_policy, selection) | {"place": place_of(part)}
    spec = _render_spec(part, fingerprint, recipe) | {"rules": rules, "guard": guard_hash}
    name = slug(f"{part.task.id}:{part.split}")
    return ShardTask(name, spec | near.spec_of(name), float(len(part.templates)))


def _prompted_task(part: PromptedFile, recipe: Recipe, guard_hash: str) -> ShardTask:
    spec = {
        "layout": LAYOUT,
        "prompted": dataclasses.asdict(part),
        "fingerprint": part.fingerprint,
        "rules": _rules(recipe, None, None) | {"guards_rows": False},
        "guard": guard_hash,
    }
    return ShardTask(slug(f"{part.task}:{part.split}"), spec, float(part.size))


def _guard_task(part: Asking, fingerprint: str, recipe: Recipe, trained: Collection[str]) -> ShardTask:
    held_out, task = recipe.mixture.held_out, part.slice.task
    place = place_of(part.slice)
    spec = _render_spec(part.slice, fingerprint, recipe) | {
        "suite": part.suite,
        "words": None if part.may_share_rows else held_out.overlap_words,
        "hashing": [HASHING, NORMALISATION],
        "files": GUARD_FILES,
        "rows": not part.may_share_rows,
        "fields": held_out.overlap_fields and not part.may_share_rows,
        "place": place,
        "parallel": f"{task.dataset} {part.slice.split}",
        "only_asked": place in trained,
    }
    name = slug(f"{part.suite}:{part.slice.task.id}:{part.slice.split}:{part.slice.selection}")
    return ShardTask(name, spec, float(len(part.slice.templates)))


def _render_spec(part: Slice, fingerprint: str, recipe: Recipe) -> dict[str, object]:
    return {
        "layout": LAYOUT,
        "slice": _SLICE.dump_python(part, mode="json"),
        "fingerprint": fingerprint,
        "mode": recipe.mixture.mode,
        "seed": recipe.seed,
        "offline": recipe.offline,
        "failing_rows": recipe.mixture.failing_rows,
    }
