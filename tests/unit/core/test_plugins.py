"""Plug-ins: packages whose metrics, adapters, engines and trackers are found by their entry points."""

import importlib

import pytest

import xmtf
from xmtf import plugins as room
from xmtf.artefacts.manifest_parts import MixtureCounts
from xmtf.cli.app import _run
from xmtf.cli.doctor import examine
from xmtf.errors import ConfigError, DataError, UnknownNameError
from xmtf.evaluation.metrics.registry import check_metrics, generation_metrics
from xmtf.files import read_manifest
from xmtf.recipe.load import resolve_recipe
from xmtf.records import KIND_METRICS
from xmtf.results.scores import read_scores
from xmtf.training.loop.trackers import TrackedRun, open_trackers
from xmtf.translation.engines import open_engine

MODULE = """
from xmtf.sources.adapters import Adapted

def answered(text, references, language):
    return float(bool(text.strip()))

def wrong(text, references, language):
    return "much"

def halved(ref, table):
    return Adapted(table.slice(0, table.num_rows // 2))

def nothing(ref, table):
    return None

class Shout:
    version, styles = "7", ("braces",)
    def __init__(self, argument):
        self.name = f"shout:{argument}"
    def translate(self, texts, source, target):
        return [text.upper() for text in texts]

def lacking(argument):
    return object()

class Board:
    def __init__(self, run):
        self.run, self.seen = run, []
    def write(self, step, values):
        self.seen.append((step, dict(values)))
    def close(self):
        pass

no_function = 3
"""
POINTS = """
[xmtf.metrics]
answered = acme_plugin:answered
wrong = acme_plugin:wrong
gone = acme_plugin_that_is_not_there:gone
number = acme_plugin:no_function
chrf = acme_plugin:wrong

[xmtf.adapters]
halved = acme_plugin:halved
nothing = acme_plugin:nothing

[xmtf.engines]
shout = acme_plugin:Shout
lacking = acme_plugin:lacking

[xmtf.trackers]
board = acme_plugin:Board
"""
CATALOGUE = """
tasks:
  - {id: mine/es, cluster: own, dataset: cldr/kinds, subset: es, language: es, templates: cldr/kinds, kind: generation,
     adapter: halved, metrics: [answered], splits: {train: [train], evaluation: [test]}}
"""


