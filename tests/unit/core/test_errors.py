import pickle

import pytest

from xmtf.errors import MissingExtraError, UnknownNameError, UserError, nearest, require


def test_unknown_name_names_the_nearest_known_one():
    error = UnknownNameError("task", "xnly/fr", ["xnli/fr", "xcopa/it"], "recipe.yaml: mixture.tasks.0")
    assert str(error) == "recipe.yaml: mixture.tasks.0: unknown task 'xnly/fr'; did you mean 'xnli/fr'?"


def test_unknown_name_lists_what_is_known_when_nothing_is_near():
    assert str(UnknownNameError("stage", "zzz", ["train", "report"])).endswith("known: report, train")


def test_nearest_is_empty_when_nothing_resembles():
    assert nearest("zzz", ["train", "report"]) == []


def test_a_missing_extra_says_what_to_install():
    with pytest.raises(MissingExtraError, match=r"pip install 'xmtf\[ray\]'"):
        require("surely_not_installed", "ray")


def test_a_broken_dependency_inside_an_installed_module_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_inside.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        require("broken_inside", "ray")


def test_user_errors_are_one_tree():
    assert issubclass(UnknownNameError, UserError)
    assert issubclass(MissingExtraError, UserError)


@pytest.mark.parametrize(
    "error",
    [UnknownNameError("task", "xnly", ["xnli"], "recipe.yaml"), MissingExtraError("ray", "ray"), UserError("x")],
)
def test_errors_come_back_from_worker_processes(error):
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
