import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmtf.recipe import load_recipe
from xmtf.sources import SourceRef, read_source
from xmtf.sources.fetch import fetch_sources, sources_to_fetch
from xmtf.tasks import recipe_sources

RECIPE = """
name: tiny
offline: true
catalogues: [tiny.yaml]
mixture:
  tasks: [{tasks: ["tiny/fra"], catalogue: tiny}]
model: {architecture: bloom, hidden_size: 16, num_layers: 1, num_heads: 2}
training: {steps: 1}
evaluation:
  suites:
    - {name: judge, tasks: [{tasks: [judge, tiny/en], catalogue: tiny}]}
"""


@pytest.fixture
def loaded(catalogue_file):
    path = catalogue_file.with_name("recipe.yaml")
    path.write_text(RECIPE)
    return load_recipe(path)


def test_a_recipe_names_each_split_that_it_reads_once(loaded):
    assert [str(ref) for ref in recipe_sources(loaded)] == [
        "own/tiny/fra [train]",
        "own/tiny/en [test]",
        "own/judge/main [validation]",
    ]


def test_the_templates_of_the_xp3_family_need_not_be_at_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("XMTF_TEMPLATES_ROOT", raising=False)
    selection = "{catalogue: xp3, tasks: ['xp3:allenai/wmt22_african/*']}"
    text = RECIPE.replace("catalogues: [tiny.yaml]\n", "").partition("evaluation:")[0]
    (tmp_path / "xp3.yaml").write_text(text.replace('{tasks: ["tiny/fra"], catalogue: tiny}', selection))
    refs = recipe_sources(load_recipe(tmp_path / "xp3.yaml"))
    assert "allenai/wmt22_african/eng-ibo [train]" in [str(ref) for ref in refs]


def test_a_recipe_of_prompted_folders_fetches_nothing(tmp_path):
    text = RECIPE.replace("catalogues: [tiny.yaml]\n", "").partition("evaluation:")[0]
    tasks = 'tasks: [{tasks: ["tiny/fra"], catalogue: tiny}]'
    (tmp_path / "own.yaml").write_text(text.replace(tasks, "prompted: [{path: x}]\n  held_out: {languages: [xx*]}"))
    assert recipe_sources(load_recipe(tmp_path / "own.yaml")) == ()


def test_own_files_and_cldr_are_not_fetched_and_views_of_one_split_are_one():
    refs = [
        SourceRef("a/b", "en", adapter="x"),
        SourceRef("a/b", "en"),
        SourceRef("mine", path="x.csv"),
        SourceRef("cldr/x", "en"),
    ]
    assert [ref.where for ref in sources_to_fetch(refs)] == [("a/b", "en", "train")]


def test_what_is_fetched_reads_the_same_from_the_new_mirror(loaded, mirror, tmp_path, monkeypatch):
    to = tmp_path / "new"
    seen = []
    fetched = fetch_sources(recipe_sources(loaded), to, progress=seen.append)
    assert tuple(seen) == fetched
    assert [(each.status, each.rows) for each in fetched] == [("fetched", 3), ("failed", 0), ("fetched", 1)]
    assert "own/tiny/en [test]" in fetched[1].problem
    before = read_source(SourceRef("own/tiny", "fra")).table
    monkeypatch.setenv("XMTF_DATA_ROOT", str(to))
    assert read_source(SourceRef("own/tiny", "fra")).table == before
    assert [each.status for each in fetch_sources(recipe_sources(loaded), to)] == ["there", "failed", "there"]


def test_what_is_there_is_left_as_it_is(tmp_path):
    path = tmp_path / "a/b/train.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), path)
    (fetched,) = fetch_sources([SourceRef("a/b")], tmp_path)
    assert (fetched.status, fetched.path) == ("there", path)
