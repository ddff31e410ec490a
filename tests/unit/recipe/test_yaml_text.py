"""YAML of a stranger: every attempt ends in one line."""

from pathlib import Path

import pytest

from xmtf.errors import ConfigError, TemplateError
from xmtf.recipe import load_recipe, parse_overrides
from xmtf.recipe.yaml_text import parse_yaml
from xmtf.templates.files.promptsource import read_template_file

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 1,000,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: {c: *a}}", "contains itself"),
        ("[" * 5000 + "]" * 5000, "nested more than 100 levels deep"),
        ("a: " + "[" * 150 + "]" * 150, "nested more than 100 levels deep"),
        ("a: " + "9" * 5000, "a value that cannot be read"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system [id]", "not valid YAML"),
    ],
)
def test_what_is_refused(text, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        parse_yaml(text)
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"r\.yaml: .*{said}"):
        load_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000 + "a",
        "".join(f"{' ' * n}a:\n" for n in range(150)),
        "]" * 99 + "[" * 500,
    ],
)
def test_templates_are_bounded_in_depth_before_a_parser_crashes(text, tmp_path):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(TemplateError, match=r"t\.yaml: not valid YAML"):
        read_template_file(tmp_path / "t.yaml")


def test_files_without_an_end_are_not_read_for_ever():
    with pytest.raises(ConfigError, match=r"/dev/zero: cannot be read .*has more than"):
        load_recipe(Path("/dev/zero"))
    with pytest.raises(TemplateError, match=r"/dev/zero: cannot be read .*has more than"):
        read_template_file(Path("/dev/zero"))


def test_aliases_and_ordinary_values_are_read():
    assert parse_yaml("a: &a {b: 1}\nc: [*a, *a]\nd: no\ne: 2e-5") == {
        "a": {"b": 1},
        "c": [{"b": 1}, {"b": 1}],
        "d": "no",
        "e": 2e-5,
    }


def test_overrides_are_bounded_too():
    with pytest.raises(ConfigError, match="contains itself"):
        parse_overrides(["mixture=&a [*a]"])
