import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import SourceError, UnknownNameError
from xmtf.report.figures import english_tasks, multilingual_tasks, task_bars, unseen_languages, validation_curves
from xmtf.report.figures.catalogue import FIGURES, draw_figures
from xmtf.report.figures.models import looks
from xmtf.report.inputs import Inputs
from xmtf.report.published import gather


@pytest.fixture(scope="module")
def published():
    return gather({}, reference=True)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_bars_show_the_published_means_and_chance(published):
    figure = task_bars.draw(published, Inputs(reference=True))
    heights = [round(float(bar.get_height()), 1) for axes in panels(figure) for bar in axes.patches]
    assert heights[:6] == [51.8, 52.9, 50.4, 80.5, 82.6, 86.0]
    assert len(heights) == 18
    assert [text.get_text() for text in panels(figure)[1].texts][-1] == "57.7"


def test_an_own_model_stands_beside_and_says_how_many_languages_it_was_measured_on():
    score = {
        "model": "mine", "dataset": "facebook/xnli", "subset": "fr", "split": "validation", "template": "a",
        "cluster": "natural language inference", "prompt_language": "en", "translation": "none",
        "metrics": [{"name": "accuracy", "value": 0.5, "num_items": 100}],
    }  # fmt: skip
    figure = task_bars.draw(gather({"mine": [score]}, reference=True), Inputs(reference=True))
    texts = [text.get_text() for text in panels(figure)[1].texts]
    assert texts[-1] == "50.0\n1 of 9"
    assert "not measured" in [text.get_text() for text in panels(figure)[0].texts]


@pytest.mark.parametrize(
    ("module", "count", "models"), [(unseen_languages, 16, 4), (english_tasks, 10, 5), (multilingual_tasks, 24, 5)]
)
def test_every_prompt_is_a_dot(published, module, count, models):
    shown = panels(module.draw(published, Inputs(reference=True)))
    assert len(shown) == count
    for axes in shown:
        assert [len(dots.get_offsets()) for dots in axes.collections] == [5] * models


def test_validation_curves_hold_every_checkpoint(published):
    top, bottom = panels(validation_curves.draw(published, Inputs(reference=True)))
    lines = {line.get_label(): len(line.get_xdata()) for line in top.lines if not line.get_label().startswith("_")}
    assert lines == {"BLOOMZ": 9, "BLOOMZ-7.1B": 5, "mT0-13B": 9}
    assert max(bottom.lines[0].get_ydata()) == 15.99


# Viénot, Brettel and Mollon (1999) for red- and green-blindness, Machado et al. (2009) for blue-blindness: linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(color, matrix):
    """CIE Lab (D65) of a colour as a reader with that form of blindness sees it."""
    code = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ seen / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


TOGETHER = {
    "4": task_bars.MODELS,
    "5": ("BLOOM-7.1B", "BLOOM", "BLOOMZ-7.1B", "BLOOMZ"),
    "6": ("BLOOM", "BLOOMZ", "mT0"),
    "7": ("BLOOMZ", "BLOOMZ-7.1B", "mT0-13B"),
    "8": ("BLOOM", "BLOOMZ-P3", "BLOOMZ-MT", "BLOOMZ"),
    "9": ("BLOOMZ-P3", "BLOOMZ", "mT0-13B-P3", "mT0-13B", "T0-11B"),
    "10": ("XGLM-7.5B", "BLOOM", "mTk-13B", "BLOOMZ", "mT0-13B"),
}


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("number", TOGETHER)
def test_models_of_one_figure_differ_for_colour_blind_readers(number, blindness):
    shown = looks(TOGETHER[number])
    assert len({look.marker for look in shown.values()}) == len(shown)
    colors = [lab(look.color, BLINDNESS[blindness]) for look in shown.values()]
    distances = [np.linalg.norm(a - b) for place, a in enumerate(colors) for b in colors[:place]]
    assert min(distances) > 14  # a difference of about 2 is just seen


def test_what_cannot_be_drawn_says_what_it_needs(tmp_path):
    drawn = draw_figures(gather({}, reference=False), Inputs(), tmp_path)
    assert drawn.figures == []
    assert len(drawn.left_out) == len(FIGURES)
    assert any(
        line.startswith("Figure 7 (validation) is left out; it needs --input validation=") for line in drawn.left_out
    )


def test_three_formats_are_the_same_bytes_each_time(tmp_path, published):
    inputs = Inputs(reference=True)
    (first,) = draw_figures(published, inputs, tmp_path / "a", ["7"]).figures
    (second,) = draw_figures(published, inputs, tmp_path / "b", ["validation"]).figures
    assert [path.suffix for path in first.paths] == [".svg", ".png", ".pdf"]
    assert [path.read_bytes() for path in first.paths] == [path.read_bytes() for path in second.paths]
    assert ElementTree.parse(first.paths[0]).getroot().tag.endswith("svg")
    assert first.caption


def test_the_verb_draws_and_names_what_is_unknown(tmp_path):
    app = build_app("report")
    command = ["report", "figures", "--reference", "--only", "7", "--format", "png", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "validation.png")
    result = CliRunner().invoke(app, ["report", "figures", "--reference", "--only", "task-bar", "--out", str(tmp_path)])
    assert isinstance(result.exception, UnknownNameError)
    result = CliRunner().invoke(app, ["report", "figures", "--only", "7", "--out", str(tmp_path)])
    assert isinstance(result.exception, SourceError)
    assert "Figure 7 (validation) is left out" in result.stderr
