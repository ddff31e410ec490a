"""The page's walk from a CSV to a mixture in ten languages, with a program in the place of the model."""

import csv
import re
import sys
import textwrap
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from xmtf.cli.app import _run as xmtf

PAGE = Path(__file__).parents[3] / "docs" / "translation.md"
LANGUAGES = {"ar", "de", "es", "fr", "hi", "id", "pt", "sw", "tr", "zh"}
PROGRAM = """
import re, sys
first = {"ar": 0x627, "hi": 0x915, "zh": 0x4E00}.get(sys.argv[1], 0)
shift = "ar de es fr hi id pt sw tr zh".split().index(sys.argv[1])
def letter(c):
    if first:
        return chr(first + (ord(c.lower()) - 97 + shift) % 20)
    vowels = "aeiou"
    return vowels[(vowels.index(c) + 1 + shift % 4) % 5] if c in vowels else "bcdfg"[shift % 5] if c == "r" else c
for line in sys.stdin:
    parts = re.split(r'(<x id="\\d"/>)', line.rstrip("\\n"))
    print("".join(p if n % 2 else re.sub("[A-Za-z]", lambda m: letter(m[0]), p) for n, p in enumerate(parts)))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with the files of the page."""
    section = PAGE.read_text(encoding="utf-8").partition("## Your dataset, your prompts, ten languages")[2]
    blocks = re.findall(r"\n\n((?:    .*\n|\n(?=    ))+)", section.partition("\n## ")[0])
    templates, commands, recipe = (textwrap.dedent(block) for block in blocks[:3])
    recipe, build = recipe.split("\n\n", 1)
    monkeypatch.chdir(tmp_path)
    Path("templates.yaml").write_text(templates)
    Path("recipe.yaml").write_text(recipe)
    Path("mt.py").write_text(PROGRAM)
    rows = [
        [f"{word} {number}.", number % 2] for number, word in enumerate(("The soup was cold", "Lovely noodles") * 3)
    ]
    with Path("reviews.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], *rows])
    return [*commands.strip().splitlines()[1:], *build.strip().splitlines()]


def test_from_a_csv_to_a_mixture_in_ten_languages(folder, capsys):
    for command in folder:
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", command.partition("#")[0])][1:]
        words = [f"command:{sys.executable} mt.py {{target}}" if word == "$ENGINE" else word for word in words]
        if words[:2] == ["data", "build"]:
            words.append("execution.engine=inline")
        if words[:2] == ["template", "import"]:
            text = Path("review.csv").read_text(encoding="utf-8-sig").replace(",machine,", ",reviewed,", 6)
            Path("review.csv").write_text(text, encoding="utf-8")
        assert xmtf(words) == 0, (command, capsys.readouterr())
    said = capsys.readouterr()
    assert "reviewed: 2, untouched: 18" in said.err
    built = ds.dataset("runs/reviews/mixture", format="parquet", partitioning="hive", exclude_invalid_files=True)
    table = built.to_table(columns=["prompt_language", "translation", "inputs"])
    assert set(table["prompt_language"].to_pylist()) == {"en", *LANGUAGES}
    human = {row["prompt_language"] for row in table.to_pylist() if row["translation"] == "human"}
    assert human == {"ar"}
    assert table.num_rows == 11 * 2 * 6
