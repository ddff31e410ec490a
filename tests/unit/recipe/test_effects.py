"""Marks of the schema: every key has one, and every stage's fingerprint follows it."""

import copy
import itertools
from pathlib import Path

import pytest

from xmtf.evaluation.run import fingerprint_questions
from xmtf.evaluation.suites.setup import setup_of, suite_slices
from xmtf.files import MANIFEST, Manifest, write_json, write_manifest
from xmtf.mixture.finish import _named
from xmtf.mixture.plan.plan import plan_mixture
from xmtf.recipe.effects import effects_of, leaf_keys, marked, stage_fingerprint
from xmtf.recipe.load import resolve_recipe
from xmtf.recipe.schema import Recipe
from xmtf.tokens.build.build import tokens_fingerprint
from xmtf.training.naming import identify_training

ROWS = "".join(f'{{"a": "row {n}", "b": "answer {n}", "score": {n}}}\n' for n in range(40))
TEMPLATES = """
templates:
  1: !Template {{answer_choices: "yes ||| no", id: "1", jinja: "{text} {{{{a}}}} ||| {{{{b}}}}", name: plain,
     metadata: !TemplateMetadata {{choices_in_prompt: false, languages: [en], metrics: [Accuracy],
     original_task: true}}, reference: ""}}
  2: !Template {{answer_choices: null, id: "2", jinja: "{text} again {{{{a}}}} ||| {{{{b}}}}", name: other,
     metadata: !TemplateMetadata {{choices_in_prompt: false, languages: [en], metrics: [Accuracy],
     original_task: true}}, reference: ""}}
"""
MORE = """
tasks:
  - {id: words-more, cluster: own, dataset: cldr/kinds, subset: es, language: es, templates: cldr/kinds,
     splits: {train: [train]}, kind: generation, metrics: [chrf]}
  - {id: asked-more, cluster: own, dataset: cldr/kinds, subset: es, language: es, templates: cldr/kinds,
     splits: {evaluation: [test]}, kind: generation, metrics: [chrf]}
"""
OWN = {"path": "rows.jsonl", "templates": "templates.yaml", "language": "sw", "cluster": "own", "kind": "generation"}
BASE = {
    "name": "flip",
    "catalogues": [],
    "own_tasks": [
        OWN | {"id": "words", "role": "train"},
        OWN | {"id": "asked", "role": "evaluation", "metrics": ["exact_match"]},
        OWN | {"id": "also", "role": "evaluation"},
    ],
    "mixture": {
        "tasks": [{"catalogue": "demo", "tasks": ["cldr-kinds/fr", "cldr-kinds/sw"]}, {"tasks": ["words*"]}],
        "prompted": [{"path": "prompted"}],
        "rates": {"policy": "capped", "max_examples": 100, "size_cap": 30, "temperature": 3.0},
        "cap_policy": "random",
    },
    "tokens": {"tokenizer": {"train_vocab_size": 300}},
    "model": {"architecture": "bloom", "hidden_size": 16, "num_layers": 2, "num_heads": 2, "lora": {"rank": 2}},
    "training": {"steps": 6, "validation_texts": [{"path": "rows.jsonl", "column": "a"}]},
    "evaluation": {
        "suites": [
            {
                "name": "one",
                "axis": "rows",
                "tasks": [
                    {"catalogue": "demo", "tasks": ["cldr-kinds/fr", "cldr-kinds/sw"], "limit_rows": 20},
                    {"tasks": ["asked*"]},
                ],
            },
            {"name": "two", "kind": "generation", "tasks": [{"tasks": ["asked", "also"]}]},
            {
                "name": "three",
                "tasks": [{"catalogue": "demo", "tasks": ["cldr-kinds/fr"], "limit_rows": 9}],
                "shots": {"number": 1, "split": "train"},
            },
        ],
        "server": {"concurrency": 4},
        "parallel": {"tp": 1},
    },
}
BEST = {"training.export": "best", "training.validation_suites": ["one"]}
COMPAT = {"training.loss": "target_compat"}
LINEAR = {"training.schedule.name": "linear"}
CHAT = {"tokens.chat": "all"}
PRETRAINED = {"model.base": "tiny", "tokens.tokenizer.train_vocab_size": None, "model.architecture": None}
"""Recipes under which marks are other ones."""

