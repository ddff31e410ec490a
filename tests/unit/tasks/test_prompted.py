import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmtf.errors import TemplateError
from xmtf.recipe import TaskSelection
from xmtf.records import PROMPTED_COLUMNS
from xmtf.tasks import PROMPTED_SCHEMA, fingerprint_slice, load_catalogue, prompted_parts
from xmtf.tasks.entries import read_catalogue_file
from xmtf.tasks.prompting.prompted import Prompted, RowDraw, sample_rows
from xmtf.tasks.selection import select_slices


@pytest.fixture
def slice_of(catalogue_file):
    """Take one slice of the tiny catalogue."""

    def take(role="train", **selection):
        tasks = {task.id: task for task in read_catalogue_file(catalogue_file)}
        (part,) = select_slices(tasks, [TaskSelection(**selection)], role=role)
        return part

    return take


def rendered(part, **how):
    """Return what a slice becomes, its templates together."""
    parts = list(prompted_parts(part, **how))
    dropped = sum((Counter(each.dropped) for each in parts), Counter())
    failures = tuple(failure for each in parts for failure in each.failures)
    return Prompted(pa.concat_tables(each.table for each in parts), dict(dropped), failures)


def test_the_schema_has_the_columns_of_a_mixture():
    assert tuple(PROMPTED_SCHEMA.names) == PROMPTED_COLUMNS


def test_every_row_becomes_an_example_or_is_counted(mirror, slice_of):
    prompted = rendered(slice_of(tasks=["tiny/fra"]))
    assert prompted.table.schema == PROMPTED_SCHEMA
    assert prompted.table.select(["inputs", "targets", "choices", "template", "row"]).to_pylist() == [
        {"inputs": i, "targets": t, "choices": c, "template": n, "row": r}
        for i, t, c, n, r in [
            ("bien Yes or no?", "Yes", ["No", "Yes"], "ask", 0),
            ("mal Yes or no?", "No", ["No", "Yes"], "ask", 1),
            ("super Yes or no?", "Yes", ["No", "Yes"], "ask", 2),
            ("bien Oui ou non ?", "Oui", ["Non", "Oui"], "demander", 0),
            ("mal Oui ou non ?", "Non", ["Non", "Oui"], "demander", 1),
            ("super Oui ou non ?", "Oui", ["Non", "Oui"], "demander", 2),
            ("Repeat: bien", "bien", None, "only long texts", 0),
            ("Repeat: super", "super", None, "only long texts", 2),
        ]
    ]
    assert prompted.dropped == {"template does not apply": 1}
    first = prompted.table.slice(3, 1).to_pylist()[0]
    assert {name: first[name] for name in PROMPTED_COLUMNS[3:12]} == {
        "language": "fr",
        "prompt_language": "fr",
        "translation": "none",
        "task": "tiny/fra",
        "cluster": "sentiment",
        "dataset": "own/tiny",
        "subset": "fra",
        "split": "train",
        "template": "demander",
    }


def test_the_parts_are_the_templates(mirror, slice_of):
    parts = list(prompted_parts(slice_of(tasks=["tiny/fra"])))
    assert [part.table.num_rows for part in parts] == [3, 3, 2]


def write_rows(mirror, text):
    (mirror / "own/tiny/fra/train.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("jinja", "reason"),
    [
        ("{{ text }} ||| a ||| b", "more than one target"),
        ("{{ text }} |||", "empty target"),
        ("||| {{ text }}", "empty inputs"),
    ],
)
def test_dropped_rows_have_a_reason(mirror, catalogue_file, slice_of, jinja, reason):
    path = catalogue_file.with_name("templates.yaml")
    text = path.read_text().replace("{{ text }} Yes or no? ||| {{ answer_choices[label] }}", jinja)
    path.write_text(text)
    prompted = rendered(slice_of(tasks=["tiny/fra"], templates=["ask"]))
    assert prompted.table.num_rows == 0
    assert prompted.dropped == {reason: 3}


def test_what_the_adapter_leaves_out_is_counted_for_every_template(mirror, catalogue_file, slice_of):
    catalogue_file.write_text(
        catalogue_file.read_text().replace("licence: CC0", "adapter: hidden-labels\n    licence: CC0")
    )
    write_rows(mirror, "text,label\na,1\nb,-1\nc,0\n")
    prompted = rendered(slice_of(tasks=["tiny/fra"], templates=["ask", "demander"]))
    assert prompted.table["row"].to_pylist() == [0, 2, 0, 2]
    assert prompted.dropped == {"hidden label": 2}
    assert rendered(slice_of(tasks=["tiny/fra"], templates=["ask"], limit_rows=1)).dropped == {}


