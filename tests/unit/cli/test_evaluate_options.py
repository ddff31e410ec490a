"""What options of `xmtf evaluate` set."""

import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app


@pytest.mark.parametrize(("options", "mode"), [((), "fixed"), (("--legacy",), "legacy")])
def test_templates_are_rendered_as_the_originals_on_request(options, mode, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("xmtf.evaluation.evaluate_setup", lambda setup, **_: asked.append(setup))
    monkeypatch.setattr("xmtf.cli.evaluate.verbs._read_scores", lambda out: [])
    arguments = ["evaluate", "rank", "--model", "m", "--suite", "xnli", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(build_app("evaluate"), arguments)
    assert result.exit_code == 0, result.exception
    assert [setup.mode for setup in asked] == [mode]