FLIPS = {
    "name": "flop",
    "run_folder": "elsewhere",
    "catalogues": ["more.yaml"],
    "pins": "pins.yaml",
    "execution.engine": "inline",
    "execution.workers": 3,
    "execution.address": "local",
    "mixture.tasks.0.catalogue": None,
    "mixture.tasks.0.tasks": ["cldr-kinds/fr"],
    "mixture.tasks.0.languages": ["sw"],
    "mixture.tasks.0.where": {"a": "row 1"},
    "evaluation.suites.0.tasks.0.where": {"a": {"ne": "row 1"}},
    "mixture.tasks.0.clusters": ["topic*"],
    "mixture.tasks.0.cap_policy": "shortest",
    "mixture.tasks.0.cap_score": None,
    "mixture.tasks.0.templates": ["q*"],
    "mixture.tasks.0.prompt_languages": ["en"],
    "mixture.tasks.0.splits": ["train", "test"],
    "mixture.tasks.0.without_prompts": "error",
    "evaluation.suites.0.tasks.0.without_prompts": "error",
    "mixture.tasks.0.exclude_tasks": ["cldr-kinds/fr"],
    "mixture.tasks.0.exclude_clusters": ["temporal classification"],
    "mixture.tasks.0.exclude_languages": ["fr"],
    "mixture.tasks.0.exclude_templates": ["question"],
    "mixture.prompted.0.path": "more",
    "mixture.prompted.0.languages": ["sw"],
    "mixture.prompted.0.files": ["*.jsonl"],
    "mixture.prompted.0.prompt_language": "sw",
    "mixture.held_out.languages": ["pt"],
    "mixture.held_out.clusters": ["math"],
    "mixture.held_out.datasets": ["xcopa"],
    "mixture.held_out.templates": ["quiz"],
    "mixture.held_out.overlap": "flag",
    "mixture.held_out.overlap_words": 13,
    "mixture.rates.tasks": None,
    "mixture.rates.by": "language",
    "mixture.rates.languages": {"fr": 5},
    "mixture.rates.size_cap": 50,
    "mixture.rates.temperature": 2.0,
    "mixture.cap_policy": "longest",
    "mixture.cap_score": None,
    "mixture.mode": "legacy",
    "mixture.lint": "error",
    "mixture.missing": "skip",
    "tokens.tokenizer.path": "tok",
    "tokens.tokenizer.train_vocab_size": 320,
    "tokens.space_before_targets": False,
    "tokens.end_of_inputs": True,
    "tokens.begin_of_inputs": True,
    "tokens.special_tokens": "parse",
    "tokens.chat": "all",
    "tokens.chat_template": "chat.jinja",
    "tokens.chat_turns": "last",
    "tokens.chat_arguments": {"enable_thinking": False},
    "tokens.system_prompts": {"fr": ["Sois bref."]},
    "tokens.packing.policy": "pad",
    "tokens.packing.overlong": "truncate_left",
    "tokens.packing.overlong_targets": "truncate",
    "tokens.weights": "equal",
    "tokens.multipliers": {"sw": 1.5},
    "model.architecture": "mt5",
    "model.absolute_alibi": True,
    "model.vocab_size": 400,
    "model.lora.targets": ["query_key_value"],
    "model.quantize": "nf4",
    "training.tokens": None,
    "training.loss": "token",
    "training.precision": "bf16",
    "training.attention": "sdpa",
    "training.optimizer.name": "adafactor",
    "training.schedule.name": "cosine",
    "training.parallel.schedule": "interleaved",
    "training.parallel.zero": 1,
    "training.validation_texts.0.path": "other.jsonl",
    "training.validation_texts.0.column": "b",
    "training.validation_texts.0.optional": True,
    "training.validation_suites": ["o*"],
    "training.export": "best",
    "training.trackers": ["tensorboard"],
    "training.device": "cpu",
    "evaluation.suites.0.axis": "none",
    "evaluation.suites.0.kind": "generation",
    "evaluation.suites.0.tasks.0.tasks": ["cldr-kinds/fr"],
    "evaluation.suites.0.tasks.0.languages": ["sw"],
    "evaluation.suites.0.tasks.0.exclude_tasks": ["cldr-kinds/fr"],
    "evaluation.suites.0.tasks.0.exclude_languages": ["fr"],
    "evaluation.suites.0.tasks.0.templates": ["q*"],
    "evaluation.suites.0.tasks.0.exclude_templates": ["question"],
    "evaluation.suites.0.tasks.0.prompt_languages": ["en"],
    "evaluation.suites.0.tasks.0.splits": ["test", "train"],
    "evaluation.scoring": "characters",
    "evaluation.dtype": "bf16",
    "evaluation.chat": "on",
    "evaluation.quantize": "int8",
    "evaluation.also": ["pmi"],
    "evaluation.answer_after": "</think>",
    "evaluation.truncation_side": "right",
    "evaluation.generation.stops": ["."],
    "evaluation.server.tokenizer": "other",
    "evaluation.server.extra_body": {"top_k": 1},
    "evaluation.server.price": [1.0, 2.0],
    "evaluation.batch_tokens": 128,
    "report.figures": ["svg"],
    "report.title": "Title",
}
TOGETHER = {
    "own_tasks.0.files": {
        "own_tasks.0.path": None,
        "own_tasks.0.files": {"train": ["other.jsonl", "rows.jsonl"]},
        "own_tasks.1.path": None,
        "own_tasks.1.role": "train",
        "own_tasks.1.files": {"test": "other.jsonl"},
    },
    "own_tasks.0.subsets": {
        f"own_tasks.{number}.{name}": value
        for number in (0, 1)
        for name, value in {"path": "{subset}.jsonl", "subsets": {"other": "fr"}, "language": None}.items()
    }
    | {"evaluation.suites.1.tasks.0.tasks": ["asked/other", "also"]},
    **{
        f"{place}.{key}": {f"{place}.{key.partition('.')[0]}": {key.partition(".")[2]: value}}
        for place in ("mixture", "mixture.tasks.0")
        for key, value in {
            "quality.min_letters": 0.5,
            "quality.max_repeated": 0.5,
            "quality.max_run": 80,
            "identify.confidence": 0.8,
        }.items()
    },
    "tokens.cap_tokens.tasks": {"tokens.cap_tokens": {"tasks": {"*": 900}}},
    "tokens.cap_tokens.languages": {"tokens.cap_tokens": {"languages": {"fr": 900}}},
    "mixture.near_duplicates.similarity": {"mixture.near_duplicates": {"similarity": 0.7}},
    "mixture.near_duplicates.translations": {"mixture.near_duplicates": {"translations": "one"}},
    "mixture.tasks.0.near_duplicates": {"mixture.tasks.0.near_duplicates": "off"},
    "own_tasks.0.language_column": {"own_tasks.0.language": None, "own_tasks.0.language_column": "b"},
    **{
        f"evaluation.suites.0.shots.{name}": {f"evaluation.suites.2.shots.{name}": value}
        for name, value in {
            "number": 2,
            "split": "test",
            "choice": "first",
            "language": "sw",
            "seed": 7,
            "pool": 50,
        }.items()
    },
    **{
        f"own_tasks.0.{name}": {f"own_tasks.{number}.{name}": value for number in (0, 1)}
        for name, value in {
            "path": "other.jsonl",
            "templates": "other.yaml",
            "language": "fr",
            "cluster": "translation",
            "split": "other",
            "metrics": ["chrf"],
            "nulls": "empty",
            "labels": "error",
            "choices": "keep",
            "parallel": True,
            "separator": ";",
            "where": {"a": ["row 1", "row 2"]},
        }.items()
    },
    "own_tasks.0.kind": {"own_tasks.0.kind": "rank", "own_tasks.1.kind": "rank", "own_tasks.1.metrics": ["accuracy"]},
    "own_tasks.0.id": {
        "own_tasks.0.id": "words2",
        "own_tasks.1.id": "asked2",
        "evaluation.suites.1.tasks.0.tasks": ["also"],
    },
    "own_tasks.0.role": {
        "own_tasks.0.role": "evaluation",
        "own_tasks.2.role": "train",
        "mixture.tasks.1.tasks": ["also"],
        "evaluation.suites.1.tasks.0.tasks": ["asked"],
    },
    "evaluation.suites.0.tasks.0.catalogue": {
        "evaluation.suites.0.tasks.0.catalogue": "own",
        "evaluation.suites.0.tasks.0.tasks": ["also"],
    },
    **{
        f"evaluation.suites.0.tasks.0.{name}": {
            f"evaluation.suites.0.tasks.0.{name}": [value],
            "evaluation.suites.0.tasks.0.catalogue": None,
            "evaluation.suites.0.tasks.0.tasks": ["cldr-kinds/*", "also"],
        }
        for name, value in {"clusters": "own", "exclude_clusters": "own"}.items()
    },
    "mixture.tasks.0.cap_score": {"mixture.tasks.0.cap_policy": "score", "mixture.tasks.0.cap_score": "score"},
    "mixture.rates.policy": {"mixture.rates.policy": "temperature", "mixture.rates.size_cap": None},
    "mixture.rates.tasks": {
        "mixture.rates.policy": "explicit",
        "mixture.rates.size_cap": None,
        "mixture.rates.temperature": 1.0,
        "mixture.rates.tasks": {"words": 2.0},
    },
    "mixture.cap_score": {"mixture.cap_policy": "score", "mixture.cap_score": "score"},
    "model.base": {"model.base": "other", "tokens.tokenizer.train_vocab_size": None},
    "training.tokens": {"training.tokens": 100_000, "training.steps": None},
    "evaluation.server.max_cost": {"evaluation.server.max_cost": 1.0, "evaluation.server.price": [1.0, 2.0]},
}
"""Keys that cannot change alone."""
REFUSED = tuple(
    f"evaluation.suites.tasks.{key}"
    for key in (
        *("cap_policy", "cap_score", "identify.confidence", "near_duplicates"),
        *("quality.min_letters", "quality.max_repeated", "quality.max_run"),
    )
)
OF_PARALLEL_SETS = ("mixture.tasks.parallel_rows", "evaluation.suites.tasks.parallel_rows")
"""Keys that change nothing here, where no dataset is parallel; unit/tasks/test_prompted.py has them."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_model):
    """Return a folder with everything that the recipe names."""
    folder = tmp_path_factory.mktemp("flips")
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "other.jsonl").write_text(ROWS + '{"a": "more", "b": "rows", "score": 1}\n')
    (folder / "templates.yaml").write_text(TEMPLATES.format(text="Say"))
    (folder / "other.yaml").write_text(TEMPLATES.format(text="Write"))
    (folder / "more.yaml").write_text(MORE)
    (folder / "pins.yaml").write_text("{}\n")
    (folder / "chat.jinja").write_text("{{ messages }}")
    for name, text in (("prompted", "one"), ("more", "two")):
        (folder / name / "sw").mkdir(parents=True)
        (folder / name / "sw" / "a.jsonl").write_text(f'{{"inputs": "{text}", "targets": "b"}}\n')
    tiny_model(folder / "tiny")
    tiny_model(folder / "other", seed=2)
    (folder / "other" / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (folder / "tok").mkdir()
    for path in (folder / "tiny").glob("tokenizer*"):
        (folder / "tok" / path.name).write_bytes(path.read_bytes())
    return folder


def set_key(data, key, value):
    *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
    for part in parents:
        data = data[part] if isinstance(data, list) else data.setdefault(part, {})
    data[last] = value


def recipe_of(place, changes):
    data = copy.deepcopy(BASE)
    for key, value in changes.items():
        set_key(data, key, value)
    return resolve_recipe(data, place / "recipe.yaml")


class Measured:
    """A measure that a training is told, as xmtf.runs.measures would."""

    name, kind = "one", "rank"

    def __init__(self, setup):
        self.fingerprint = fingerprint_questions(setup, suite_slices(setup))


def fingerprints(loaded, place, tmp_path):
    """Return every stage's fingerprint, as the stages compute them, and the name under which training resumes."""
    recipe = loaded.recipe
    plan = plan_mixture(loaded)
    tokens, initial = tmp_path / "tokens", tmp_path / "initial"
    for folder in (tokens, initial):
        folder.mkdir(exist_ok=True)
    found = {"mixture": plan.fingerprint, "card": repr(_named(plan))}
    base = recipe.model.base and str(place / recipe.model.base)
    family = "encoder-decoder" if recipe.model.architecture == "mt5" else "causal"
    found["tokens"] = tokens_fingerprint(loaded, plan.fingerprint, family=family, base=base)
    found["initial"] = stage_fingerprint("initial", marked(recipe, "initial", recipe), {})
    write_manifest(tokens, Manifest("tokens", found["tokens"]))
    write_json(initial / "config.json", found["initial"])
    setup = setup_of(loaded)
    measures = [Measured(setup)] if recipe.training.validation_suites else []
    identity = identify_training(loaded, tokens=tokens, initial=base or str(initial), measures=measures)
    found |= {"training": identity.name, "export": identity.fingerprint}
    found["evaluation"] = fingerprint_questions(setup, suite_slices(setup))
    found["evaluation"] += repr(setup.tokenizer and (place / "tok").name)
    found["report"] = stage_fingerprint("report", marked(recipe.report, "report"), {})
    return found


