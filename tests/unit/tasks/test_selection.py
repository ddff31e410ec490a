import pytest

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.recipe import TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.tasks.entries import read_catalogue_file
from xmtf.tasks.selection import normalized, select_slices


@pytest.fixture
def select(catalogue_file):
    """Select from the tiny catalogue; give the taken slices as (task, split, template names)."""
    tasks = {task.id: task for task in read_catalogue_file(catalogue_file)}

    def take(*selections, role="train", **held_out):
        slices = select_slices(
            tasks, [TaskSelection(**each) for each in selections], role=role, held_out=HeldOut(**held_out)
        )
        return [(part.task.id, part.split, [template.name for template in part.templates]) for part in slices]

    return take


ALL = ["ask", "demander", "only long texts"]


def test_everything_with_a_split_for_the_role_is_taken(select):
    assert [part[:2] for part in select({})] == [
        ("tiny/en", "train"),
        ("tiny/fra", "train"),
        ("tiny/jp", "train"),
        ("pair/en-fr", "train"),
    ]
    assert [part[:2] for part in select({}, role="evaluation")] == [
        ("tiny/en", "test"),
        ("tiny/fra", "test"),
        ("tiny/jp", "test"),
        ("judge", "validation"),
    ]


def test_filters_narrow_together(select):
    assert select({"tasks": ["tiny/*"], "languages": ["jpn"], "templates": ["ask", "dem*"]}) == [
        ("tiny/jp", "train", ["ask", "demander"])
    ]
    assert select({"catalogue": "extra"}) == [("pair/en-fr", "train", ALL)]
    assert [part[0] for part in select({"clusters": ["sent*"], "exclude_languages": ["fr", "ja"]})] == ["tiny/en"]
    assert [part[0] for part in select({"catalogue": "tiny", "exclude_tasks": ["tiny/*"]})] == ["pair/en-fr"]
    assert select({"tasks": ["tiny/en"], "exclude_templates": ["*l*"]}) == [("tiny/en", "train", ["ask", "demander"])]


def test_prompts_in_the_language_of_the_targets(select):
    assert select({"prompt_languages": ["same"], "tasks": ["tiny/fra", "tiny/en"]}) == [
        ("tiny/en", "train", ["ask", "only long texts"]),
        ("tiny/fra", "train", ["demander"]),
    ]


def test_the_first_selection_that_matches_takes_the_task(select):
    taken = select({"tasks": ["tiny/en"], "templates": ["ask"]}, {"tasks": ["tiny/*"]})
    assert [part[0] for part in taken] == ["tiny/en", "tiny/fra", "tiny/jp"]
    assert taken[0][2] == ["ask"]


def test_caps_rates_and_limits_travel_with_the_slice(catalogue_file):
    tasks = {task.id: task for task in read_catalogue_file(catalogue_file)}
    selection = TaskSelection(tasks=("judge",), cap_examples=9, limit_rows=7, rate=2.0)
    (part,) = select_slices(tasks, [selection], role="evaluation")
    assert (part.cap_examples, part.limit_rows, part.rate, part.selection) == (5, 7, 2.0, 0)


def test_templates_that_the_catalogue_skips_on_a_split_are_not_applied(select):
    assert select({"tasks": ["judge"]}, role="evaluation") == [("judge", "validation", ["ask", "demander"])]
    assert select({"tasks": ["judge"], "splits": ["test"]}, role="train") == [("judge", "test", ALL)]


def test_a_held_out_language_is_no_target_no_input_and_no_prompt(select):
    taken = select({}, languages=["fr"])
    assert [part[0] for part in taken] == ["tiny/en", "tiny/jp"]
    assert all("demander" not in part[2] for part in taken)
    assert [part[0] for part in select({}, languages=["eng"])] == ["tiny/fra", "tiny/jp"]
    assert select({}, languages=["eng"])[0][2] == ["demander"]


def test_held_out_clusters_and_templates(select):
    assert [part[0] for part in select({}, clusters=["sentiment"])] == ["pair/en-fr"]
    assert all(part[2] == ["ask", "demander"] for part in select({}, templates=["only*"]))


