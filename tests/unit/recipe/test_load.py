import pytest

from xmtf.errors import ConfigError
from xmtf.recipe import dump_recipe, load_recipe, load_task_recipe, load_yaml

MINIMAL = """
name: tiny
mixture: {tasks: [{catalogue: demo, languages: [no, fr]}]}
model: {architecture: bloom, hidden_size: 64, num_layers: 2, num_heads: 4}
training: {steps: 500 steps, optimizer: {learning_rate: 2e-5}}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(MINIMAL)
    return file


def test_yaml_1_2_keeps_the_language_no_and_the_number_2e_5(path):
    recipe = load_recipe(path).recipe
    assert recipe.mixture.tasks[0].languages == ("no", "fr")
    assert recipe.training.optimizer.learning_rate == 2e-5
    assert recipe.training.steps == 500


def test_overrides_are_applied_and_remembered(path):
    loaded = load_recipe(path, ["training.steps=20", "mixture.tasks.0.languages=[sw]", "tokens.packing.policy=pad"])
    assert loaded.recipe.training.steps == 20
    assert loaded.recipe.mixture.tasks[0].languages == ("sw",)
    assert loaded.origins["training.steps"] == "override"
    assert loaded.origins["tokens.packing.policy"] == "override"
    assert loaded.origins["name"] == "file"
    assert loaded.origins["seed"] == "default"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainng.steps=3", "unknown key 'trainng'; did you mean 'training'?"),
        ("training.stpes=4", "unknown key 'training.stpes'; did you mean 'steps'?"),
        ("mixture.tasks.0.languags=[x]", "did you mean 'languages'?"),
        ("mixture.tasks.0.splits=[dev, train, dev]", "'dev' is named twice; its rows would be read twice"),
        ("tokens.packing.policy=best-fit", "tokens.packing.policy: 'best-fit' is not one of "),
        ("training.steps=5 tokens", "training.steps: '5 tokens' is not a number of steps"),
        ("training.tokens=3", "training: give exactly one of `steps` and `tokens`"),
        ("model.hidden_size=null", "model: give `base` (a pretrained model), or the shape: hidden_size missing"),
        ("tokens.cap_tokens=3", "tokens.cap_tokens: expected a mapping of keys, found 3; known here: languages, tasks"),
        ("tokens.cap_tokens={tasks: 3}", "tokens.cap_tokens.tasks: expected a mapping, found 3"),
        ("mixture.tasks=x", "mixture.tasks: expected a list, found 'x'"),
        ("training.steps", "an override is key=value"),
        ("name.x=1", "is a plain value in the recipe"),
        ("mixture.tasks.7.languages=[x]", "'7' is not an index of a list of 1"),
        ("mixture.rates.policy=temperature", "needs max_examples"),
    ],
)
def test_bad_values_are_named_in_one_line(path, override, message):
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_it_looked(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml: no such file; looked in "):
        load_recipe(tmp_path / "absent.yaml")
    (tmp_path / "present.yaml").touch()
    with pytest.raises(ConfigError, match=rf"no such file; did you mean {tmp_path}/present\.yaml\?"):
        load_recipe(tmp_path / "presnt.yml")


def test_a_folder_is_refused_with_the_recipes_in_it(tmp_path):
    (tmp_path / "small.yaml").touch()
    with pytest.raises(ConfigError, match=r"is a folder; give a YAML file \(small.yaml\)$"):
        load_recipe(tmp_path)


def test_broken_yaml_names_the_file(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("name: [unclosed")
    with pytest.raises(ConfigError, match=r"broken.yaml: not valid YAML.*line"):
        load_yaml(file)


def test_a_dumped_recipe_reads_back_equal(path, tmp_path):
    recipe = load_recipe(path).recipe
    again = tmp_path / "again.yaml"
    again.write_text(dump_recipe(recipe))
    assert load_recipe(again).recipe == recipe


def test_recipes_are_frozen(path):
    recipe = load_recipe(path).recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3


def test_suites_of_one_name_are_refused(tmp_path):
    suite = "{name: same, tasks: [{catalogue: demo}]}"
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nmixture: {tasks: [{catalogue: demo}]}\nmodel: {architecture: bloom, hidden_size: 64, num_layers: 2, "
        f"num_heads: 4}}\ntraining: {{steps: 2}}\nevaluation: {{suites: [{suite}, {suite}]}}\n"
    )
    with pytest.raises(ConfigError, match="two suites are named 'same'"):
        load_recipe(path)


def test_a_recipe_of_tasks_alone_needs_no_run(tmp_path, monkeypatch):
    path = tmp_path / "tasks.yaml"
    path.write_text(
        "own_tasks:\n  - {id: reviews, path: rows.jsonl, templates: t.yaml,"
        " language: en, cluster: sentiment, kind: rank}\n"
    )
    with pytest.raises(ConfigError, match="'name' is missing"):
        load_recipe(path)
    for _ in range(2):  # nothing of one stays in what the next begins with
        monkeypatch.setenv("XMTF_OVERRIDES", "training.steps=7 model.base=x")
        assert load_task_recipe(path).recipe.training.steps == 7
        monkeypatch.delenv("XMTF_OVERRIDES")
        loaded = load_task_recipe(path)
        assert (loaded.recipe.training.steps, loaded.recipe.own_tasks[0].id) == (1, "reviews")
    path.write_text("own_task: []\n")
    with pytest.raises(ConfigError, match="own_tasks"):
        load_task_recipe(path)
    path.write_text("training: {steps: -1}\n")
    with pytest.raises(ConfigError, match=r"training\.steps"):
        load_task_recipe(path)