def other(value):
    """Return another value of a key's kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else (value / 2 if value else 0.25)
    return 40 if value is None else "another text"


def changes_of(key, recipe_changes):
    """Return what to set for a leaf key to have another value."""
    numbered = key
    for section in ("own_tasks.", "mixture.tasks.", "mixture.prompted.", "evaluation.suites.", "suites.0.tasks."):
        numbered = numbered.replace(section, f"{section}0.") if section in f"{numbered}." else numbered
    numbered = numbered.replace("validation_texts.", "validation_texts.0.").replace("rates.0.", "rates.")
    if numbered in TOGETHER:
        return TOGETHER[numbered]
    if numbered in FLIPS:
        return {numbered: "last" if (numbered, FLIPS[numbered]) in recipe_changes.items() else FLIPS[numbered]}
    data = resolve_recipe(copy.deepcopy(BASE), Path("recipe.yaml")).recipe.model_dump(mode="json")
    for change, value in recipe_changes.items():
        set_key(data, change, value)
    for part in numbered.split("."):
        data = data[int(part)] if isinstance(data, list) else data.get(part)
    return {numbered: other(data)}


def test_every_key_has_a_mark():
    keys = list(leaf_keys(Recipe))
    assert len(keys) == len(set(keys)) >= 173
    assert [key for key in keys if effects_of(key) is None] == []


def test_a_key_without_a_mark_is_named():
    class Section(Recipe):
        forgotten: int = 3

    field = Section.model_fields["forgotten"]
    assert "forgotten" in list(leaf_keys(Section))
    Recipe.model_fields["forgotten"] = field
    try:
        with pytest.raises(LookupError, match="forgotten: has no mark"):
            effects_of("forgotten")
    finally:
        del Recipe.model_fields["forgotten"]


UNDER = [
    ({}, ""),
    (BEST, ("training.", "evaluation.s", "own_tasks.m")),
    (COMPAT, "training."),
    (LINEAR, "training.s"),
    (PRETRAINED, ("model.", "tokens.")),
    (CHAT, "tokens.packing."),
]
"""Recipes, and the first letters of the keys that are flipped in them; all keys in the first."""


@pytest.mark.parametrize(
    ("under", "sections"), UNDER, ids=["plain", "best", "target_compat", "linear", "pretrained", "chat"]
)
def test_every_key_changes_the_fingerprints_that_its_mark_says(place, tmp_path, under, sections):
    first = recipe_of(place, under)
    before = fingerprints(first, place, tmp_path)
    wrong = []
    for key in leaf_keys(Recipe):
        size_of_a_given_tokenizer = under == PRETRAINED and key == "tokens.tokenizer.train_vocab_size"
        if key in (*REFUSED, *OF_PARALLEL_SETS) or size_of_a_given_tokenizer or not key.startswith(sections):
            continue
        changed = changes_of(key, under)
        loaded = recipe_of(place, under | changed)
        after = fingerprints(loaded, place, tmp_path)
        effects = effects_of(key, first.recipe)
        if key == "tokens.tokenizer.path" and first.recipe.model.base is None:
            effects.pop("evaluation")  # reads the tokenizer of the trained model, which is no input of this test
        changed_now = {name for name in before if before[name] != after[name]}
        for name, expected in expected_changes(effects, first.recipe).items():
            if (name in changed_now) != expected:
                wrong.append(f"{key} {changed}: {name} {'stays' if expected else 'changes'} ({effects})")
    assert wrong == []


def expected_changes(effects, recipe):
    """Return stage -> whether its fingerprint changes, of marks and of what stages read."""
    counts = ("result", "read")
    own = {stage: effects.get(stage, "none") for stage in ("mixture", "guard", "tokens", "initial", "training")}
    mixture = own["mixture"] in counts or own["guard"] in counts
    tokens = mixture or own["tokens"] in counts
    initial = own["initial"] in counts
    asked = effects.get("evaluation", "none") in counts
    watched = asked and recipe.training.export == "best"
    training = tokens or initial or own["training"] in counts or watched
    export = training or own["training"] == "continues" or effects.get("export", "none") in counts
    return {
        "mixture": mixture,
        "card": own["mixture"] == "continues",
        "tokens": tokens,
        "initial": initial,
        "training": training,
        "export": export,
        "evaluation": asked,
        "report": effects.get("report", "none") == "result",
    }


def test_every_effect_occurs():
    seen = set(itertools.chain.from_iterable(effects_of(key, None).values() for key in leaf_keys(Recipe)))
    assert {"result", "read", "continues", "rounding"} <= seen
    assert MANIFEST