def test_a_template_that_fails_on_too_many_rows_is_named_with_its_first_row(mirror, catalogue_file, slice_of):
    path = catalogue_file.with_name("templates.yaml")
    path.write_text(path.read_text().replace("answer_choices[label] }}", "answer_choices[label].absent.more }}", 1))
    part = slice_of(tasks=["tiny/fra"], templates=["ask"])
    with pytest.raises(TemplateError, match=r"tiny/fra \[train\], template 'ask': fails on 3 of 3 .* row 0"):
        rendered(part)
    prompted = rendered(part, failing_rows=1.0)
    assert prompted.dropped == {"template fails: UndefinedError": 3}
    assert [failure.row for failure in prompted.failures] == [0, 1, 2]


def test_a_misspelt_column_is_an_error_and_not_a_blank(mirror, catalogue_file, slice_of):
    path = catalogue_file.with_name("templates.yaml")
    path.write_text(path.read_text().replace("{{ text }} Yes", "{{ textt }} Yes"))
    with pytest.raises(TemplateError, match=r"template 'ask': reads the column 'textt', .* did you mean 'text'"):
        rendered(slice_of(tasks=["tiny/fra"], templates=["ask"]))


def test_prompts_of_promptsource_that_read_an_absent_column_are_dropped_and_counted(mirror, catalogue_file, slice_of):
    path = catalogue_file.with_name("templates.yaml")
    path.write_text(path.read_text().replace("{{ text }} Yes", "{{ passage }} Yes"))
    part = slice_of(tasks=["tiny/fra"])
    part = replace(part, task=replace(part.task, promptsource="xp3mt"))
    prompted = rendered(part)
    assert set(prompted.table["template"].to_pylist()) == {"demander", "only long texts"}
    assert prompted.dropped["template reads 'passage', which the rows do not have"] == 3
    assert rendered(part, mode="legacy").table["inputs"][0].as_py() == "Yes or no?"


def test_the_limit_chooses_rows_by_seed(mirror, slice_of):
    write_rows(mirror, "text,label\n" + "".join(f"text {row},1\n" for row in range(100)))
    part = slice_of(tasks=["tiny/fra"], templates=["ask"], limit_rows=5)
    one, again, other = (rendered(part, seed=seed).table["row"].to_pylist() for seed in (1, 1, 2))
    assert one == again == sorted(one)
    assert one != other
    assert len(one) == 5


@given(num_rows=st.integers(0, 200), limit=st.integers(1, 200) | st.none(), key=st.text(max_size=5))
def test_chosen_rows_are_distinct_ascending_and_as_many_as_asked_for(num_rows, limit, key):
    rows = sample_rows(np.arange(num_rows), limit, RowDraw(key)).tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == min(num_rows, num_rows if limit is None else limit)
    assert set(rows) <= set(range(num_rows))


@given(limit=st.integers(1, 50), more=st.integers(0, 50), kept=st.sets(st.integers(0, 99), min_size=40), key=st.text())
def test_a_larger_choice_holds_the_smaller_whatever_other_rows_there_are(limit, more, kept, key):
    rows = np.array(sorted(kept))
    few, many = (rows[sample_rows(rows, size, RowDraw(key))].tolist() for size in (limit, limit + more))
    assert set(few) <= set(many)
    of_all = sample_rows(np.arange(100), limit, RowDraw(key)).tolist()
    assert set(of_all) & kept <= set(few)


def test_every_row_is_as_likely_as_another():
    counts = np.zeros(50)
    for key in range(2000):
        counts[sample_rows(np.arange(50), 10, RowDraw(str(key)))] += 1
    assert counts.min() > 320
    assert counts.max() < 480


