"""A model cut over processes for an evaluation: what a recipe says of it, and what is refused before any work."""

import pytest

from xmtf.artefacts.ownership import claim_run_folder
from xmtf.errors import ConfigError, DataError
from xmtf.recipe import load_recipe
from xmtf.recipe.sections.processes import EvaluationParallel
from xmtf.runs.pipeline import run_recipe

TEXT = """
name: cut
own_tasks: [{{id: own, path: own.jsonl, templates: own.yaml, language: fr, role: evaluation}}]
mixture: {{tasks: [{{catalogue: own}}]}}
model: {{architecture: {architecture}, hidden_size: 8, num_layers: 1, num_heads: 2}}
training: {{steps: 1}}
evaluation: {{suites: [{{name: own, tasks: [{{catalogue: own}}]}}]}}
"""


def recipe(folder, *overrides, architecture="bloom"):
    (folder / "recipe.yaml").write_text(TEXT.format(architecture=architecture))
    return load_recipe(folder / "recipe.yaml", [f"run_folder={folder / 'run'}", *overrides])


def test_copies_of_the_model_share_the_requests(tmp_path):
    parallel = recipe(tmp_path, "evaluation.parallel.tp=2", "evaluation.parallel.pp=2").recipe.evaluation.parallel
    assert (parallel.processes, parallel.copies(8)) == (4, 2)
    assert recipe(tmp_path).recipe.evaluation.parallel is None
    assert EvaluationParallel().copies(3) == 3


@pytest.mark.parametrize(
    ("overrides", "architecture", "refused"),
    [
        (
            ("evaluation.parallel.pp=2",),
            "mt5",
            r"evaluation\.parallel\.pp: only causal models can be split into stages",
        ),
        (("evaluation.parallel.tp=3",), "bloom", r"2 attention heads are not divisible among 3 processes"),
        (("evaluation.parallel.pp=4",), "bloom", r"4 stages for 1 blocks, an embedding and a head; set at most 3"),
        (
            ("evaluation.parallel.tp=2", "evaluation.quantize=int8"),
            "bloom",
            r"quantised weights",
        ),
        (("evaluation.parallel.dp_shard=2",), "bloom", r"dp_shard"),
        (("evaluation.parallel.tp=0",), "bloom", r"evaluation\.parallel\.tp"),
    ],
)
def test_what_no_process_can_do_is_refused_when_the_recipe_is_read(tmp_path, overrides, architecture, refused):
    with pytest.raises(ConfigError, match=refused) as error:
        recipe(tmp_path, *overrides, architecture=architecture)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("until", [None, "before", "train"])
def test_one_process_refuses_a_run_before_it_begins(tmp_path, until):
    cut = recipe(tmp_path, "evaluation.parallel.tp=2")
    with pytest.raises(ConfigError, match=r"tp 2 x pp 1 needs 2 processes, and this is one"):
        run_recipe(cut, until=until)
    assert not (tmp_path / "run").exists()


def test_one_process_finishes_a_run_whose_results_are_there(tmp_path):
    cut = recipe(tmp_path, "evaluation.parallel.tp=2")
    claim_run_folder(tmp_path / "run")
    for label in ("before", "after"):
        cut.run.results(label).mkdir(parents=True)
        (cut.run.results(label) / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="not a manifest"):
        run_recipe(cut)  # goes on to compare them with the recipe
