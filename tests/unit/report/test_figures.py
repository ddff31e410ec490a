import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from xmtf.cli.app import build_app
from xmtf.errors import DataError, SourceError, UnknownNameError
from xmtf.files import append_jsonl, write_jsonl
from xmtf.records import Metric, Provenance, Score
from xmtf.report import collect_run
from xmtf.report.comparison.results import Results
from xmtf.report.figures.catalogue import FIGURES, draw_figures
from xmtf.report.figures.drawing import fonts
from xmtf.report.figures.drawing.models import looks
from xmtf.report.figures.own import loss, measures_over_steps, result_figures, run_figures
from xmtf.report.figures.published import (
    contamination,
    english_tasks,
    language_shares,
    multilingual_tasks,
    pretraining_share,
    samples,
    scaling,
    task_bars,
    taxonomy,
    unseen_languages,
    validation_curves,
)
from xmtf.report.figures.published.language_shares import published_shares
from xmtf.report.inputs import Inputs, texts_at_hand
from xmtf.report.published import gather
from xmtf.report.reference.demonstration import NOTE, demonstration_run, demonstration_texts
from xmtf.report.tables_and_figures import figures_of

ACCURACY = Metric("accuracy", 0.5, None, None, None, 100)


def own_score(dataset, subset, split, cluster, *metrics):
    asked = Provenance(subset, "en", "none", f"{dataset}/{subset}", cluster, dataset, subset, split, "a")
    return Score("mine", "f", "s", "none", "rank", "bloomz", asked, "h", metrics)


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
    score = own_score("facebook/xnli", "fr", "validation", "natural language inference", ACCURACY)
    figure = task_bars.draw(gather({"mine": [score]}, reference=True), Inputs(reference=True))
    texts = [text.get_text() for text in panels(figure)[1].texts]
    assert texts[-1] == "50.0\n1 of 9"
    assert "not measured" in [text.get_text() for text in panels(figure)[0].texts]


def test_models_without_a_result_are_not_in_the_legend(run_folder):
    other = own_score("cldr/weekday", "", "test", "topic")
    score = own_score("facebook/xnli", "fr", "validation", "topic", ACCURACY)
    figure = task_bars.draw(gather({"mine": [score], "other": [other]}, reference=True), Inputs(reference=True))
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == ["mine", "chance"]
    results = collect_run(run_folder).results
    results.scores["nothing"] = []
    (axes,) = result_figures(results)["suites"].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after", "chance"]


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
    shown = looks([*TOGETHER[number], "a user's own"])
    assert len({look.marker for look in shown.values()}) == len(shown)
    colors = [lab(look.color, BLINDNESS[blindness]) for look in shown.values()]
    distances = [np.linalg.norm(a - b) for place, a in enumerate(colors) for b in colors[:place]]
    assert min(distances) > 14  # a difference of about 2 is just seen


def test_scaling_ends_where_the_published_lines_end(published):
    xcopa = panels(scaling.draw(published, Inputs(reference=True)))[0]
    ends = {tuple(line.get_xydata()[-1].round(1)) for line in xcopa.lines if line.get_linewidth() > 2}
    assert {(176.0, 75.2), (13.0, 82.8)} <= ends
    assert sum(line.get_linewidth() < 1 for line in xcopa.lines) == 3 * 5  # families x languages


def test_shares_of_pretraining_are_on_the_axis(published):
    inputs = Inputs(reference=True)
    xnli = panels(pretraining_share.draw(published, inputs))[1]
    (bloomz,) = [line for line in xnli.lines if line.get_label() == "BLOOMZ"]
    assert len(bloomz.get_xdata()) == 9
    assert bloomz.get_xdata()[-1] == pytest.approx(published_shares(inputs)["ROOTS"]["en"])
    assert len(xnli.texts) == 9


