"""What a build finds wrong with the templates that it trains on."""

import pytest

from xmtf.artefacts.manifest_parts import MixtureDetails
from xmtf.errors import ConfigError
from xmtf.mixture import build_mixture
from xmtf.recipe import load_recipe
from xmtf.tasks import DropReport

TEMPLATE = """  {id}: !Template {{answer_choices: null, id: "{id}", jinja: "{jinja}", name: {name}, reference: "",
    metadata: !TemplateMetadata {{choices_in_prompt: false, languages: [en], metrics: [], original_task: true}}}}
"""
RECIPE = """
name: lint
own_tasks:
  - {{id: mine, path: rows.jsonl, templates: t.yaml, language: en}}
  - {{id: more, path: rows.jsonl, templates: t.yaml, language: en}}
mixture: {{tasks: [{{tasks: [mine, more]}}], lint: {lint}}}
model: {{base: none}}
training: {{steps: 1}}
execution: {{engine: inline}}
"""


@pytest.fixture
def write(tmp_path):
    """Return a recipe over two tasks with the given templates."""
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"a": "text {n}", "b": "answer {n}"}}\n' for n in range(300)))

    def make(lint="show", **templates):
        written = [TEMPLATE.format(id=n, jinja=jinja, name=name) for n, (name, jinja) in enumerate(templates.items())]
        (tmp_path / "t.yaml").write_text("templates:\n" + "".join(written))
        (tmp_path / "r.yaml").write_text(RECIPE.format(lint=lint))
        return load_recipe(tmp_path / "r.yaml")

    return make


def test_what_lint_finds_is_shown_with_its_count(write, tmp_path):
    loaded = write(
        fine="Say {{ a }}. ||| {{ b }}",
        constant="Say {{ a }}. ||| yes",
        open="Say {{ a }} ||| {{ b }}",
        never="{% if a == 1 %}{{ a }}. ||| {{ b }}{% endif %}",
    )
    manifest = build_mixture(loaded, tmp_path / "mixture")
    details = MixtureDetails.of(manifest, tmp_path / "mixture")
    found = {(each.task, each.template, each.severity, each.check) for each in details.findings}
    assert found == {
        (task, template, severity, check)
        for task in ("mine", "more")
        for template, severity, check in [
            ("constant", "warning", "constant-target"),
            ("open", "warning", "no-clear-end"),
            ("never", "error", "never-applies"),
        ]
    }
    lines = list(DropReport.of(details).lines({}))
    assert "lint error never-applies: mine, template 'never'" in next(line for line in lines if line.startswith("lint"))
    assert "on all of 200 rows of mine" in next(line for line in lines if "constant-target" in line)
    assert lines[-1].startswith("lint: ")


def test_errors_stop_the_build_where_the_recipe_says_so(write, tmp_path):
    never = "{% if a == 1 %}{{ a }}. ||| {{ b }}{% endif %}"
    loaded = write("error", fine="Say {{ a }}. ||| {{ b }}", never=never)
    with pytest.raises(ConfigError, match=r"lint error never-applies: mine, template 'never'.*mixture.lint to show"):
        build_mixture(loaded, tmp_path / "mixture")
    assert not (tmp_path / "mixture").exists()
    build_mixture(write("show", fine="Say {{ a }}. ||| {{ b }}", never=never), tmp_path / "mixture")
    with pytest.raises(ConfigError, match="lint error never-applies"):  # of a finished mixture, too
        build_mixture(write("error", fine="Say {{ a }}. ||| {{ b }}", never=never), tmp_path / "mixture")
    build_mixture(write("error", open="Say {{ a }} ||| {{ b }}"), tmp_path / "other")  # a warning is none
