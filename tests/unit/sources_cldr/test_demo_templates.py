"""The demo's prompts: each renders on each row that it is meant for, ends clearly, and has one right answer."""

import pytest

from xmtf.sources.cldr import cldr_datasets, cldr_languages, read_cldr
from xmtf.templates import load_templates

OWN_LANGUAGES = {"ar", "de", "es", "fr", "hi", "id", "pt", "ru", "sw", "zh"}
ENDS = ("?", ":", " =", " is", " was", " on")
"""How an English prompt ends: the answer follows, on the same line."""


def render(dataset, code, template, count=3):
    table = read_cldr(dataset, code, "train")
    rendered = template.render_table(table.slice(0, count), dataset=dataset, subset=code, split="train")
    assert not rendered.failures
    return zip(rendered.inputs.to_pylist(), rendered.targets.to_pylist(), rendered.choices.to_pylist(), strict=True)


@pytest.mark.parametrize("dataset", cldr_datasets())
def test_collections(dataset):
    templates = load_templates(dataset)
    names = [template.name for template in templates]
    english = [template for template in templates if template.language == "en"]
    assert len(english) == 4
    assert len(set(names)) == len(names)
    assert "quiz" in names
    assert len({template.jinja for template in templates}) == len(templates)
    languages = {template.language for template in templates} - {"en"}
    assert languages <= OWN_LANGUAGES
    if dataset not in ("cldr/which-language", "cldr/date-months"):
        assert languages == OWN_LANGUAGES & set(cldr_languages(dataset))


@pytest.mark.parametrize("dataset", cldr_datasets())
def test_every_template_renders(dataset):
    for template in load_templates(dataset):
        codes = cldr_languages(dataset) if template.language == "en" else [template.language]
        applied = 0
        for code in codes:
            for inputs, targets, choices in render(dataset, code, template):
                if inputs is None:
                    continue
                applied += 1
                assert template.language != "en" or inputs.endswith(ENDS), inputs
                assert "{" not in inputs
                assert "  " not in inputs
                assert len(targets) == 1
                assert targets[0]
                assert choices is None or choices.count(targets[0]) == 1
        assert applied, (dataset, template.name)


@pytest.mark.parametrize("dataset", cldr_datasets())
def test_prompts_in_other_languages_stay_with_their_rows(dataset):
    for template in load_templates(dataset):
        if template.language != "en":
            other = "es" if template.language != "es" else "fr"
            assert all(inputs is None for inputs, _, _ in render(dataset, other, template))