def test_unseen_languages_are_bold_among_the_identified(published):
    declared, others = panels(contamination.draw(published, Inputs(reference=True)))
    bold = {label.get_text() for label in others.get_yticklabels() if label.get_fontweight() == "bold"}
    expected = [
        "Bulgarian",
        "Burmese",
        "Estonian",
        "German",
        "Greek",
        "Italian",
        "Japanese",
        "Russian",
        "Thai",
        "Turkish",
    ]
    assert bold == {*expected, "Haitian Creole"}
    assert declared.get_yticklabels()[0].get_text() == "English"


def test_own_identified_languages_show_reliable_ones_too(tmp_path):
    path = tmp_path / "totals.csv"
    path.write_text(
        "language,name,sentences,percent,reliable,percent_reliable,percent_declared\n"
        "fr,French,90,90.0,80,95.0,100.0\nde,German,10,10.0,4,5.0,0.0\n"
    )
    figure = contamination.draw(gather({}, reference=False), Inputs(files={"identified": path}))
    assert [axes.get_title(loc="left") for axes in panels(figure)] == ["declared in the corpus", "not declared"]
    assert panels(figure)[0].get_legend_handles_labels()[1] == ["identified", "reliable only", "declared"]


def chips(figure):
    return {text.get_text(): text.get_fontweight() for text in figure.axes[0].texts}


def test_the_taxonomy_holds_every_dataset_inside_its_box(published):
    figure = taxonomy.draw(published, Inputs(reference=True))
    shown = chips(figure)
    assert (shown["XNLI"], shown["ANLI"], shown["Translation"]) == ("bold", "normal", "bold")
    page = figure.axes[0]
    boxes = [patch for patch in page.patches if patch.get_facecolor() == (1.0, 1.0, 1.0, 1.0)]
    rounded = [patch.get_bbox() for patch in page.patches if hasattr(patch, "get_boxstyle")]
    assert (len(boxes), len(rounded)) == (16, 82)
    for chip in rounded:
        assert any(
            box.get_x() <= chip.x0 and chip.x1 <= box.get_x() + box.get_width()
            and box.get_y() <= chip.y0 and chip.y1 <= box.get_y() + box.get_height()
            for box in boxes
        )  # fmt: skip


def test_an_own_taxonomy_takes_the_place_of_the_published(tmp_path, published):
    path = tmp_path / "taxonomy.csv"
    path.write_text("cluster,dataset,role,examples\ntopic,facebook/news_and_more,both,4\n")
    shown = chips(taxonomy.draw(published, Inputs(reference=True, files={"taxonomy": path})))
    assert "news_and_more" in shown
    assert "XNLI" not in shown


def test_an_own_mixture_stands_beside_the_corpora(tmp_path, published):
    path = tmp_path / "languages.csv"
    path.write_text("language,name,examples,share,characters\nfr,French,30,0.75,9\nde,German,10,0.25,9\n")
    (axes,) = panels(language_shares.draw(published, Inputs(reference=True, files={"languages": path})))
    assert axes.get_legend_handles_labels()[1] == ["xP3", "ROOTS", "mT5", "own mixture"]
    assert axes.get_xticklabels()[-1].get_text() == "German"
    assert len(axes.get_xticklabels()) == 47


def lines(path, rows):
    write_jsonl(path, rows)
    return path


def test_texts_are_drawn_as_they_are(tmp_path, published):
    samples = [
        {"prompt": f"Why {n}? $x^2$ \\alpha", "text": text, "model": "m"} for n, text in enumerate(["a_b", "", "ok"])
    ]
    programs = [{"model": "m", "text": "def f():\n    return 1"}]
    inputs = Inputs(
        files={"samples": lines(tmp_path / "s", samples), "generations": lines(tmp_path / "g", programs)},
        reference=True,
    )
    drawn = draw_figures(published, inputs, tmp_path, ["3", "12", "14"], ["svg"])
    assert [figure.name for figure in drawn.figures] == ["variants", "code-samples", "samples"]
    shown = chips(FIGURES[-1].draw(published, inputs))
    assert "Why 0? $x^2$ \\alpha" in shown
    assert "(nothing)" in shown
    answers = lines(tmp_path / "a", [{"prompt": "Why?", "output": "Because."}])  # as xmtf generate writes them
    assert "Because." in chips(FIGURES[-1].draw(published, Inputs(files={"samples": answers})))


