import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.languages.codes import language_set
from xmtf.recipe import TaskSelection, load_recipe
from xmtf.recipe.schema import HeldOut
from xmtf.sources.adapters import ADAPTERS
from xmtf.tasks.catalogue import FAMILY_SETS, load_catalogue


def tasks_of(name):
    return [task for task in load_catalogue(sets=[name]).tasks.values() if name in task.sets]


def test_families_are_only_read_where_they_are_named():
    assert not any(task.promptsource for task in load_catalogue().tasks.values())
    assert any(task.promptsource for task in load_catalogue(sets=["xp3"]).tasks.values())


def test_xp3_has_the_configurations_and_template_pairs_that_were_counted_in_the_original():
    tasks = tasks_of("xp3")
    assert len({(task.dataset, task.subset) for task in tasks}) == 2353
    assert sum(task.num_templates for task in tasks) == 8040
    assert sum(task.num_templates for task in tasks if task.dataset == "facebook/flores") == 5940
    assert sum(task.num_templates for task in tasks if task.dataset == "GEM/wiki_lingua") == 567
    assert sum(task.num_templates for task in tasks if task.dataset == "facebook/mlqa") == 256
    assert sum(task.num_templates for task in tasks if task.dataset == "GEM/xlsum") == 198
    assert {task.language for task in tasks} == set(language_set("xp3"))
    assert len({task.cluster for task in tasks}) == 13


def test_xp3all_adds_held_out_clusters_but_no_natural_language_inference():
    more = {task.cluster for task in tasks_of("xp3all")} - {task.cluster for task in tasks_of("xp3")}
    assert more == {"coreference resolution", "sentence completion"}


def test_xp3x_covers_its_277_languages():
    tasks = tasks_of("xp3x")
    assert {task.language for task in tasks} == set(language_set("xp3x"))
    pairs = Counter(task.dataset for task in tasks)
    assert pairs["facebook/flores"] == 204 * 203
    assert pairs["Muennighoff/multi_eurlex"] == 23 * 22


def test_pairs_whose_sources_are_unknown_are_out_where_a_language_is_held_out():
    catalogue = load_catalogue(sets=["xp3x"])
    selection = [TaskSelection(catalogue="xp3x", tasks=("*tatoeba*",))]
    assert catalogue.outline(selection, role="train")
    assert not catalogue.outline(selection, role="train", held_out=HeldOut(languages=("br",)))


def test_p3_is_english_and_has_no_test_split():
    tasks = tasks_of("p3")
    assert {task.language for task in tasks} == {"en"}
    assert len({task.cluster for task in tasks}) == 8
    assert not any("test" in task.splits["train"] for task in tasks)


def language_of(name, task_id):
    return load_catalogue(sets=[name]).tasks[task_id].language


def test_a_plan_of_xp3_needs_neither_data_nor_templates(monkeypatch):
    monkeypatch.delenv("XMTF_TEMPLATES_ROOT", raising=False)
    catalogue = load_catalogue(sets=["xp3"])
    outlined = catalogue.outline([TaskSelection(catalogue="xp3")], role="train")
    assert len({part.task.id for part in outlined}) == len(tasks_of("xp3"))
    assert ("xp3:piqa", "test") not in {(part.task.id, part.split) for part in outlined}
    held_out = catalogue.outline([TaskSelection(catalogue="xp3")], role="train", held_out=HeldOut(languages=("ara",)))
    assert not any("ar" in (part.task.language, *part.task.input_languages) for part in held_out)
    with pytest.raises(UnknownNameError, match=r"held_out\.clusters: unknown cluster 'sumarization'"):
        catalogue.outline([TaskSelection(catalogue="xp3")], role="train", held_out=HeldOut(clusters=("sumarization",)))


def test_what_the_original_lost_is_a_set_of_its_own():
    lost = tasks_of("xp3-lost")
    assert not any(task.language == "ar" for task in tasks_of("xp3") if task.dataset == "facebook/flores")
    arabic = [task for task in lost if task.dataset == "facebook/flores"]
    assert len(arabic) == 2 * 45
    assert all("ar" in (task.language, *task.input_languages) for task in arabic)
    assert sorted(task.subset for task in lost if task.dataset == "facebook/mlqa") == [
        "mlqa.en.es",
        "mlqa.en.hi",
        "mlqa.en.vi",
        "mlqa.en.zh",
    ]


