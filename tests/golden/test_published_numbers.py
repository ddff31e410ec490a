"""Numbers of the published work, computed from the reference results and compared to the published digit."""

import csv
import os
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results

from xmtf.report.cards.index import CardValue, eval_results
from xmtf.report.figures.published.language_shares import published_shares
from xmtf.report.inputs import Inputs
from xmtf.report.published import PANELS, gather, published_tables, task_mean
from xmtf.report.reference import dataset_facts

FACTS = Path(os.environ.get("XMTF_FACTS_ROOT", "/nonexistent"))
needs_facts = pytest.mark.skipif(not FACTS.exists(), reason="XMTF_FACTS_ROOT (reference facts) is absent")

FIGURE_4 = {
    "Sentence completion": [51.8, 52.9, 50.4, 80.5, 82.6, 86.0],
    "Natural language inference": [33.3, 33.6, 34.8, 47.4, 55.3, 57.7],
    "Coreference resolution": [50.3, 50.6, 54.7, 54.6, 66.3, 74.6],
}
FIGURE_4_MODELS = ("XGLM-7.5B", "BLOOM", "mTk-13B", "BLOOMZ-P3", "BLOOMZ", "mT0-13B")

TABLE_1_MODELS = ("BLOOMZ", "BLOOMZ-MT", "mT0-13B", "mT0-13B-MT")
TABLE_1 = {
    ("XNLI", "EN"): (52.99, 49.01, 48.24, 51.29),
    ("XNLI", "MT"): (37.56, 41.16, 39.31, 41.66),
    ("XNLI", "HT"): (40.40, 43.88, 44.95, 46.87),
    ("XCOPA", "EN"): (72.52, 73.24, 81.40, 80.36),
    ("XCOPA", "MT"): (70.04, 71.84, 81.16, 79.64),
    ("XStoryCloze", "EN"): (81.73, 81.39, 81.99, 82.30),
    ("XStoryCloze", "MT"): (80.89, 81.76, 83.37, 82.86),
    ("XWinograd", "EN"): (60.07, 59.15, 70.49, 73.24),
    ("XWinograd", "MT"): (58.48, 60.14, 66.89, 72.33),
}


@pytest.fixture(scope="module")
def results():
    return gather({}, reference=True)


