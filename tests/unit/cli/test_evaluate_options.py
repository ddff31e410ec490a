"""What options of `xmtf evaluate` set."""

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.recipe.sections.processes import EvaluationParallel


@pytest.mark.parametrize(("options", "mode"), [((), "fixed"), (("--legacy",), "legacy")])
def test_templates_are_rendered_as_the_originals_on_request(options, mode, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("xmtf.evaluation.evaluate_setup", lambda setup, **_: asked.append(setup))
    monkeypatch.setattr("xmtf.cli.evaluate.verbs._read_scores", lambda out: [])
    arguments = ["evaluate", "rank", "--model", "m", "--suite", "xnli", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(build_app("evaluate"), arguments)
    assert result.exit_code == 0, result.exception
    assert [setup.mode for setup in asked] == [mode]


def measure(monkeypatch, tmp_path, *options):
    asked = []
    monkeypatch.setattr("xmtf.evaluation.evaluate_setup", lambda setup, **_: asked.append(setup))
    monkeypatch.setattr("xmtf.cli.evaluate.verbs._read_scores", lambda out: [])
    arguments = ["evaluate", "rank", "--model", "m", "--suite", "xnli", "--out", str(tmp_path / "out"), *options]
    return CliRunner().invoke(build_app("evaluate"), arguments), asked


def test_the_model_is_cut_as_options_say(monkeypatch, tmp_path):
    result, [setup] = measure(monkeypatch, tmp_path, "--tp", "2", "--pp", "3")
    assert result.exit_code == 0, result.exception
    assert setup.parallel == EvaluationParallel(tp=2, pp=3)
    _, [whole] = measure(monkeypatch, tmp_path)
    assert whole.settings.parallel is None
    refused, _ = measure(monkeypatch, tmp_path, "--tp", "2", "--quantize", "int8")
    assert "quantised weights (quantize) cannot be cut" in str(refused.exception)