@pytest.mark.parametrize(
    ("name", "task_id", "language"),
    [
        ("xp3", "xp3:Helsinki-NLP/tatoeba_mt/ara-eng-inverted", "ar"),
        ("xp3-lost", "xp3:facebook/flores/eng_Latn-arb_Arab", "ar"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-arb_Arab", "ar"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-arb_Latn", "ar-Latn"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-zho_Hans", "zh"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-zho_Hant", "zh-Hant"),
        ("xp3", "xp3:facebook/flores/eng_Latn-zho_Hant", "zh"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-kea_Latn", "kea"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-lim_Latn", "li"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-kas_Arab", "ks"),
        ("xp3x", "xp3x:facebook/flores/eng_Latn-min_Arab", "min-Arab"),
        ("xp3x", "xp3x:Muennighoff/xwinograd/jp", "ja"),
        ("xp3x", "xp3x:Helsinki-NLP/tatoeba_mt/*-nor", "no"),
        ("xp3x", "xp3x:Helsinki-NLP/tatoeba_mt/nor-*-inverted", "no"),
        ("xp3x", "xp3x:codeparrot/codecomplex/codeparrot--codecomplex", "java"),
        ("xp3", "xp3:codeparrot/codecomplex/codeparrot--codecomplex", "code"),
        ("xp3", "xp3:mlqa/mlqa.ar.hi", "ar"),
        ("xp3", "xp3:GEM/wiki_lingua/es_fr", "fr"),
        ("xp3", "xp3:pasinit/xlwic/xlwic_en_zh", "zh"),
        ("bloomz-l2", "bloomz-l2:Muennighoff/xwinograd/jp", "ja"),
    ],
)
def test_targets_are_routed_to_their_language(name, task_id, language):
    assert language_of(name, task_id) == language


def test_a_direction_of_a_pair_takes_the_templates_of_its_target():
    tasks = load_catalogue(sets=["xp3"]).tasks
    assert tasks["xp3:allenai/wmt22_african/eng-swh"].only_templates == ("*-swh", "*-swh-source+target")
    assert tasks["xp3:allenai/wmt22_african/eng-swh-inverted"].only_templates == ("*-eng", "*-eng-source+target")


def test_splits_with_hidden_labels_are_skipped():
    tasks = load_catalogue(sets=["xp3"]).tasks
    assert tasks["xp3:piqa"].skip_templates == {"test": ("*",)}
    assert tasks["xp3:imdb"].skip_templates == {"unsupervised": ("*",)}
    assert tasks["xp3:super_glue/boolq"].adapter == "hidden-labels"


def test_every_task_of_every_family_names_a_known_adapter_and_the_set_that_loads_it():
    for task in load_catalogue(sets=FAMILY_SETS).tasks.values():
        assert task.adapter is None or task.adapter in ADAPTERS, task.id
        if task.promptsource:
            assert task.sets, task.id
            assert all(name in FAMILY_SETS for name in task.sets), task.id


def test_without_promptsources_templates_the_error_says_how_to_get_them(monkeypatch):
    monkeypatch.delenv("XMTF_TEMPLATES_ROOT", raising=False)
    catalogue = load_catalogue(sets=["bloomz-l1"])
    with pytest.raises(ConfigError, match=r"promptsource's, branch xp3mt; .*set XMTF_TEMPLATES_ROOT"):
        catalogue.select([TaskSelection(catalogue="bloomz-l1", tasks=("bloomz-l1:xnli/fr",))], role="evaluation")


def test_the_templates_of_a_family_come_from_the_checkout(monkeypatch, tmp_path, catalogue_file):
    folder = tmp_path / "checkout" / "xnli" / "en"
    folder.mkdir(parents=True)
    text = catalogue_file.with_name("templates.yaml").read_text().replace("name: ask", "name: GPT-3 style")
    (folder / "templates.yaml").write_text(text)
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", f"xp3mt={tmp_path / 'checkout'}")
    task = load_catalogue(sets=["bloomz-l1"]).tasks["bloomz-l1:xnli/fr"]
    assert [template.name for template in task.templates()] == ["GPT-3 style"]


def test_selections_without_a_set_do_not_reach_into_families():
    catalogue = load_catalogue(sets=["bloomz-l1"])
    with pytest.raises(UnknownNameError, match="unknown task 'bloomz-l1:"):
        catalogue.select([TaskSelection(tasks=("bloomz-l1:*",))], role="evaluation")


needs_facts = pytest.mark.skipif("XMTF_FACTS_ROOT" not in os.environ, reason="XMTF_FACTS_ROOT is not set")


def facts(name):
    with (Path(os.environ["XMTF_FACTS_ROOT"]) / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


SUITES = {
    "L1": "bloomz-l1",
    "L2": "bloomz-l2",
    "MT_L1": "bloomz-l1-mt",
    "MT_L2": "bloomz-l2-mt",
    "XNLIHTMT": "bloomz-xnli-ht-mt",
    "ZHHT": "bloomz-zh-ht",
    "VAL": "bloomz-validation",
    "LMEVAL_GEN": "bloomz-generation",
}


@needs_facts
@pytest.mark.parametrize(("group", "name"), SUITES.items())
def test_the_suites_have_every_job_of_the_original_evaluation(group, name):
    listed = Counter(
        (row["config"], row["split"], row["template"])
        for row in facts("rank_jobs.csv")
        if row["group"] == group and row["dataset"] != "anli"
    )
    ours = Counter(
        (task.subset or "None", split, template)
        for task in tasks_of(name)
        for split in task.splits["evaluation"]
        for template in task.only_templates
        if not task.id.startswith(f"{name}:anli")
    )
    assert ours == listed


@needs_facts
def test_xp3_takes_every_listed_dataset_and_nothing_else():
    listed = {
        (row["prompt_config"].split(" | ")[0].partition(":")[2], row["config"])
        for row in facts("datasets.csv")
        if "xp3_train" in row["role"].split(";") and "{" not in row["config"]
    }
    ours = {(task.template_key, task.subset) for task in tasks_of("xp3") if task.dataset != "facebook/flores"}
    assert ours == listed


RECIPES = Path(__file__).parents[3] / "recipes" / "data"


@pytest.mark.parametrize("name", ["xp3", "xp3all", "xp3mt", "xp3x", "p3"])
def test_the_recipe_of_a_set_takes_the_whole_set(name):
    loaded = load_recipe(RECIPES / f"{name}.yaml")
    outlined = load_catalogue(loaded).outline(loaded.recipe.mixture.tasks, role="train")
    assert {part.task.id for part in outlined} == {task.id for task in tasks_of(name)}


def test_tasks_that_may_lack_prompts_yield_nothing_and_are_counted(monkeypatch, tmp_path, catalogue_file, capsys):
    folder = tmp_path / "checkout" / "GEM" / "xlsum" / "yoruba"
    folder.mkdir(parents=True)
    (folder / "templates.yaml").write_text(catalogue_file.with_name("templates.yaml").read_text())
    monkeypatch.setenv("XMTF_TEMPLATES_ROOT", f"xp3mt={tmp_path / 'checkout'}")
    catalogue = load_catalogue(sets=["xp3mt"])
    taken = [TaskSelection(catalogue="xp3mt", tasks=("xp3mt:GEM/xlsum/kirundi", "xp3mt:GEM/xlsum/yoruba"))]
    assert {part.task.subset for part in catalogue.select(taken, role="train")} == {"yoruba"}
    said = " ".join(capsys.readouterr().err.split())
    assert "1 tasks have no prompts on branch xp3mt and are skipped: xp3mt:GEM/xlsum/kirundi" in said
    with pytest.raises(ConfigError, match=r"none of its tasks \(xp3mt:GEM/xlsum/kirundi, ...\) has a prompt"):
        catalogue.select([TaskSelection(catalogue="xp3mt", tasks=("xp3mt:GEM/xlsum/kirundi",))], role="train")
    with pytest.raises(UnknownNameError, match="unknown template collection 'GEM/xlsum/swahili'"):
        catalogue.select([TaskSelection(catalogue="xp3mt", tasks=("xp3mt:GEM/xlsum/swahili",))], role="train")
    assert sum(task.may_lack_templates for task in catalogue.tasks.values()) == 74


def test_p3_knows_its_313_prompts():
    assert sum(task.num_templates for task in tasks_of("p3")) == 313


def test_tasks_of_branches_with_prompts_for_each_direction_keep_their_columns():
    for name in ("xp3", "xp3-lost", "xp3all", "xp3mt"):
        assert not any((task.adapter or "").endswith("-inverted") for task in tasks_of(name))