def facts(table):
    with (FACTS / "reference_results.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["table"] == table]


def cells(table):
    return {tuple(row[:2]): dict(zip(table.columns[2:], row[2:], strict=True)) for row in table.rows}


_TASKS = {
    "Coref. resolution": "Coreference resolution",
    "NLI": "Natural language inference",
    "Sent. completion": "Sentence completion",
}


def card_values(results, model):
    """Return the best prompt of any language on every set of the published table, as the cards of BLOOMZ give it."""
    best = {}
    for measure in results.measures:
        cell = results.cell(model, measure)
        if cell is None or measure.dataset not in dataset_facts():
            continue
        key = (measure.task, measure.dataset, measure.subset, measure.split, measure.metric)
        if key not in best or cell.maximum > best[key][1]:
            best[key] = (measure, cell.maximum)
    values = []
    for measure, value in best.values():
        facts = dataset_facts()[measure.dataset]
        task = _TASKS.get(measure.task, measure.task)
        metric = measure.metric.capitalize()
        values.append(
            CardValue(
                task, facts.hub_id, facts.name, measure.subset, measure.split, facts.revision, metric, round(value, 2)
            )
        )
    return values


@needs_facts
def test_the_53_values_of_the_card(results):
    with (FACTS / "model_card_results.csv").open(encoding="utf-8", newline="") as stream:
        expected = [
            (
                row["task_type"],
                row["dataset_type"],
                row["dataset_name"],
                row["split"],
                row["revision"],
                row["metric"],
                float(row["value"]),
            )
            for row in csv.DictReader(stream)
        ]
    found = [
        (
            value.task,
            value.hub_id,
            f"{value.name} ({value.subset})" if value.subset else value.name,
            value.split,
            value.revision,
            value.metric,
            value.value,
        )
        for value in card_values(results, "BLOOMZ-MT")
    ]
    assert len(expected) == 53
    assert sorted(found) == sorted(expected)


def test_the_published_values_survive_the_hubs_parser(results):
    values = card_values(results, "BLOOMZ-MT")
    text = ModelCardData(model_name="bloomz-mt", eval_results=eval_results(values)).to_yaml()
    index = ModelCard(f"---\n{text}\n---\n").data.to_dict()["model-index"]
    assert len(index[0]["results"]) == 51
    _, read = model_index_to_eval_results(index)
    assert len(read) == 53
    found = {
        (one.dataset_type, one.dataset_config, one.dataset_revision, one.metric_type, one.metric_value) for one in read
    }
    assert found == {
        (value.hub_id, value.subset or None, value.revision, value.metric, value.value) for value in values
    }
    story_cloze = next(one for one in read if one.dataset_type == "story_cloze")
    assert story_cloze.dataset_config == "2016"  # quoted: a bare number would be read as one


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_the_18_bars_of_figure_4(results, panel):
    means = [task_mean(results, model, panel) for model in FIGURE_4_MODELS]
    assert [round(mean.value, 1) for mean in means] == FIGURE_4[panel.title]
    assert all(mean.measured == mean.expected for mean in means)


def test_table_1_where_values_by_prompt_are_public_is_computed_from_them(results):
    """Without the published means: the English prompts of BLOOMZ and mT0-13B."""
    tables = {table.name: table for table in published_tables(results, Inputs(reference=False))}
    computed = cells(tables["prompt-languages"])
    for (dataset, language), values in TABLE_1.items():
        for model, value in zip(TABLE_1_MODELS, values, strict=True):
            if language == "EN" and not model.endswith("-MT"):
                assert computed[dataset, language][model] == f"{value:.2f}"
            else:
                assert computed.get((dataset, language), {}).get(model, "-") == "-"


def test_table_1_is_as_published(results):
    tables = {table.name: table for table in published_tables(results, Inputs(reference=True))}
    table = tables["prompt-languages"]
    found = cells(table)
    assert found.keys() == TABLE_1.keys()
    for key, values in TABLE_1.items():
        assert tuple(found[key][model] for model in TABLE_1_MODELS) == tuple(f"{value:.2f}" for value in values)
    bold = {(table.rows[line][:2], table.columns[column]) for line, column in table.bold}
    assert (("XNLI", "EN"), "BLOOMZ") in bold
    assert (("XNLI", "MT"), "BLOOMZ-MT") in bold
    assert len(bold) == 18


@pytest.mark.parametrize("key", TABLE_1, ids=lambda key: " ".join(key))
def test_table_1_fits_the_published_medians_and_maxima(results, key):
    """Of five values between 0 and M with median m the mean lies between (2 m + M) / 5 and (3 m + 2 M) / 5."""
    dataset = {"XNLI": "xnli", "XCOPA": "xcopa", "XStoryCloze": "xstory_cloze", "XWinograd": "xwinograd"}[key[0]]
    measures = results.select(dataset, prompt_language=key[1], seen=True)
    for model, value in zip(TABLE_1_MODELS, TABLE_1[key], strict=True):
        known = [cell for measure in measures if (cell := results.cell(model, measure))]
        low = sum(2 * cell.median + cell.maximum for cell in known) / 5 / len(known)
        high = sum(3 * cell.median + 2 * cell.maximum for cell in known) / 5 / len(known)
        assert low - 0.01 <= value <= high + 0.01


def test_values_by_prompt_give_the_published_medians_and_maxima(results):
    checked = 0
    for measure in results.measures:
        for model in results.models:
            cell = results.cell(model, measure)
            if cell is not None and cell.prompts:
                assert len(cell.prompts) == 5
                assert round(cell.median, 2) == pytest.approx(cell.published["median"], abs=0.0051)
                assert round(cell.maximum, 2) == pytest.approx(cell.published["max"], abs=0.0051)
                checked += 1
    assert checked == 332


@needs_facts
def test_all_results_are_the_published_table(results):
    table = published_tables(results, Inputs(reference=True))[0]
    found = {
        (*row[:6], model): value
        for row in table.rows
        for model, value in zip(table.columns[6:], row[6:], strict=True)
        if value != "-"
    }
    expected = {
        (
            row["task"],
            row["dataset"],
            "-" if row["config"] == "None" else row["config"],
            row["split"],
            row["prompt_lang"],
            row["metric"],
            row["model"],
        ): row["value"]
        for row in facts("T9_all_results")
    }
    assert len(expected) == 5355
    assert found.keys() == expected.keys()
    assert all(abs(float(found[key]) - float(value)) < 0.0051 for key, value in expected.items())


@needs_facts
def test_every_models_bars_are_those_derived_before(results):
    derived = facts("F4_bars_derived")
    panels = {"xcopa+xstory_cloze": PANELS[0], "xnli": PANELS[1], "xwinograd": PANELS[2]}
    assert len(derived) == 81
    for row in derived:
        assert task_mean(results, row["model"], panels[row["dataset"]]).value == pytest.approx(
            float(row["value"]),
            abs=0.01,  # those were taken of medians rounded to two digits
        )


def test_humaneval_is_the_best_temperature(results):
    tables = {table.name: table for table in published_tables(results, Inputs(reference=True))}
    published = {row[0]: row[1:] for row in tables["humaneval"].rows}
    assert published["BLOOMZ-MT"] == ("13.55", "26.26", "47.01")
    assert published["BLOOMZ-7.1B"] == ("8.06", "15.03", "27.49")
    by_temperature = [row[3:] for row in tables["humaneval-temperatures"].rows if row[:2] == ("bloom", "2")]
    assert tuple(max(column, key=float) for column in zip(*by_temperature, strict=True)) == published["BLOOM"]


@needs_facts
def test_language_shares_are_those_derived_before():
    shares = published_shares(Inputs(reference=True))
    derived = facts("F2_F8_language_distribution")
    assert len(derived) == 92
    for row in derived:
        assert shares[row["dataset"]][row["config"]] == pytest.approx(float(row["value"]))


def test_code_statistics_and_distances_are_as_published(results):
    tables = {table.name: table for table in published_tables(results, Inputs(reference=True))}
    assert [row[2:] for row in tables["code-statistics"].rows] == [
        ("246.66", "0.690"),
        ("143.94", "0.042"),
        ("530.51", "0.854"),
    ]
    assert {row[1]: row[4:] for row in tables["edit-distances"].rows} == {
        "th": ("79.08", "82.64", "81.52"),
        "tr": ("76.93", "80.59", "80.24"),
        "el": ("90.90", "95.10", "93.93"),
    }