@pytest.mark.parametrize(
    ("selection", "held_out", "message"),
    [
        ({"tasks": ["tiny/en", "tinny/*"]}, {}, r"tasks\.0\.tasks: unknown task 'tinny/\*'"),
        ({"clusters": ["sentimental"]}, {}, "unknown cluster 'sentimental'; did you mean 'sentiment'"),
        ({"languages": ["de"]}, {}, "unknown language 'de'"),
        ({"catalogue": "tinny"}, {}, "unknown catalogue 'tinny'"),
        ({}, {"languages": ["de"]}, r"held_out\.languages: unknown language 'de'"),
        ({}, {"clusters": ["coreference"]}, r"held_out\.clusters: unknown cluster"),
        ({}, {"templates": ["asks"]}, r"held_out\.templates: unknown template 'asks'"),
        ({"exclude_tasks": ["tinny/*"]}, {}, r"tasks\.0\.exclude_tasks: unknown task 'tinny/\*'"),
        ({"exclude_clusters": ["grammer"]}, {}, r"tasks\.0\.exclude_clusters: unknown cluster 'grammer'"),
        ({"exclude_languages": ["sw"]}, {}, r"tasks\.0\.exclude_languages: unknown language 'sw'"),
        ({"templates": ["ask", "demand"]}, {}, r"tasks\.0\.templates: unknown template 'demand'"),
        ({"exclude_templates": ["asks"]}, {}, r"tasks\.0\.exclude_templates: unknown template 'asks'"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(select, selection, held_out, message):
    with pytest.raises(UnknownNameError, match=message):
        select(selection, **held_out)


@pytest.mark.parametrize(
    ("selection", "held_out", "message"),
    [
        ({"tasks": ["tiny/en"], "languages": ["fr"]}, {}, "no task matches all of its filters"),
        ({"tasks": ["judge"]}, {}, "none of its tasks .judge, .... has a split for train"),
        ({"tasks": ["tiny/en"], "exclude_templates": ["*"]}, {}, "no template of its tasks .* their templates: ask"),
        ({"languages": ["ja"]}, {"languages": ["ja"]}, "everything it selects .tiny/jp, .... is held out"),
    ],
)
def test_a_selection_that_takes_nothing_says_why(select, selection, held_out, message):
    with pytest.raises(ConfigError, match=message):
        select(selection, **held_out)


def test_tasks_without_a_prompt_in_the_languages_asked_for_are_listed_or_an_error(select, capsys):
    asked = {"tasks": ["tiny/*"], "prompt_languages": ["same"]}
    assert {part[0] for part in select(asked)} == {"tiny/en", "tiny/fra"}
    said = capsys.readouterr().err
    assert said == "  tasks.0: 1 tasks have no template in prompt_languages [same] and are skipped: tiny/jp\n"
    select(asked)
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match=r"tasks\.0: 1 tasks have no template in .*same.*: tiny/jp; add a language"):
        select(asked | {"without_prompts": "error"})


def test_a_held_out_language_is_held_out_under_all_its_codes():
    languages = normalized(HeldOut(languages=("uz", "swh", "nob_Latn", "fa"))).languages
    assert languages == ("uz", "uzn-Latn", "sw", "swa-Latn", "nb", "no", "fa")
    with_relatives = normalized(HeldOut(languages=("fa", "no"), relatives=True)).languages
    assert {"fa-AF", "nn", "nb"} <= set(with_relatives)


def test_translations_are_for_rows_of_their_language_unless_asked_for(catalogue_file, select, capsys):
    path = catalogue_file.with_name("templates.yaml")
    states = {"frmt": "unreviewed", "jpmt": "machine", "esmt": "rejected"}
    path.write_text(
        path.read_text(encoding="utf-8")
        + "".join(
            f"""
  t-{suffix}: !Template
    name: ask_{suffix}
    jinja: "{{{{ text }}}} ? ||| {{{{ answer_choices[label] }}}}"
    answer_choices: "No ||| Yes"
    metadata: {{languages: [{suffix[:2]}], state: {state}, original: ask, engine: hand}}"""
            for suffix, state in states.items()
        ),
        encoding="utf-8",
    )

    def taken(*languages):
        return {part[0]: part[2] for part in select({"tasks": ["tiny/*"], "prompt_languages": languages})}

    assert taken("*") == {"tiny/en": ALL, "tiny/fra": [*ALL, "ask_frmt"], "tiny/jp": [*ALL, "ask_jpmt"]}
    assert taken("en") == {task: ["ask", "only long texts"] for task in taken("*")}
    assert taken("same")["tiny/jp"] == ["ask_jpmt"]
    assert taken("*", "f?") == {
        "tiny/en": [*ALL, "ask_frmt"],
        "tiny/fra": [*ALL, "ask_frmt"],
        "tiny/jp": [*ALL, "ask_frmt", "ask_jpmt"],
    }
    assert taken("?*")["tiny/en"] == [*ALL, "ask_frmt", "ask_jpmt"]
    assert "1 translations await review and are not used (rejected: 1)" in capsys.readouterr().err