def test_a_program_stands_at_the_left_whatever_its_comments_say(published):
    text = "def f():\n    # \u0645\u0631\u062d\u0628\u0627"
    texts = {"generations": [{"model": "m", "text": text}], "samples": [{"prompt": "?", "text": text, "model": "m"}]}
    drawn = {
        kind.name: [piece.get_ha() for piece in kind.draw(published, Inputs(at_hand=texts)).axes[0].texts][-2:]
        for kind in FIGURES[-2:]
    }
    assert drawn == {"code-samples": ["left", "left"], "samples": ["left", "right"]}


def test_eight_prompts_of_many_are_drawn_evenly(published):
    texts = {"samples": [{"prompt": f"Prompt {n}", "text": "so", "model": "m"} for n in range(10)]}
    shown = list(chips(samples.draw(published, Inputs(at_hand=texts))))
    assert [text for text in shown if text.startswith("Prompt")] == [f"Prompt {n}" for n in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert shown[-1] == "2 more prompts not shown"


def test_a_missing_font_leaves_one_figure_out(tmp_path, published, monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: frozenset({"DejaVu Sans"}))
    inputs = Inputs(reference=True, at_hand={"samples": [{"prompt": "水", "text": "agua", "model": "m"}]})
    drawn = draw_figures(published, inputs, tmp_path, ["3", "13"], ["png"])
    assert [figure.name for figure in drawn.figures] == ["variants"]
    assert drawn.missing_fonts == [
        "Figure 13-16 (samples) is skipped: no installed font has CJK (it lacks U+6C34): install Noto Sans CJK, "
        "on Debian `apt-get install fonts-noto-cjk`"
    ]


def test_the_demonstration_fills_in_for_what_was_not_published_and_says_so(tmp_path):
    drawn = figures_of([], Inputs(reference=True), tmp_path, ["12", "13", "loss", "composition"], ["svg"])
    without_font = {"samples"} if drawn.missing_fonts else set()  # its prompts are in Chinese, too
    notes = {figure.name: figure.note for figure in drawn.figures}
    assert set(notes) | without_font == {"code-samples", "samples", "loss", "composition"}
    assert notes["code-samples"] == NOTE
    assert [len(rows) for rows in demonstration_texts().values()] == [20, 2]
    for figure in run_figures(demonstration_run(), NOTE).values():
        assert figure.get_suptitle() == NOTE
    texts = {"samples": [{"prompt": "Why?", "text": "So.", "model": "m"}], "generations": [{"model": "m", "text": "1"}]}
    for kind in FIGURES[-2:]:
        shown = chips(kind.draw(gather({}, reference=True), Inputs(at_hand=texts, note=NOTE)))
        assert " ".join(shown).startswith(NOTE[:60])


def test_own_texts_need_no_note_and_take_the_place_of_the_demonstration(tmp_path, run_folder):
    path = lines(tmp_path / "s", [{"prompt": "Why?", "text": "So.", "model": "m"}])
    given = Inputs(reference=True, files={"samples": path}, at_hand=demonstration_texts(), note=NOTE)
    assert given.note_on("samples") == ""
    assert given.note_on("generations") == NOTE
    (drawn,) = figures_of([run_folder], Inputs(reference=True), tmp_path / "f", ["13"], ["svg"]).figures
    assert drawn.note == ""
    left_out = figures_of([run_folder], Inputs(reference=True), tmp_path / "g", ["12"], ["svg"]).left_out
    assert left_out[0].startswith("Figure 12 (code-samples) is skipped; it needs results of `xmtf evaluate code`")


def test_what_cannot_be_drawn_says_what_it_needs(tmp_path):
    drawn = draw_figures(gather({}, reference=False), Inputs(), tmp_path)
    assert drawn.figures == []
    assert len(drawn.left_out) == len(FIGURES)
    assert any(
        line.startswith("Figure 7 (validation) is skipped; it needs --input validation=") for line in drawn.left_out
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
    assert "Figure 7 (validation) is skipped" in result.stderr


def test_programs_of_results_are_set_side_by_side(tmp_path):
    for label in ("one", "two"):
        folder = tmp_path / label
        program = {"task": "humaneval", "problem": "0", "completion": f"return {label}", "passed": True}
        program |= {"sample": 0, "temperature": 0.2, "outcome": "passed"}
        write_jsonl(folder / "completions.jsonl", [program | {"problem": "9"}] * (label == "one") + [program] * 2)
    results = Results(folders={"a": [tmp_path / "one"], "b": [tmp_path / "two"], "c": [tmp_path]})
    assert texts_at_hand(results)["generations"] == [
        {"model": "a, humaneval: 0", "text": "return one"},
        {"model": "b, humaneval: 0", "text": "return two"},
    ]
    assert texts_at_hand(Results()) == {"samples": [], "generations": []}


def test_what_is_measured_while_training_is_drawn_over_steps(run_folder):
    for step, value in ((10, 0.2), (20, 0.5), (20, 0.4)):
        for kind in ("rank", "generation"):
            event = {"event": "measure", "step": step, "group": f"{kind} suite", "kind": kind, "value": value}
            append_jsonl(run_folder / "log.jsonl", event)
    figure = measures_over_steps.draw(collect_run(run_folder))
    assert [axes.get_title(loc="left").split()[0] for axes in panels(figure)] == ["Classification", "Generation,"]
    assert [list(axes.lines[0].get_ydata()) for axes in panels(figure)] == [[20, 40], [20, 40]]
    assert [axes.get_ylim() for axes in panels(figure)] == [(0, 50), (0, pytest.approx(44.8))]


def test_chance_and_the_best_checkpoint_stand_among_the_measures(run_folder):
    for step in (10, 20):
        event = {"event": "measure", "step": step, "group": "rows", "kind": "rank", "value": step / 100}
        append_jsonl(run_folder / "log.jsonl", event)
    append_jsonl(run_folder / "log.jsonl", {"event": "selection", "step": 20, "score": 0.2, "by": "rank"})
    figure = measures_over_steps.draw(collect_run(run_folder))
    curve, star, chance = panels(figure)[0].lines
    assert [tuple(curve.get_xydata()[-1]), tuple(star.get_xydata()[0])] == [(20, 20), (20, 20)]
    assert set(chance.get_ydata()) == {25}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rows", "chance", "best checkpoint"]


def test_few_logged_steps_are_drawn_as_they_are(run_folder):
    (axes,) = loss.draw(collect_run(run_folder)).axes
    assert [line.get_label() for line in axes.lines] == ["training, logged steps", "validation, held-out mixture"]
    for step in range(3, 80):
        append_jsonl(run_folder / "log.jsonl", {"event": "train", "step": step, "loss": float(step % 2)})
    (axes,) = loss.draw(collect_run(run_folder)).axes
    assert [line.get_label() for line in axes.lines][1] == "training, mean of 4"
    assert list(axes.lines[1].get_ydata()[-3:]) == [0.5, 0.5, 0.5]


def test_what_a_file_says_wrongly_is_named(tmp_path, published):
    path = tmp_path / "file.csv"
    path.write_text("cluster,dataset,role\ntopic,news,trained\n")
    with pytest.raises(UnknownNameError, match="taxonomy, dataset news: unknown role 'trained'; did you mean 'train'"):
        taxonomy.draw(published, Inputs(files={"taxonomy": path}))
    path.write_text("model,step,tokens,accuracy,bleu\nmine,ten,5,40,2\n")
    with pytest.raises(DataError, match="step is 'ten', not a number"):
        validation_curves.draw(published, Inputs(files={"validation": path}))


def test_twelve_own_models_look_different():
    shown = looks(["BLOOM", *(f"own {number}" for number in range(12))])
    assert len(set(shown.values())) == 13