@pytest.fixture(autouse=True)
def acme(tmp_path, monkeypatch):
    """Install a package of plug-ins, as pip would."""
    site = tmp_path / "site"
    about = site / "acme_plugin-0.3.dist-info"
    about.mkdir(parents=True)
    (site / "acme_plugin.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 0.3\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    room.plugins.cache_clear()
    monkeypatch.setattr(room, "_LOADED", {})
    yield
    room.plugins.cache_clear()


def recipe(tmp_path, **more):
    (tmp_path / "mine.yaml").write_text(CATALOGUE)
    data = {
        "name": "plugged",
        "catalogues": ["mine.yaml"],
        "execution": {"engine": "inline"},
        "mixture": {"tasks": [{"tasks": ["mine/es"], "templates": ["question"]}]},
        "model": {"base": "package:none"},
        "training": {"steps": 1},
        "evaluation": {
            "max_new_tokens": 2,
            "suites": [{"name": "mine", "axis": "none", "tasks": [{"tasks": ["mine/es"], "templates": ["question"]}]}],
        },
    }
    return resolve_recipe(data | more, tmp_path / "recipe.yaml")


@pytest.mark.filterwarnings("default")
def test_results_and_mixtures_name_the_plug_ins_that_made_them(tmp_path, tiny_model):
    loaded = recipe(tmp_path)
    mixture = xmtf.build_mixture(loaded, out=tmp_path / "mixture")
    assert read_manifest(mixture.path).inputs["adapter halved"] == "plugin:acme-plugin==0.3"
    assert MixtureCounts.of(read_manifest(mixture.path), mixture.path).rendered < 30
    model = tiny_model(tmp_path / "model")
    results = xmtf.evaluate(model, recipe=loaded, out=tmp_path / "results")
    (row,) = results.score_table().to_pylist()
    assert (row["metric"], row["signature"]) == ("answered", "plugin:acme-plugin==0.3")
    assert read_scores(tmp_path / "results" / "scores.jsonl")[0].versions["plugin:acme-plugin"] == "0.3"
    assert xmtf.report(tmp_path / "results", tmp_path / "report").is_file()


def test_what_cannot_be_loaded_is_one_line_where_it_is_asked_for(capsys):
    assert [metric.value for metric in generation_metrics(["answered"], ["a", ""], [["b"], ["b"]], "en")] == [0.5]
    with pytest.raises(ConfigError, match=r"'gone' of the plug-in acme-plugin 0.3: cannot be loaded \(ModuleNotFound"):
        check_metrics(["gone"], "task t")
    with pytest.raises(ConfigError, match="is not a function but int"):
        check_metrics(["number"], "task t")
    with pytest.raises(UnknownNameError, match="did you mean 'answered'"):
        check_metrics(["answred"], "task t")
    with pytest.raises(DataError, match="'much' of 'a' is not a number"):
        generation_metrics(["wrong"], ["a"], [["b"]], "en")
    found = examine()["plug-ins"]
    assert found["metric answered"] == "acme-plugin 0.3: ready"
    assert found["metric gone"].startswith("acme-plugin 0.3: cannot be loaded (ModuleNotFoundError")
    assert "\n" not in found["metric gone"]


def test_a_built_in_stays_what_it_is(capsys):
    (metric,) = generation_metrics(["chrf"], ["the same"], [["the same"]], "en")
    assert (metric.value, "plugin" in metric.signature) == (100.0, False)
    assert "chrf" not in room.plugins("metrics", frozenset(KIND_METRICS["generation"]))
    assert "'chrf' is skipped: the built-in one is used" in capsys.readouterr().err


def test_adapters_and_recipes_of_plug_ins_are_checked(tmp_path):
    (tmp_path / "mine.yaml").write_text(CATALOGUE.replace("halved", "nothing"))
    with pytest.raises(ConfigError, match="gives a NoneType, not an Adapted"):
        xmtf.render("mine/es", split="test", recipe=recipe_of(tmp_path, "nothing"))
    with pytest.raises(UnknownNameError, match="did you mean 'halved'"):
        xmtf.render("mine/es", split="test", recipe=recipe_of(tmp_path, "halvd"))
    assert recipe(tmp_path, training={"steps": 1, "trackers": ["board"]}).recipe.training.trackers == ("board",)
    with pytest.raises(ConfigError, match=r"trackers: 'bord' is not one of .*'trackio', 'board'"):
        recipe(tmp_path, training={"steps": 1, "trackers": ["bord"]})


def recipe_of(tmp_path, adapter):
    loaded = recipe(tmp_path)
    (tmp_path / "mine.yaml").write_text(CATALOGUE.replace("halved", adapter))
    return loaded


def test_engines_and_trackers_of_plug_ins_are_opened(tmp_path):
    engine = open_engine("shout:loud")
    assert (engine.name, engine.version) == ("shout:loud", "7")
    assert engine.translate(["a"], "en", "fr") == ["A"]
    with pytest.raises(ConfigError, match="lacks name, version, styles, translate"):
        open_engine("lacking")
    with pytest.raises(ConfigError, match="shout: of the plug-in acme-plugin"):
        open_engine("whisper")
    (board,) = open_trackers(["board"], TrackedRun("run", tmp_path, {}))
    board.write(1, {"loss": 2.0})
    assert board.seen == [(1, {"loss": 2.0})]


def test_a_broken_plug_in_hinders_no_verb(capsys):
    assert _run(["recipe", "show", "demo"]) == 0
    assert "acme" not in capsys.readouterr().err
