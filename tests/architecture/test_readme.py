"""README shows only what `scripts/check-wheel.sh` runs, and names only verbs and pages that exist."""

import re
from pathlib import Path

import pytest
import typer.main

from readme_commands import commands, main
from xmtf.cli.app import COMMANDS, build_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def verbs():
    """Return every verb of the program as its words, and nouns that have none."""
    for noun in COMMANDS:
        command = typer.main.get_command(build_app(noun)).commands[noun]
        yield from ((noun, verb) for verb in getattr(command, "commands", {}))
        yield (noun,)


def named(text):
    """Return the verbs that prose names: `xmtf data plan`, `fetch` are two of one noun."""
    found = []
    for first, more in re.findall(r"`xmtf ([a-z -]+?)`((?:, `[a-z-]+`)*)", text):
        words = tuple(first.split())
        found += [words, *((*words[:-1], word) for word in re.findall(r"`([a-z-]+)`", more))]
    return found


def test_every_block_of_readme_is_run_and_training_comes_once():
    shown = [command.text for command in commands(README)]
    assert shown[0] == "pip install '.[train]'"
    assert [text.split()[2] for text in shown if text.startswith("xmtf run")].count("mine/recipe.yaml") == 1
    assert len(shown) > 10


def test_readme_names_verbs_that_exist():
    known = set(verbs())
    assert len(named(README)) > 20
    assert [words for words in named(README) if words not in known] == []


def test_links_of_readme_lead_to_files():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_code_that_nothing_would_run_is_an_error():
    with pytest.raises(ValueError, match="a block of 'yaml'"):
        commands("```yaml\na: 1\n```\n")
    with pytest.raises(ValueError, match="not fenced"):
        commands("Type\n\n    xmtf doctor\n")


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("mkdir -p a/model\necho 1 > a/model/model.safetensors", 0, "2 commands, 1 models, none trained twice"),
        ("mkdir -p a/model\necho 1 > a/model/model.safetensors\ntouch a/model/model.safetensors", 1, "earlier command"),
        ("exit 3\necho not reached > reached", 3, "exit code 3: exit 3"),
    ],
)
def test_commands_run_in_order_until_one_fails_or_trains_again(tmp_path, monkeypatch, capsys, body, code, said):
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "README.md").write_text(f"```sh\n{body}\n```\n")
    monkeypatch.chdir(folder)
    assert main(tmp_path / "README.md") == code
    assert said in capsys.readouterr().out
    assert not (folder / "reached").exists()
