"""Plans of the xP3 family with the real branches of promptsource, against what the originals' own lists give.

``XMTF_TEMPLATES_ROOT`` names the checkouts (``tr13=...,xp3mt=...,xp3x=...,main=...``); without one the test of its
branch is skipped. The digests are of lines (collection, configuration, prompt, language directory) that the lists of
prepare_xp3_train.py gave when they were run beside the same branches.
"""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from xmtf.cli.data.verbs import app
from xmtf.mixture.io.released import released_name
from xmtf.mixture.plan.plan import mixture_slices
from xmtf.recipe import load_recipe
from xmtf.sources.adapters import adapt
from xmtf.tasks import load_catalogue
from xmtf.tasks.checkouts import lacking_checkouts

RECIPES = Path(__file__).parents[2] / "recipes" / "data"
P3 = Path(__file__).with_name("p3_tasks.txt").read_text().split("\n")[:-1]


def need(branch):
    lacking = lacking_checkouts([branch])
    if lacking:
        pytest.skip(f"no checkout of promptsource's branch {branch}: {lacking[branch]}")


def planned(name):
    """Return what ``xmtf data plan`` lists of a recipe, as JSON."""
    result = CliRunner().invoke(app, ["plan", str(RECIPES / f"{name}.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def lines(name):
    return {
        "\t".join((part.task.template_key, part.task.subset, template.name, part.task.language))
        for part in mixture_slices(load_recipe(RECIPES / f"{name}.yaml"))
        for template in part.templates
    }


def digest(found):
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:32]


def pairs(records):
    """Return (configurations, pairs of configuration and prompt) of each dataset of a plan."""
    found = {(each["dataset"], each["subset"], name) for each in records for name in each["templates"]}
    configurations = {(dataset, subset) for dataset, subset, _ in found}
    return Counter(dataset for dataset, _ in configurations), Counter(dataset for dataset, _, _ in found)


@pytest.mark.parametrize(
    ("name", "branch", "configurations", "count", "digest_of_lines"),
    [
        ("xp3", "tr13", 2_353, 8_040, "e487df6f6acc1c9dc54c386eb681690e"),
        ("xp3all", "tr13", 2_377, 8_216, "9847b3529b669d0b05b5fc91f5abc9f6"),
        ("xp3mt", "xp3mt", 2_279, 7_531, "dfb81169bf9b805d7cce1948fdbe72de"),
    ],
)
def test_a_plan_takes_the_originals_configurations_prompts_and_languages(
    name, branch, configurations, count, digest_of_lines
):
    need(branch)
    records = planned(name)
    by_dataset, prompts = pairs(records)
    assert (sum(by_dataset.values()), sum(prompts.values())) == (configurations, count)
    assert prompts["facebook/flores"] == 5_940
    assert prompts["GEM/xlsum"] == (190 if branch == "xp3mt" else 198)
    listed = sum(name in task.sets for task in load_catalogue(sets=[name]).tasks.values())
    assert listed - len({each["task"] for each in records}) == (74 if name == "xp3mt" else 0)
    assert digest(lines(name)) == digest_of_lines


@pytest.mark.parametrize(
    ("name", "branch", "digest_of_files"),
    [("xp3", "tr13", "4b13b6ccb8959cc804025fdd7402d564"), ("xp3mt", "xp3mt", "e193cfef3ede584ebf206191c2645d56")],
)
def test_released_names_are_those_of_the_originals_files(name, branch, digest_of_files):
    need(branch)
    files = {
        released_name(
            {
                "task": part.task.id,
                "subset": part.task.subset,
                "language": part.task.language,
                "dataset": part.task.dataset,
                "split": "SPLIT",
                "template": template.name,
            }
        ).path
        for part in mixture_slices(load_recipe(RECIPES / f"{name}.yaml"))
        for template in part.templates
    }
    assert digest(files) == digest_of_files


def test_a_plan_of_xp3x_takes_every_pair_of_languages():
    need("xp3x")
    records = planned("xp3x")
    configurations, prompts = pairs(records)
    assert len({each["task"] for each in records}) == 42_998
    assert len({each["language"] for each in records}) == 277
    assert (configurations["facebook/flores"], prompts["facebook/flores"]) == (41_412, 3 * 41_412)
    assert (configurations["Muennighoff/multi_eurlex"], prompts["Muennighoff/multi_eurlex"]) == (506, 3 * 506)
    assert prompts["Rowan/hellaswag"] == 11
    on_test = [
        len(each["templates"]) for each in records if each["task"] == "xp3x:hellaswag" and each["split"] == "test"
    ]
    assert on_test == [1]
    assert not any(
        each["split"] == "test"
        for each in records
        if each["task"].endswith(("super_glue/record", "kilt_tasks/hotpotqa"))
    )


def test_a_plan_of_p3_takes_the_313_tasks_of_t0():
    need("main")
    records = planned("p3")
    assert len({each["task"] for each in records}) == 38
    assert len(P3) == 313
    keys = {task.id: task.template_key for task in load_catalogue(sets=["p3"]).tasks.values()}
    names = {
        re.sub(r"[^\w.]+", "_", f"{keys[each['task']].replace('/', '_')}_{template}")
        for each in records
        for template in each["templates"]
    }
    assert names == set(P3)


def test_every_direction_of_tatoeba_and_wmt22_asks_for_its_own_language():
    need("tr13")
    tasks = [task for task in load_catalogue(sets=["xp3"]).tasks.values() if task.id.startswith("xp3:")]
    translating = [task for task in tasks if "tatoeba" in task.id or "wmt22" in task.id]
    assert len(translating) == 2 * (47 + 92)
    for task in translating:
        first, second = task.subset.split("-")
        row = {"sourceLang": first, "targetlang": second, "sourceString": first, "targetString": second}
        row |= {"translation": {first: first, second: second}, "laser_score": 1.0}
        (adapted,) = adapt(task.source("test"), pa.Table.from_pylist([row])).table.to_pylist()
        wanted = (second, first) if task.id.endswith("-inverted") else (first, second)
        for template in task.templates():
            rendered = template.render(adapted, mode="legacy")
            assert wanted[0] in rendered.inputs, (task.id, template.name)
            assert rendered.targets == (wanted[1],), (task.id, template.name)
