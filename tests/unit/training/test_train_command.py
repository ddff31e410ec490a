from pathlib import Path

from typer.testing import CliRunner

from xmtf.cli.app import build_app

RECIPES = Path(__file__).parents[3] / "recipes" / "train"


def invoke(*arguments):
    return CliRunner().invoke(build_app("train"), ["train", *arguments])


def test_dry_run_prints_the_layout():
    result = invoke(str(RECIPES / "bloomz-560m.yaml"), "training.steps=7", "--dry-run", "--out", "nowhere")
    assert result.exit_code == 0
    assert "steps      7 of 1,024 rows" in result.stdout
    assert "rows: no token files yet" in result.stdout


def test_help_has_an_example():
    assert "xmtf train recipes/demo.yaml" in invoke("--help").stdout