def test_languages_of_a_parallel_set_are_asked_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("XMTF_DATA_ROOT", str(tmp_path))
    for subset in ("fr", "sw"):
        folder = tmp_path / "facebook" / "xnli" / subset
        folder.mkdir(parents=True)
        rows = "".join(f"{subset} {row},no,{row % 3}\n" for row in range(60))
        (folder / "validation.csv").write_text("premise,hypothesis,label\n" + rows)
    parts = load_catalogue().select([TaskSelection(tasks=("xnli/fr", "xnli/sw"), limit_rows=7)], role="evaluation")
    chosen = [next(prompted_parts(part, seed=3, offline=True)).table["row"].to_pylist() for part in parts]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 7
    more = load_catalogue().select([TaskSelection(tasks=("xnli/fr",), limit_rows=20)], role="evaluation")[0]
    nested = next(prompted_parts(more, seed=3, offline=True)).table["row"].to_pylist()
    assert set(chosen[0]) < set(nested)  # more rows ask the first ones again
    with pytest.raises(ValueError, match="'spread' needs limit_rows"):
        TaskSelection(parallel_rows="spread")
    same = TaskSelection(tasks=("xnli/fr", "xnli/sw"), limit_rows=30)
    spread = same.model_copy(update={"parallel_rows": "spread"})
    as_one, in_turn = (load_catalogue().select([each], role="evaluation") for each in (same, spread))
    assert [fingerprint_slice(part) for part in as_one][1:] != [fingerprint_slice(part) for part in in_turn][1:]
    halves = [next(prompted_parts(part, seed=3, offline=True)).table["row"].to_pylist() for part in in_turn]
    assert {len(half) for half in halves} == {30}
    assert len(set(halves[0]) | set(halves[1])) >= 50  # of 60, up to the unevenness of where the turns begin


def test_the_fingerprint_follows_rows_templates_and_mode(mirror, slice_of):
    part = slice_of(tasks=["tiny/fra"])
    before = fingerprint_slice(part)
    assert fingerprint_slice(part, mode="legacy") != before
    assert fingerprint_slice(part, seed=3) == before
    assert fingerprint_slice(slice_of(tasks=["tiny/fra"], templates=["ask"])) != before
    told = [replace(template, told_by="identifier 1") for template in part.templates]
    assert fingerprint_slice(replace(part, templates=tuple(told))) != before
    write_rows(mirror, "text,label\nautre,0\n")
    assert fingerprint_slice(part) != before


def test_a_misspelt_name_inside_a_column_is_an_error_too(mirror, catalogue_file, slice_of):
    (mirror / "own/tiny/fra/train.csv").unlink()
    rows = "".join(json.dumps({"ex": {"text": f"a{row}"}, "label": 0}) + "\n" for row in range(3))
    (mirror / "own/tiny/fra/train.jsonl").write_text(rows)
    path = catalogue_file.with_name("templates.yaml")
    path.write_text(path.read_text().replace("{{ text }} Yes", "{{ ex.txet }} Yes"))
    with pytest.raises(TemplateError, match=r"'ask': reads 'ex.txet', which the rows .* did you mean 'ex.text'"):
        rendered(slice_of(tasks=["tiny/fra"], templates=["ask"]))


def test_inputs_that_are_nearly_all_the_same_are_noted(mirror, catalogue_file, slice_of):
    write_rows(mirror, "text,label\n" + "".join(f"{'same' if row else 'other'},1\n" for row in range(40)))
    (part,) = prompted_parts(slice_of(tasks=["tiny/fra"], templates=["ask"]))
    assert part.table.num_rows == 40
    assert part.notes == ("the inputs are the same on 39 of the first 40 rows: 'same Yes or no?'",)


def test_two_templates_of_one_name_or_id_are_refused(mirror, catalogue_file, slice_of):
    path = catalogue_file.with_name("templates.yaml")
    text = path.read_text()
    path.write_text(text.replace("name: demander", "name: ask"))
    with pytest.raises(TemplateError, match=r"templates\.yaml: has 2 templates with the name 'ask'; rename them"):
        slice_of(tasks=["tiny/fra"])


def test_of_promptsource_templates_of_one_name_the_last_counts(mirror, catalogue_file, capsys):
    task = {task.id: task for task in read_catalogue_file(catalogue_file)}["tiny/fra"]
    folder = catalogue_file.parent / "ps" / "tiny"
    folder.mkdir(parents=True)
    entries = [{"name": "a", "jinja": "1 ||| x"}, {"name": "b", "jinja": "2 ||| x"}, {"name": "a", "jinja": "3 ||| x"}]
    (folder / "templates.yaml").write_text(json.dumps({"templates": entries}))
    task = replace(task, promptsource="tr13", template_key="tiny", template_file=None, templates_root=folder.parent)
    assert [template.jinja for template in task.templates()] == ["2 ||| x", "3 ||| x"]
    assert "tiny/fra: 1 prompts are skipped, as a later one has the same name: a" in capsys.readouterr().err
