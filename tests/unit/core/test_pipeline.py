import pytest

from xmtf.errors import SourceError
from xmtf.models.files import references
from xmtf.pipeline import stages
from xmtf.recipe import load_recipe


@pytest.mark.parametrize("stage", ["tokens", "train"])
def test_an_offline_recipe_looks_for_its_model_in_the_cache_alone(monkeypatch, tmp_path, stage):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: r\noffline: true\nmixture: {tasks: [{catalogue: demo}]}\nmodel: {base: some/model}\n"
        f"training: {{steps: 1}}\nrun_folder: {tmp_path / 'run'}\n"
    )
    asked = []

    def snapshot(reference, patterns, offline):
        asked.append(offline)
        raise SourceError("not there")

    monkeypatch.setattr(references, "_snapshot", snapshot)
    work = {each.name: each.work for each in stages(load_recipe(path))}
    with pytest.raises(SourceError, match="not there"):
        work[stage]()
    assert asked == [True]
